"""What the tables say for the books: sums by queue, set-based, over rows in use and rows at rest alike.

A row is in one of the two tables in any snapshot, so each question is one statement over both: rows may move meanwhile.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    String,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal_column,
    select,
    union_all,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.functions import FunctionElement

from act_core.atlas.accounts import Counted, Spent, cause_of, pieces
from act_core.db.models import CeJob, CeJobArchive
from act_core.db.panda_models import PandaArchive, PandaRow
from act_core.states import PANDA_FINAL, CeState, PandaEnd, PandaState

JOBS: tuple[Any, ...] = (PandaRow, PandaArchive)
ATTEMPTS: tuple[Any, ...] = (CeJob, CeJobArchive)
OPEN = tuple(sorted(state.value for state in PandaState if state not in PANDA_FINAL))
_CLOSED = PandaState.CLOSED.value
_ENDS = {one.value: one for one in PandaEnd}


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose jobs: PanDA's server as their rows name it, and the application of their attempts."""

    server: str
    app: str


class seconds_between(FunctionElement[int]):  # noqa: N801 - a function of SQL
    """Whole seconds from one time to a later one."""

    type = Integer()
    inherit_cache = True


@compiles(seconds_between)
def _mysql(element: Any, compiler: Any, **kw: Any) -> str:
    return f"TIMESTAMPDIFF(SECOND, {compiler.process(element.clauses, **kw)})"


@compiles(seconds_between, "sqlite")
def _sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    start, end = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"CAST(ROUND((JULIANDAY({end}) - JULIANDAY({start})) * 86400) AS INTEGER)"


def ended(table: Any, server: str) -> tuple[ColumnElement[bool], ...]:
    """Jobs that were closed between the parameters `since` and `until`."""
    span = table.state_since >= bindparam("since"), table.state_since < bindparam("until")
    return table.state == _CLOSED, *span, table.server == server


def parameters(start: datetime, end: datetime) -> Iterator[dict[str, datetime]]:
    """Of a statement that is sent for each piece of a span."""
    return ({"since": since, "until": until} for since, until in pieces(start, end))


def name_of(table: Any) -> ColumnElement[str]:
    """What the engine calls this PanDA job."""
    return cast(table.panda_id, String(32)).concat(".").concat(cast(table.attempt_nr, String(16)))


def counted(session: Session, server: str, start: datetime, end: datetime) -> Iterator[Counted]:
    """The jobs that ended in a span or were open at its end, by queue: a statement for each piece of the span.

    What is open is read with the last piece, in one snapshot.
    """
    over = [_ended(table, start, *ended(table, server)) for table in JOBS]
    still = [_open(PandaRow, start, PandaRow.state == state, PandaRow.server == server) for state in OPEN]
    since = [(table.state == _CLOSED, table.state_since >= bindparam("until")) for table in JOBS]
    still += [_open(table, start, *where, table.server == server) for table, where in zip(JOBS, since, strict=True)]
    early, last = union_all(*over), union_all(*over, *still)
    for piece in parameters(start, end):
        found = session.execute(last if piece["until"] == end else early, piece)
        for queue, is_open, word, told, older, n in found:
            yield Counted(queue, None if is_open else end_in_books(word, told), bool(older), n)


def end_in_books(word: str | None, told: str | None) -> PandaEnd:
    """Rows that were closed before there were books have only what PanDA was told."""
    return _ENDS.get(word or told or "", PandaEnd.TAKEN_BACK)


def _ended(table: Any, start: datetime, *where: ColumnElement[bool]) -> Select[Any]:
    words = (table.ended_as.label("word"), table.told.label("said"))
    return _lines(table, start, (literal_column("0").label("open"), *words), ("word", "said"), where)


def _open(table: Any, start: datetime, *where: ColumnElement[bool]) -> Select[Any]:
    nothing: Iterator[Any] = (literal_column("NULL").label(name) for name in ("word", "said"))
    return _lines(
        table, start, (literal_column("1").label("open"), *nothing), (), (*where, table.created < bindparam("until"))
    )


def _lines(
    table: Any, start: datetime, words: Iterable[Any], by: Iterable[str], where: Iterable[ColumnElement[bool]]
) -> Select[Any]:
    older = case((table.created < start, 1), else_=0).label("older")
    columns = (table.queue.label("queue"), *words, older, func.count().label("n"))
    return select(*columns).where(*where).group_by("queue", *by, "older")


def spent(session: Session, owner: Owner, start: datetime, end: datetime) -> list[Spent]:
    """Core-seconds of all attempts of the jobs that ended in a span; a statement for each piece of it."""
    sums: Counter[tuple[str, str, str]] = Counter()
    attempts: Counter[tuple[str, str, str]] = Counter()
    question = union_all(*(_spent(jobs, tries, owner) for jobs in JOBS for tries in ATTEMPTS))
    for piece in parameters(start, end):
        for row in session.execute(question, piece):
            if row.state is None:  # jobs whose attempts are in the other table
                continue
            as_what = end_in_books(row.ended_as, row.told)
            cause = cause_of(as_what, row.cause, CeState(row.state), bool(row.succeeded), row.rule)
            key = (row.queue, row.ce or "", cause)
            sums[key] += int(row.core_s)
            attempts[key] += row.n
    return [Spent(*key, attempts[key], sums[key]) for key in sorted(attempts)]


def _spent(jobs: Any, tries: Any, owner: Owner) -> Select[Any]:
    over = func.coalesce(tries.ended_at, tries.state_since)
    lasted = case((tries.started_at < over, seconds_between(tries.started_at, over)), else_=0)
    cores = func.coalesce(func.nullif(tries.cores, 0), tries.cores_asked)
    core_s = func.sum(func.coalesce(tries.wall_s, lasted) * cores).label("core_s")
    columns = (jobs.queue, tries.ce, jobs.ended_as, jobs.told, jobs.cause, tries.state, tries.rule)
    succeeded = case((tries.superseded_by.is_(None), 0), else_=1).label("succeeded")
    return (
        select(*columns, succeeded, func.count().label("n"), core_s)
        .select_from(jobs)
        .outerjoin(tries, attempts_of(jobs, tries, owner))  # so that jobs are read first, then the attempts of each
        .where(*ended(jobs, owner.server))
        .group_by(*columns, "succeeded")
    )


def attempts_of(jobs: Any, tries: Any, owner: Owner) -> ColumnElement[bool]:
    """The condition that joins PanDA jobs with their attempts."""
    return and_(tries.app == owner.app, tries.app_job_id == name_of(jobs))
