"""A YAML text as plain values that remember their lines. Bounded, and it never shows a value in a message."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.constructor import SafeConstructor

from act_core.errors import ConfigError
from act_core.foreign import YAML_ERRORS, TooMuch, weigh

MAX_NODES, MAX_DEPTH, MAX_KEY = 100_000, 40, 200
MERGE = "tag:yaml.org,2002:merge"
Tree = dict[str, Any]
Pairs = Iterator[tuple[yaml.Node, yaml.Node, bool]]


@dataclass(frozen=True, slots=True)
class Document:
    """What a text says: `lines` maps a dotted key to its line, `problems` are sentences with their place."""

    value: Any
    lines: dict[str, str]
    problems: tuple[str, ...] = ()


def read_document(text: str, name: str) -> Document:
    """Read one YAML document; `name` is its file in messages. Raises ConfigError if it cannot be read at all."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is not None:
            weigh(node, MAX_NODES, MAX_DEPTH)
    except TooMuch as err:
        raise ConfigError(f"{name}:{err.line}: {err}") from err
    except yaml.MarkedYAMLError as err:
        line = f":{err.problem_mark.line + 1}" if err.problem_mark else ""
        raise ConfigError(f"{name}{line}: not YAML: {err.problem or 'it ends too early'}") from err
    except YAML_ERRORS as err:
        raise ConfigError(f"{name}: not YAML: {_kind_of(err)}") from err
    reader = _Reader(name)
    value = None if node is None else reader.value(node, "")
    return Document(value, reader.lines, tuple(reader.problems))


def shown(key: str) -> str:
    """A key as it may stand in a message: printable, and not endless."""
    plain = key if key.isprintable() else ascii(key)
    return plain if len(plain) <= 120 else plain[:120] + "…"


def encodable(text: str) -> bool:
    """A lone surrogate could be neither shown nor sent."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _kind_of(err: BaseException) -> str:
    """No message of the parser, since some quote the text, and with it a password."""
    if isinstance(err, RecursionError):
        return "nested too deep"
    if isinstance(err, yaml.reader.ReaderError):
        return f"a character that YAML does not allow, at position {err.position}"
    return "a character that does not exist"


@dataclass(slots=True)
class _Reader:
    name: str
    lines: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    constructor: SafeConstructor = field(default_factory=SafeConstructor)

    def value(self, node: yaml.Node, key: str) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, key)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(one, f"{key}.{i}") for i, one in enumerate(node.value)]
        return self._scalar(node, key)

    def _scalar(self, node: yaml.Node, key: str) -> Any:
        try:
            value = self.constructor.construct_object(node, deep=True)
        except YAML_ERRORS as err:
            tag = node.tag.removeprefix("tag:yaml.org,2002:")
            raise ConfigError(f"{self._at(node)}: {shown(key)}: no value of the YAML kind {shown(tag)}") from err
        if isinstance(value, str) and not encodable(value):
            raise ConfigError(f"{self._at(node)}: {shown(key)}: half of a character (a lone surrogate)")
        return value

    def _mapping(self, node: yaml.MappingNode, key: str) -> Tree:
        found: Tree = {}
        for name_node, value_node, merged in self._pairs(node):
            name = self._name(name_node)
            dotted = f"{key}.{name}" if key else name
            if name not in found:
                self.lines[dotted] = self._at(name_node)
                found[name] = self.value(value_node, dotted)
            elif not merged:
                first = self.lines[dotted].rpartition(":")[2]
                self.problems.append(f"{self._at(name_node)}: {shown(dotted)} stands here again; first in line {first}")
        return found

    def _pairs(self, node: yaml.MappingNode) -> Pairs:
        """Keys and values: its own, then those of `<<: *other`, which give way."""
        merged: list[yaml.Node] = []
        for name_node, value_node in node.value:
            if name_node.tag == MERGE:
                merged += value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
            else:
                yield name_node, value_node, False
        for one in merged:
            if not isinstance(one, yaml.MappingNode):
                raise ConfigError(f"{self._at(one)}: << takes a section with keys")
            for name_node, value_node, _ in self._pairs(one):
                yield name_node, value_node, True

    def _name(self, node: yaml.Node) -> str:
        if isinstance(node, yaml.ScalarNode) and len(node.value) <= MAX_KEY and encodable(node.value):
            return str(node.value)
        raise ConfigError(f"{self._at(node)}: a key must be a word")

    def _at(self, node: yaml.Node) -> str:
        return f"{self.name}:{node.start_mark.line + 1}"
