"""How commands speak: results on stdout, the rest on stderr. Foreign text cannot steer the terminal."""

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NoReturn

from rich.console import Console
from rich.table import Table
from rich.text import Text

from act_core.monitor.times import at

out = Console(soft_wrap=True, highlight=False)
err = Console(stderr=True, soft_wrap=True, highlight=False)
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
    """A table of plain words; columns as wide as they need, folded where the terminal ends."""
    made = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(Text(plain(cell), overflow="fold") for cell in row))
    console = out if out.is_terminal else Console(width=PIPE_WIDTH, highlight=False)
    console.print(made, soft_wrap=False)


def warn(words: str) -> None:
    err.print(f"warning: {plain(words)}", style="yellow", markup=False)


def fail(words: str, code: int) -> NoReturn:
    """End with a sentence on stderr."""
    err.print(plain(words), style="red", markup=False)
    sys.exit(code)
