"""One shape of log line, `2026-11-21T02:44:48.123Z INFO act.engine.submit ce=ce1 …`, and nothing secret in it."""

import logging
import os
import re
import sys
from datetime import UTC, date, datetime, timedelta
from io import TextIOWrapper
from pathlib import Path
from typing import Protocol, TextIO

from act_core.errors import ConfigError
from act_core.words import redact

ROOT = "act"
MAX_WORDS, MAX_TRACE = 8_000, 40_000  # foreign text is cut there
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class Wishes(Protocol):
    """What is used of the settings' section `logger`."""

    @property
    def level(self) -> str: ...
    @property
    def logdir(self) -> Path | None: ...
    @property
    def rotate(self) -> int: ...


def log(name: str) -> logging.Logger:
    """The logger of a module; `act_core.engine.submit` speaks as `act.engine.submit`."""
    package, _, rest = name.partition(".")
    words = [ROOT, *([] if package in (ROOT, "act_core") else [package]), *([rest] if rest else [])]
    return logging.getLogger(".".join(words))


def configure(wishes: Wishes, state_dir: Path, stream: TextIO | None = None) -> None:
    """Write to `stream` (stderr) and to a file a day, instead of where it wrote before.

    Raises ConfigError if there can be no file.
    """
    directory = wishes.logdir or state_dir / "log"
    close()
    try:
        directory.mkdir(mode=0o750, parents=True, exist_ok=True)
        daily = DailyFile(directory, wishes.rotate)
    except OSError as err:
        raise ConfigError(f"{directory}: no log can be written there: {err.strerror}") from err
    root = logging.getLogger(ROOT)
    for handler in (logging.StreamHandler(stream or sys.stderr), daily):
        handler.setFormatter(Line())
        root.addHandler(handler)
    root.setLevel(wishes.level.upper())
    root.propagate = False


def close() -> None:
    """Undo `configure`."""
    root = logging.getLogger(ROOT)
    for handler in root.handlers[:]:
        if isinstance(handler.formatter, Line):
            root.removeHandler(handler)
            handler.close()
    root.setLevel(logging.NOTSET)
    root.propagate = True


class Line(logging.Formatter):
    """One line a record, whatever foreign text it carries; a traceback follows, indented.

    It redacts here and not in a filter, since a filter sees no traceback.
    """

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
        words = _CONTROL.sub(_spelled, redact(_cut(record.getMessage(), MAX_WORDS)))
        line = f"{at}Z {record.levelname} {record.name} {words}"
        if record.exc_info and record.exc_info[0]:
            trace = redact(_cut(self.formatException(record.exc_info), MAX_TRACE))
            line += "".join(f"\n    {_CONTROL.sub(_spelled, part)}" for part in trace.split("\n"))
        return line


def _spelled(found: re.Match[str]) -> str:
    return ascii(found[0])[1:-1]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most} characters more)"


class DailyFile(logging.FileHandler):
    """`act-2026-11-21.log`, by UTC days: named by the day and only appended to, so that processes may share it."""

    def __init__(self, directory: Path, days: int) -> None:
        self._directory, self._days = directory, days
        self._day = datetime.now(UTC).date()
        super().__init__(directory / _name(self._day), encoding="utf-8")
        self._forget()

    def _open(self) -> TextIOWrapper:
        return os.fdopen(
            os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640), "a", encoding="utf-8"
        )

    def emit(self, record: logging.LogRecord) -> None:
        day = datetime.fromtimestamp(record.created, UTC).date()
        if day > self._day:
            self._day = day
            self._turn(record)
        super().emit(record)

    def _turn(self, record: logging.LogRecord) -> None:
        """To the next day's file; a file that cannot be closed or removed stops nobody's work."""
        try:
            self.baseFilename = str(self._directory.absolute() / _name(self._day))
            if yesterday := self.setStream(self._open()):
                yesterday.close()
            self._forget()
        except OSError:
            self.handleError(record)

    def _forget(self) -> None:
        """Remove the files that are older than the days that are kept."""
        oldest = _name(self._day - timedelta(days=self._days))
        for path in self._directory.glob("act-????-??-??.log"):
            if path.name <= oldest:
                path.unlink(missing_ok=True)


def _name(day: date) -> str:
    return f"act-{day:%Y-%m-%d}.log"
