"""JSON and YAML of strangers: read within bounds, or refused by a ValueError and by nothing else."""

import json
import math
from collections.abc import Iterable
from typing import Any

import yaml

DEEPEST = 64  # lists and objects in one another; what is written in earnest has ten
LONGEST_NUMBER = 4300  # digits; Python itself reads no more
LONGEST_YAML = 16 * 1024 * 1024  # characters
MOST_VALUES = 10_000_000  # of a YAML document
# what PyYAML raises for texts such as `!!int ""`, `!!bool x`, `!!timestamp x`, `1:1:…:1.0`, "\UFFFFFFFF"
YAML_ERRORS = (yaml.YAMLError, ValueError, OverflowError, LookupError, AttributeError, TypeError, RecursionError)
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


class TooMuch(ValueError):
    """YAML that would take all memory or time. `line`: where, from 1; None: the text as a whole."""

    def __init__(self, words: str, line: int | None = None) -> None:
        super().__init__(words)
        self.line = line


def read_json(text: str | bytes) -> Any:
    """The value. Raises ValueError: no JSON, or nested deeper than `DEEPEST`.

    What is nested nearly as deep as the stack can be read here and breaks whoever looks at it from a deeper place, and
    from a table again and again. A number of thousands of digits is infinite: it spoils itself and not its neighbours.
    """
    try:
        read = _read(text)
    except RecursionError as err:
        raise ValueError(f"nested deeper than {DEEPEST}") from err
    bare = text if isinstance(text, bytes) else text.encode("utf-8", "replace")
    if bare.count(b"[") + bare.count(b"{") > DEEPEST and nested(read, DEEPEST):
        raise ValueError(f"nested deeper than {DEEPEST}")
    return read


def _read(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise
    except ValueError:
        return json.loads(text, parse_int=_number)


def _number(digits: str) -> int | float:
    return int(digits) if len(digits) <= LONGEST_NUMBER else math.copysign(math.inf, -1 if digits[0] == "-" else 1)


def nested(value: object, most: int) -> bool:
    """Whether lists and objects stand in one another deeper than `most`."""
    level: list[Any] = [value]
    for _ in range(most + 1):
        level = [inner for one in level for inner in _inside(one) if type(inner) is dict or type(inner) is list]
        if not level:
            return False
    return True


def _inside(value: object) -> Iterable[object]:
    """Exact types, as the reader makes them: this is on the way of every answer."""
    return value.values() if type(value) is dict else value if type(value) is list else ()


def read_yaml(text: str) -> Any:
    """The value of one document; None: it is empty. Raises ValueError, also for several documents, and TooMuch."""
    found = read_yamls(text)
    if len(found) > 1:
        raise ValueError(f"one document is wanted, and there are {len(found)}")
    return found[0] if found else None


def read_yamls(text: str) -> list[Any]:
    """The value of each document. Raises ValueError; TooMuch for what has no end, before it is made."""
    if len(text) > LONGEST_YAML:
        raise TooMuch(f"more than {LONGEST_YAML} characters")
    try:
        loader = yaml.SafeLoader(text)
        try:
            return list(_documents(loader))
        finally:
            loader.dispose()
    except TooMuch:
        raise
    except RecursionError as err:
        raise TooMuch(f"nested deeper than {DEEPEST}") from err
    except YAML_ERRORS as err:
        raise ValueError(" ".join(str(err).split())[:300]) from err


def _documents(loader: yaml.SafeLoader) -> Iterable[Any]:
    while loader.check_node():
        node = loader.get_node()
        assert node is not None  # after check_node
        weigh(node, MOST_VALUES, DEEPEST)
        yield loader.construct_document(node)


def weigh(node: yaml.Node, most: int, deepest: int) -> None:
    """Raises TooMuch for what must not be made: with its aliases in full it has more than `most` values, is deeper than
    `deepest`, holds itself, or has a number without end. `<<: [*a, *a]`, thirty times over, fills any memory.
    """
    _weigh(node, most, deepest, {})


def _weigh(node: yaml.Node, most: int, deepest: int, known: dict[int, tuple[int, int] | None]) -> tuple[int, int]:
    """Values, and levels of lists and mappings. `known`: by node; None: it is being weighed just now."""
    line = node.start_mark.line + 1
    if id(node) in known:
        if (weight := known[id(node)]) is None:
            raise TooMuch("an alias stands within what it names", line)
        return weight
    known[id(node)] = None
    inner = [_weigh(one, most, deepest, known) for one in _parts(node)]
    values, levels = 1 + sum(values for values, _ in inner), 1 + max((levels for _, levels in inner), default=-1)
    if values > most:
        raise TooMuch(f"with its aliases written out, more than {most} values", line)
    if levels > deepest:
        raise TooMuch(f"nested deeper than {deepest}", line)
    if node.tag in _NUMBERS and isinstance(node, yaml.ScalarNode) and len(node.value) > LONGEST_NUMBER:
        raise TooMuch(f"a number of more than {LONGEST_NUMBER} digits", line)  # `1:0:0:…` has no other bound
    known[id(node)] = values, levels
    return values, levels


def _parts(node: yaml.Node) -> Iterable[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return (one for pair in node.value for one in pair)
    return node.value if isinstance(node, yaml.SequenceNode) else ()
