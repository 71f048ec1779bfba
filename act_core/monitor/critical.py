"""What the tower's own log files call an error: read backwards, and no further than they are asked for."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from act_core.errors import BadInput

BLOCK = 256 * 1024
MOST = 64 * 1024 * 1024  # bytes that are read in all
TRACE = 400  # lines of a traceback that are kept
LEVELS = ("ERROR", "CRITICAL")
_LINE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})Z ([A-Z]+) (\S+) (.*)")
_DAILY = re.compile(r"act-(\d{4}-\d\d-\d\d)\.log")
_VARIES = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{12,}\b|\d+", re.IGNORECASE)  # numbers, ids, addresses
_NAME = 200  # characters of a group's words


@dataclass(frozen=True, slots=True)
class Entry:
    """A line and the traceback below it."""

    at: datetime
    level: str
    logger: str
    words: str
    trace: tuple[str, ...] = ()


@dataclass(slots=True)
class Group:
    """Lines that differ in numbers only; `newest` stands for them."""

    n: int
    newest: Entry


@dataclass(frozen=True, slots=True)
class Critical:
    """Groups, those that spoke last first. `cut`: more was written than is read, so that there may be more of them."""

    n: int
    groups: tuple[Group, ...]
    cut: bool = False


def critical(directory: Path, since: datetime, most: int = MOST) -> Critical:
    """The errors since then, in the last `most` bytes. Raises BadInput if there is no log, or none that may be read."""
    groups: dict[tuple[str, str, str], Group] = {}
    tail = _Tail(directory, since, most)
    n = 0
    for entry in _entries(tail.lines(), since):
        n += 1
        key = entry.level, entry.logger, _VARIES.sub("#", entry.words)[:_NAME]
        if key in groups:
            groups[key].n += 1
        else:
            groups[key] = Group(1, entry)
    return Critical(n, tuple(groups.values()), tail.cut)


def _entries(lines: Iterator[str], since: datetime) -> Iterator[Entry]:
    """The newest first, until they are older; `lines` come from the end of the newest file."""
    below: list[str] = []
    for line in lines:
        found = _LINE.match(line)
        if found is None:
            below.append(line)
            del below[:-TRACE]
            continue
        at = datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
        if at < since:
            return
        if found[2] in LEVELS:
            yield Entry(at, found[2], found[3], found[4], tuple(reversed(below)))
        below = []


@dataclass(slots=True)
class _Tail:
    directory: Path
    since: datetime
    left: int
    cut: bool = False

    def lines(self) -> Iterator[str]:
        """All lines of the days since then, from the last one back, as far as is read."""
        for path in self._files():
            yield from self._lines_of(path)

    def _files(self) -> Sequence[Path]:
        """The newest first; of the day of `since`, too."""
        first = f"{self.since.astimezone(UTC):%Y-%m-%d}"
        try:
            names = sorted(path.name for path in self.directory.iterdir() if _DAILY.fullmatch(path.name))
        except OSError as err:
            raise BadInput(
                f"{self.directory}: no log is there: {err.strerror}; was a tower up with these settings? "
                "(logger.logdir, $ACT_STATE_DIR)"
            ) from err
        if not names:
            raise BadInput(f"{self.directory}: no log is there; was a tower up with these settings?")
        return [self.directory / name for name in reversed(names) if name[4:14] >= first]

    def _lines_of(self, path: Path) -> Iterator[str]:
        try:
            with path.open("rb") as file:
                end, rest = file.seek(0, 2), b""
                while end > 0:
                    if self.left <= 0:
                        self.cut = True
                        return
                    start = max(end - BLOCK, 0)
                    file.seek(start)
                    block = file.read(end - start)
                    self.left -= len(block)
                    first, *whole = (block + rest).split(b"\n")
                    yield from (line.decode(errors="replace") for line in reversed(whole) if line)
                    rest, end = first[-BLOCK:], start
                if rest:
                    yield rest.decode(errors="replace")
        except OSError as err:
            raise BadInput(f"{path}: cannot be read: {err.strerror}") from err
