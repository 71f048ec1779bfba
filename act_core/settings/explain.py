"""What holds, and where it comes from; secrets are hidden."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from act_core.settings.app_model import Instance
from act_core.settings.complaints import NAMES
from act_core.settings.model import Settings
from act_core.settings.section import Section
from act_core.words import HIDDEN, redact, tells_a_secret

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Row:
    """`file`: where the key belongs. `value`: as JSON has it. `origin`: file:line, $VARIABLE or `default`."""

    file: str
    key: str
    value: Any
    origin: str

    @property
    def changed(self) -> bool:
        return self.origin != DEFAULT


def explain(settings: Settings) -> tuple[Row, ...]:
    """A row for every key of both files, those of each configured CE and queue included, in the models' order."""
    rows = [Row("", "state_dir", str(settings.state_dir), settings.lines.get("state_dir", DEFAULT))]
    rows += (
        Row(NAMES[kind], key, plain(value, key.rpartition(".")[2]), _origin(settings, key))
        for kind, key, value in leaves(settings)
    )
    return tuple(rows)


def leaves(settings: Settings) -> Iterator[tuple[str, str, Any]]:
    """File (arc, app), dotted key and value of all that holds, secrets included."""
    for kind, section in (("arc", settings.arc), ("app", settings.app)):
        yield from ((kind, key, value) for key, value in _leaves(section, ""))


def in_words(value: Any) -> str:
    """A row's value for people."""
    match value:
        case None | "":
            return "-"
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(map(in_words, value)) or "-"
        case dict():
            return ", ".join(f"{name}: {in_words(one)}" for name, one in value.items()) or "-"
        case _:
            return str(value)


def _origin(settings: Settings, key: str) -> str:
    return settings.lines.get(key, DEFAULT)


def _leaves(section: Section, above: str, own: bool = False) -> Iterator[tuple[str, Any]]:
    """Dotted keys and values; `own`: without those that are not set, which are the common ones for an instance."""
    for name in (one for one in type(section).model_fields if not own or one in section.model_fields_set):
        value, key = getattr(section, name), f"{above}{name}"
        if isinstance(value, Section):
            yield from _leaves(value, f"{key}.", own)
        elif isinstance(value, dict) and value and all(isinstance(one, Section) for one in value.values()):
            for inner, one in value.items():
                yield from _leaves(one, f"{key}.{inner}.", own or isinstance(one, Instance))
        else:
            yield key, value


def plain(value: Any, name: str = "") -> Any:
    """A value as JSON has it. A back end's own options may hold secrets too: their names tell."""
    match value:
        case SecretStr():
            return HIDDEN if value.get_secret_value() else ""
        case dict():
            return {str(key): plain(one, str(key)) for key, one in value.items()}
        case list() | tuple() | set():
            return [plain(one, name) for one in value]
        case _ if value and tells_a_secret(name):
            return HIDDEN
        case None | bool() | int() | float():
            return value
        case timedelta():
            return span(value)
        case Path() | str():
            return redact(str(value))
        case _:
            return str(value)


def span(value: timedelta) -> str:
    """As it may be written in the file: `90 s`, `30 min`, `24 h`."""
    seconds = value.total_seconds()
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
