"""`act jobs list`."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from act_core.cli.context import database, now, settings
from act_core.cli.job_filters import Asked, filter_of, filtered
from act_core.cli.job_words import summary
from act_core.cli.out import err, out, print_json, table
from act_core.db import listing
from act_core.db.listing import Filter
from act_core.db.session import Database
from act_core.monitor.times import brief


class Attempts(StrEnum):
    NEWEST = "newest"
    ALL = "all"


SHOWN = ("id", "app", "attempt", "ce", "state", "wish", "since", "error")
LONGEST_ERROR = 60


@filtered
def list_(
    asked: Asked,
    attempt: Annotated[Attempts, typer.Option(help="of a job only the newest attempt, or each of them")] = (
        Attempts.NEWEST
    ),
    attempts: Annotated[bool, typer.Option("--attempts", help="the same as --attempt all")] = False,
    archived: Annotated[bool, typer.Option("--archived", help="those at rest in the archive instead")] = False,
    count: Annotated[bool, typer.Option("--count", help="only how many, by application, CE and state")] = False,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="so many at most, the newest ones")] = 100,
    json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """List jobs, the newest first. Filters combine: all of them have to hold."""
    held = settings()
    with database(held) as db:
        newest = attempt is Attempts.NEWEST and not attempts
        wanted = filter_of(db, held, asked, newest=newest)
        if count:
            _tell_counts(db.read(listing.counted, wanted, archived=archived), json=json)
            return
        rows = _rows(db, wanted, limit, archived=archived)
    if json:
        print_json(rows)
    elif not rows:
        out.print("no jobs")
    else:
        _print(rows, limit)


def _rows(db: Database, wanted: Filter, limit: int, *, archived: bool) -> list[dict[str, Any]]:
    if archived:
        return [summary(row) for row in db.read(listing.resting, wanted, limit)]
    return [summary(row) for row in db.read(listing.jobs, wanted, limit)]


def _print(rows: Sequence[dict[str, Any]], limit: int) -> None:
    lines = [{key: str(value or "") for key, value in row.items()} for row in rows]
    short = [line | {"since": brief(line["since"], now()), "error": line["error"][:LONGEST_ERROR]} for line in lines]
    table(["CE" if name == "ce" else name for name in SHOWN], [[line[n] for n in SHOWN] for line in short])
    if len(rows) == limit:
        err.print(f"the newest {limit}; `--limit` shows more")


def _tell_counts(found: Sequence[listing.Count], *, json: bool) -> None:
    total = sum(one.n for one in found)
    if json:
        by = [{"app": one.app, "ce": one.ce or None, "state": one.state.value, "n": one.n} for one in found]
        print_json({"n": total, "counts": by})
        return
    if found:
        table(("app", "CE", "state", "jobs"), [(one.app, one.ce, one.state.value, str(one.n)) for one in found])
    out.print(f"{total} jobs", highlight=False)
