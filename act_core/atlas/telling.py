"""The telling lines of a job's logs, for a job that cannot speak for itself any more."""

import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from act_core.atlas import logfiles
from act_core.atlas.translate import CE_ERRORS, HEARTBEAT
from act_core.words import clean, redact

MOST_LINES, ROOM = 20, 1000  # PanDA shows the first kilobyte
_MOST = 1024 * 1024  # bytes of a log that are read, at its head and its tail
_LONGEST = 200  # characters of a line
_TELLING = re.compile(r"error|warning|failed|exceeded|killed", re.IGNORECASE)
_SECRET = re.compile(r"token|password|bearer|private key|secret", re.IGNORECASE)


def telling_lines(directory: Path, first: str = "") -> str | None:
    """`first`, then the last telling lines of the CE's log and of the pilot's; None: there is nothing to tell.

    Lines that may hold a secret are left out.
    """
    logs = [name for name in (CE_ERRORS, logfiles.only_file(directory, but=HEARTBEAT)) if name]
    found = [
        [line for line in _lines(directory, name) if _TELLING.search(line)][-MOST_LINES // len(logs) :] for name in logs
    ]
    told = dict.fromkeys(chain([first] if first else [], *found))
    return redact("\n".join(_fitting(list(told))))[:ROOM] or None


def _fitting(lines: Sequence[str]) -> Iterator[str]:
    left = ROOM
    for line in lines:
        left -= len(line) + 1
        if left < 0:
            return
        yield line


def _lines(directory: Path, name: str) -> list[str]:
    """The lines of a log, cut and readable; none, if it cannot be read."""
    try:
        content = logfiles.read(directory, name, _MOST) or b""
    except OSError:
        return []
    text = clean(content.decode(errors="replace"))
    lines = ("".join(c if c.isprintable() else " " for c in line).strip() for line in text.splitlines())
    return [line[:_LONGEST] for line in lines if line and not _SECRET.search(line)]
