"""The telling lines of a job's logs, for a job that cannot speak for itself any more."""

import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from act_core.atlas.joblog import stdout_of
from act_core.atlas.translate import CE_ERRORS
from act_core.words import clean

MOST_LINES, ROOM = 20, 1000  # PanDA shows the first kilobyte
_TAIL = 1024 * 1024  # bytes of a log that are read
_LONGEST = 200  # characters of a line
_TELLING = re.compile(r"error|warning|failed|exceeded|killed", re.IGNORECASE)
_SECRET = re.compile(r"token|password|bearer|private key|secret", re.IGNORECASE)


def telling_lines(directory: Path, first: str = "") -> str | None:
    """`first`, then the last telling lines of the CE's log and of the pilot's; None: there is nothing to tell.

    Lines that may hold a secret are left out.
    """
    logs = [path for path in (directory / CE_ERRORS, stdout_of(directory)) if path is not None]
    found = [[line for line in _lines(path) if _TELLING.search(line)][-MOST_LINES // len(logs) :] for path in logs]
    told = dict.fromkeys(chain([first] if first else [], *found))
    return "\n".join(_fitting(list(told)))[:ROOM] or None


def _fitting(lines: Sequence[str]) -> Iterator[str]:
    left = ROOM
    for line in lines:
        left -= len(line) + 1
        if left < 0:
            return
        yield line


def _lines(path: Path) -> list[str]:
    """The lines at the end of a log, cut and readable; none, if it cannot be read."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL))
            text = file.read(_TAIL).decode(errors="replace")
    except OSError:
        return []
    lines = ("".join(c if c.isprintable() else " " for c in clean(line)).strip() for line in text.splitlines())
    return [line[:_LONGEST] for line in lines if line and not _SECRET.search(line)]
