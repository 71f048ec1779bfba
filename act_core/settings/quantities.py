"""Times, paths and switches as an operator writes them."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

_UNITS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_SIZES = {"": 1, "%": 0.01, "MB": 1e6, "GB": 1e9, "TB": 1e12}
_ROOM = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(%|MB|GB|TB|)")
_TIME = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(s|m|min|h|d|)")


def _seconds(value: Any) -> Any:
    """The original's files give plain numbers of seconds; `90 s`, `30 min`, `24 h`, `7 d` are accepted beside them."""
    if isinstance(value, timedelta):
        return value
    match = None if isinstance(value, bool) else _TIME.fullmatch(str(value).strip())
    try:
        if match:
            return timedelta(seconds=float(match[1]) * _UNITS[match[2]])
    except OverflowError:
        pass
    raise ValueError("a time is wanted: seconds, or a number with s, min, h or d")


def _room(value: Any) -> Any:
    """A part of a disk (`0.15`, `15 %`) or a size (`20 GB`): below 1 a part, from 1 on bytes."""
    match = None if isinstance(value, bool) else _ROOM.fullmatch(str(value).strip())
    if match is None or (match[2] == "" and float(match[1]) >= 1) or (match[2] == "%" and float(match[1]) >= 100):
        raise ValueError("a part of the disk is wanted, such as 0.15 or 15 %, or a size, such as 20 GB")
    return float(match[1]) * _SIZES[match[2]]


def _switch(value: Any) -> Any:
    """YAML reads a bare `on` or `off` as a truth value; so it does `yes` and `no`."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


def _path(value: Any) -> Any:
    """`~` is the home directory; an empty text would mean the working directory, which nobody means."""
    if not isinstance(value, str):
        return value
    if not value.strip() or not value.isprintable():
        raise ValueError("a path is wanted, not an empty or unprintable text")
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise ValueError("there is no such home directory") from None


Seconds = Annotated[
    timedelta,
    BeforeValidator(_seconds),
    PlainSerializer(lambda t: t.total_seconds(), return_type=float, when_used="json"),
]
FilePath = Annotated[Path, BeforeValidator(_path)]
Room = Annotated[float, BeforeValidator(_room)]
Switch = BeforeValidator(_switch)
