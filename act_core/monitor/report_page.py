"""`act report --web`: the tables as one page that needs nothing else, and that a browser loads again each minute."""

import os
import tempfile
from collections.abc import Sequence
from html import escape
from pathlib import Path

from act_core.errors import BadInput
from act_core.monitor.report import Report
from act_core.monitor.times import at
from act_core.tables import Cell, Table

REFRESH_S = 60
_STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; margin: 1.5em; color: #222; background: #fff }
h1 { font-size: 1.3em } h2 { font-size: 1.1em; margin: 1.5em 0 .3em }
.age { color: #666 } .old { color: #b00; font-weight: bold }
table { border-collapse: collapse } th, td { padding: .15em .7em; text-align: right; border-bottom: 1px solid #ddd }
th { background: #f2f2f2 } th:first-child, td:first-child, .word { text-align: left }
tr:hover td { background: #fafad2 } tfoot td { font-weight: bold; border-top: 2px solid #888 } td.none { color: #bbb }
@media (prefers-color-scheme: dark) {
  body { color: #ddd; background: #1b1b1b } th { background: #333 } tr:hover td { background: #333 }
  th, td { border-color: #444 } .old { color: #f77 }
}
"""


def page(reports: Sequence[Report], troubles: Sequence[str] = ()) -> str:
    """All reports, one section each; whatever stands in them is text, and no markup."""
    titles = ", ".join(one.tower for one in reports) or "no tower"
    sections = "".join(map(_section, reports)) + "".join(f'<p class="old">{escape(one)}</p>\n' for one in troubles)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="refresh" content="{REFRESH_S}">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>ACT report: {escape(titles)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"{sections}</body>\n</html>\n"
    )


def _section(one: Report) -> str:
    mark = "old" if one.old else "age"
    tables = "".join(_table(table.compact()) for table in one.tables if table.rows)
    return (
        f"<h1>Tower {escape(one.tower)}</h1>\n"
        f'<p class="{mark}">{escape(one.age)}. This page is of {at(one.made)}.</p>\n'
        f"{tables or '<p>No jobs.</p>'}\n"
    )


def _table(table: Table) -> str:
    words = [any(isinstance(row[n], str) for row in table.rows) for n in range(len(table.columns))]
    head = "".join(_head(column, is_word) for column, is_word in zip(table.columns, words, strict=True))
    body = "".join(f"<tr>{_cells(row)}</tr>\n" for row in table.rows)
    foot = f"<tfoot><tr>{_cells(table.totals)}</tr></tfoot>\n" if table.totals else ""
    note = f'<p class="age">{escape(table.note)}</p>\n' if table.note else ""
    return (
        f"<h2>{escape(table.title)}</h2>\n<table>\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{body}</tbody>\n{foot}</table>\n{note}"
    )


def _head(column: str, is_word: bool) -> str:
    kind = ' class="word"' if is_word else ""
    return f'<th scope="col"{kind}>{escape(column)}</th>'


def _cells(row: Sequence[Cell]) -> str:
    return "".join(_cell(cell) for cell in row)


def _cell(cell: Cell) -> str:
    if isinstance(cell, str):
        return f'<td class="word">{escape(cell)}</td>'
    return f"<td>{cell}</td>" if cell else '<td class="none">0</td>'


def write_page(file: Path, text: str) -> None:
    """Replace the file at once, readable for a web server: nobody sees half a page. Raises BadInput."""
    target = file.resolve()
    try:
        if target.is_dir():
            raise BadInput(f"{file}: is a directory; name the page's file")
        handle, name = tempfile.mkstemp(prefix=f".{target.name[:50]}.", dir=target.parent)
        made = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as out:
                out.write(text)
                out.flush()
                os.fchmod(out.fileno(), 0o644)
                os.fsync(out.fileno())
            made.replace(target)
        except OSError:
            made.unlink(missing_ok=True)
            raise
    except OSError as err:
        raise BadInput(f"{file}: the page cannot be written: {err.strerror}") from err
