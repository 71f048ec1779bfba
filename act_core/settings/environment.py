"""`ACT_<SECTION>__<KEY>[__<KEY>…]=value` wins over the files. What a variable holds is never shown."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr

from act_core.errors import ConfigError
from act_core.settings.complaints import MODELS, annotation_at, nearest
from act_core.settings.document import Tree, encodable, read_document, shown

SECTIONS: Mapping[str, str] = {name: kind for kind, model in MODELS.items() for name in model.model_fields}
NOT_OURS = ("ACT_TEST_", "ACT_REAL_", "ACT_STATE_DIR", "ACT_REQUIRE")


@dataclass(slots=True)
class Overlay:
    """Variables laid over the trees of the files, by kind; `lines` then says which variable holds."""

    trees: Mapping[str, Tree]
    lines: Mapping[str, dict[str, str]]
    problems: list[str] = field(default_factory=list)

    def apply(self, env: Mapping[str, str]) -> None:
        for variable in sorted(env):
            if variable.startswith("ACT_") and not variable.startswith(NOT_OURS):
                self._variable(variable, env[variable])

    def _variable(self, variable: str, text: str) -> None:
        section, *keys = variable.removeprefix("ACT_").lower().split("__")
        kind = SECTIONS.get(section)
        if kind is None or not keys or not all(keys):
            self._not_a_key(variable, section)
            return
        path = self._known_names(variable, self.trees[kind], [section, *keys])
        if path is None:
            return
        wanted = annotation_at(MODELS[kind], path)
        if not encodable(text):
            self.problems.append(f"${variable}: not UTF-8")
        elif text and _takes_text(wanted):
            self._put(variable, kind, path, text, {})
        else:
            self._put_yaml(variable, kind, path, text)

    def _not_a_key(self, variable: str, section: str) -> None:
        """Complain, unless the name has nothing to do with a section."""
        name = variable.removeprefix("ACT_").lower()
        near = next((one for one in SECTIONS if name == one or name.startswith(f"{one}_")), None)
        if near:
            key = name.removeprefix(near).strip("_") or "key"
            self.problems.append(f"${shown(variable)}: no key; did you mean $ACT_{near.upper()}__{shown(key).upper()}?")
        elif "__" in variable:
            self.problems.append(f"${shown(variable)}: no section {shown(section)}{nearest(section, SECTIONS)}")

    def _known_names(self, variable: str, tree: Any, keys: list[str]) -> list[str] | None:
        """The keys as the files write them: `ce1_example_org` is `ce1.example.org`, if that is there."""
        path: list[str] = []
        for key in keys:
            same = [name for name in tree if _plain(name) == _plain(key)] if isinstance(tree, dict) else []
            if len(same) > 1 and key not in same:
                self.problems.append(f"${variable}: is that {' or '.join(shown(name) for name in same)}?")
                return None
            path.append(key if not same or key in same else same[0])
            tree = tree.get(path[-1]) if isinstance(tree, dict) else None
        return path

    def _put_yaml(self, variable: str, kind: str, path: list[str], text: str) -> None:
        try:
            document = read_document(text, f"${variable}")
        except ConfigError as err:
            self.problems.append(str(err))
            return
        self.problems += document.problems
        self._put(variable, kind, path, document.value, document.lines)

    def _put(self, variable: str, kind: str, path: list[str], value: Any, below: Mapping[str, str]) -> None:
        """Set or, with nothing, unset. A value of the wrong shape on the way stays: the model complains of it."""
        tree: Any = self.trees[kind]
        for key in path[:-1]:
            tree = tree.setdefault(key, {})
            if not isinstance(tree, dict):
                return
        dotted, lines = ".".join(path), self.lines[kind]
        for stale in [key for key in lines if key == dotted or key.startswith(f"{dotted}.")]:
            del lines[stale]
        tree.pop(path[-1], None)
        if value is not None:
            tree[path[-1]] = value
            lines[dotted] = f"${variable}"
            lines.update({f"{dotted}.{key}": f"${variable}" for key in below})


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower())


def _takes_text(wanted: Any) -> bool:
    """Whether the text is the value as it stands: a password `123` or `[x` is not YAML's business."""
    origin = get_origin(wanted)
    if origin in (Union, UnionType):
        return any(_takes_text(one) for one in get_args(wanted))
    if origin is Annotated:
        return _takes_text(get_args(wanted)[0])
    return origin is Literal or wanted in (str, SecretStr, Path, timedelta)
