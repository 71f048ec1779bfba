"""What a benchmark found: figures, what is wanted of them, and the document that holds them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column, Table

SCHEMA = 1
DIGITS, WIDE = 5, 110


class Unreadable(Exception):
    """A file of results that is none."""


@dataclass(frozen=True, slots=True)
class Figure:
    """`wanted`: at most so much, in the same unit; None: nothing is wanted of it."""

    part: str
    case: str
    what: str
    value: float
    unit: str = ""
    wanted: float | None = None

    @property
    def met(self) -> bool | None:
        return None if self.wanted is None else self.value <= self.wanted


@dataclass(frozen=True, slots=True)
class Case:
    """One measurement. `said`: what was not well, in words; `took_s`: seconds with all that it needs around it."""

    part: str
    name: str
    took_s: float
    figures: tuple[Figure, ...]
    said: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def document(about: dict[str, Any], cases: Iterable[Case]) -> dict[str, Any]:
    """As it is written; `about`: the machine, the commit, the moment."""
    return {"schema": SCHEMA, "about": about, "cases": [asdict(case) for case in cases]}


def read(path: Path) -> tuple[dict[str, Any], list[Case]]:
    """What `document` made. Raises Unreadable."""
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        if held["schema"] != SCHEMA:
            raise Unreadable(f"{path}: schema {held['schema']} is not {SCHEMA}: measure again")
        cases = [
            Case(**one | {"figures": tuple(Figure(**f) for f in one["figures"]), "said": tuple(one["said"])})
            for one in held["cases"]
        ]
        return dict(held["about"]), cases
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise Unreadable(f"{path}: no results of `make bench`: {err}") from err


def figures_of(part: str, case: str, found: Sequence[tuple[str, float, str]], wanted: dict[str, float]) -> list[Figure]:
    """Of (what, value, unit)."""
    return [Figure(part, case, what, rounded(value), unit, wanted.get(what)) for what, value, unit in found]


def told(cases: Iterable[Case]) -> Table:
    """The figures for people, the wanted one beside each of which something is wanted."""
    table = Table(
        Column("figure", no_wrap=True),
        Column("measured", justify="right", no_wrap=True),
        Column("unit"),
        Column("wanted", justify="right", no_wrap=True),
        Column("met"),
    )
    for case in cases:
        table.add_row(f"{case.part}: {case.name}", style="bold")
        for one in case.figures:
            wanted = "" if one.wanted is None else f"≤ {one.wanted:g}"
            met = {None: "", True: "yes", False: "NO"}[one.met]
            style = "red" if one.met is False else ""
            table.add_row(f"  {one.what}", f"{one.value:g}", one.unit, wanted, met, style=style)
        for words in case.said:
            table.add_row(f"  {words}", style="red")
        table.add_section()
    return table


def show(cases: Iterable[Case]) -> None:
    """Print the table; where nobody looks, as wide as it wants to be."""
    console = Console()
    (console if console.is_terminal else Console(width=WIDE)).print(told(cases))
