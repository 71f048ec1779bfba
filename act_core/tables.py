"""A table of a report as a value: terminals, pages, Prefect's artifacts and programs show the same one."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from act_core.words import clean

Cell = str | int
TOTAL = "total"
_NUMBER = re.compile(r"([0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class Table:
    """The first column names the rows. `totals` is one more row, for the foot; empty: there is none."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...] = ()
    totals: tuple[Cell, ...] = ()
    note: str = ""  # what a reader should know of it

    def compact(self) -> "Table":
        """For people: without the columns in which every number is 0."""
        kept = [n for n in range(len(self.columns)) if any(row[n] != 0 for row in self.rows)]
        chosen: Callable[[Sequence[Any]], tuple[Any, ...]] = lambda row: tuple(row[n] for n in kept)  # noqa: E731
        totals = chosen(self.totals) if self.totals else ()
        return replace(self, columns=chosen(self.columns), rows=tuple(map(chosen, self.rows)), totals=totals)

    def lines(self) -> list[tuple[str, ...]]:
        """Rows and totals, as words."""
        return [tuple(map(str, row)) for row in (*self.rows, *([self.totals] if self.totals else []))]

    def markdown(self) -> str:
        """For Prefect's artifacts and tickets."""
        head = [_row(self.columns), _row(["---", *["---:"] * (len(self.columns) - 1)])]
        note = f"\n\n{_word(self.note)}" if self.note else ""
        return "\n".join([f"### {_word(self.title)}", "", *head, *map(_row, self.lines())]) + note + "\n"

    def records(self) -> list[Mapping[str, Cell]]:
        """The rows by column, without the totals."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def body(self) -> dict[str, Any]:
        """For programs: every column, whether or not there is a number in it."""
        totals = dict(zip(self.columns, self.totals, strict=True)) if self.totals else None
        return {"title": self.title, "columns": self.columns, "rows": self.records(), "totals": totals} | (
            {"note": self.note} if self.note else {}
        )


def summed(title: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]], note: str = "") -> Table:
    """A table whose foot adds up what is a number in every row."""
    columns_of = list(zip(*rows, strict=True))
    totals = [sum(column) if all(isinstance(cell, int) for cell in column) else "" for column in columns_of]
    foot = (TOTAL, *totals[1:]) if rows else ()
    return Table(title, tuple(columns), tuple(map(tuple, rows)), foot, note)


def natural(name: str) -> tuple[tuple[int, str], ...]:
    """An order in which ce2 comes before ce10."""
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in _NUMBER.split(name))


def first_natural(item: tuple[Any, Any]) -> tuple[Any, ...]:
    """The same for items by name, or by several names."""
    names = item[0] if isinstance(item[0], tuple) else (item[0],)
    return tuple(map(natural, names))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_word, cells))} |"


def _word(text: str) -> str:
    """Foreign text cannot break out of its cell."""
    return clean(text).replace("\n", " ").replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
