"""How commands speak: results on stdout, the rest on stderr. Foreign text cannot steer the terminal."""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NoReturn

from rich.console import Console
from rich.table import Table
from rich.text import Text

from act_core.monitor.times import at
from act_core.words import redact

out = Console(soft_wrap=True, highlight=False)
err = Console(stderr=True, soft_wrap=True, highlight=False)
NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
PIPE_WIDTH = 10_000  # a line of a table that goes into a pipe is not broken


def plain(text: str) -> str:
    """The text with control characters spelled out; line ends stay."""
    return "".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text)


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(value, indent=2, default=_text, ensure_ascii=False) + "\n")


def _text(value: Any) -> str | None:
    return at(value) if isinstance(value, datetime) else str(value)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str | None = None) -> None:
    """A table of plain words; columns as wide as they need, folded where the terminal ends; numbers to the right."""
    made = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    lines = [[plain(cell) for cell in row] for row in rows]
    for n, column in enumerate(columns):
        cells = [line[n] for line in lines if line[n]]
        numbers = bool(cells) and all(NUMBER.fullmatch(cell) for cell in cells)
        made.add_column(column, overflow="fold", justify="right" if numbers else "left")
    for line in lines:
        made.add_row(*(Text(cell, overflow="fold") for cell in line))
    if out.is_terminal:
        out.print(made, soft_wrap=False)
        return
    wide = Console(width=PIPE_WIDTH, highlight=False)
    with wide.capture() as said:
        wide.print(made, soft_wrap=False)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in said.get().splitlines()))


def warn(words: str) -> None:
    err.print(f"warning: {plain(redact(words))}", style="yellow", markup=False)


def fail(words: str, code: int) -> NoReturn:
    """End with a sentence on stderr."""
    err.print(plain(redact(words)), style="red", markup=False)
    sys.exit(code)
