"""Pages of attempts, the newest first: however the filter is, so many rows are looked at for one page and no more."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from act_core.db.models import AttemptColumns, CeJob, CeJobArchive, JobCount

LOOKED_AT = 50_000  # rows for one page, where no index serves the filter
_EVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Condition:
    """Conditions that combine. `before`, `after`: since when it is in its state; `error`: a part of its error."""

    app: str | None = None
    ces: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    share: str | None = None
    rule: str | None = None
    error: str | None = None
    before: datetime | None = None
    after: datetime | None = None
    newest: bool = True
    archived: bool = False

    @property
    def countable(self) -> bool:
        """Whether the counts of the tower know how many there are."""
        return self.newest and not self.archived and not (self.rule or self.error or self.before or self.after)


@dataclass(frozen=True, slots=True)
class Page:
    """`next`: the id before which the next page begins; None: there is none. `to_the_end`: all rows were looked at."""

    rows: Sequence[AttemptColumns]
    next: int | None
    to_the_end: bool


@dataclass(frozen=True, slots=True)
class Counted:
    n: int
    more: bool  # at least so many


def page(session: Session, wanted: Condition, cursor: int | None, size: int) -> Page:
    """At most so many, from `cursor` on."""
    table: Any = CeJobArchive if wanted.archived else CeJob
    begin, floor = _window(session, table, wanted, cursor)
    where = [*_where(wanted, table), *begin, *([table.id >= floor] if floor else [])]
    rows: list[AttemptColumns] = list(
        session.scalars(select(table).where(*where).order_by(table.id.desc()).limit(size + 1))
    )
    if len(rows) > size:
        return Page(rows[:size], rows[size - 1].id, to_the_end=True)
    return Page(rows, floor, to_the_end=floor is None)


def counted(session: Session, wanted: Condition, most: int) -> Counted:
    """How many there are; of what is not counted anyway, at most so many and among the newest rows."""
    if wanted.countable:
        question = select(func.coalesce(func.sum(JobCount.n), 0)).where(*_counts(wanted))
        return Counted(int(session.execute(question).scalar_one()), more=False)
    table: Any = CeJobArchive if wanted.archived else CeJob
    _, floor = _window(session, table, wanted, None)
    where = [*_where(wanted, table), *([table.id >= floor] if floor else [])]
    some = select(table.id).where(*where).limit(most + 1).subquery()
    n = session.execute(select(func.count()).select_from(some)).scalar_one()
    return Counted(min(n, most), more=n > most or floor is not None)


def _window(
    session: Session, table: Any, wanted: Condition, cursor: int | None
) -> tuple[list[ColumnElement[bool]], int | None]:
    """Where the page begins, and the smallest id that is looked at; None: there are no more rows than that."""
    begin = [table.id < cursor] if cursor is not None else []
    of_ces = bool(wanted.ces) and not wanted.archived  # an index of the hot table finds these
    if of_ces or wanted == Condition(archived=wanted.archived):
        return begin, None
    looked = select(table.id).where(*begin).order_by(table.id.desc()).offset(LOOKED_AT - 1).limit(1)
    return begin, session.execute(looked).scalar()


def _where(wanted: Condition, table: Any) -> list[ColumnElement[bool]]:
    asked = (
        (wanted.app is not None, table.app == wanted.app),
        (wanted.share is not None, table.share == wanted.share),
        (wanted.ces, table.ce.in_(wanted.ces)),
        (wanted.states, table.state.in_(wanted.states)),
        (wanted.rule, table.rule == wanted.rule),
        (wanted.error, table.error.contains(wanted.error or "", autoescape=True)),
        (wanted.before, table.state_since <= (wanted.before or _EVER)),
        (wanted.after, table.state_since >= (wanted.after or _EVER)),
        (wanted.newest, table.superseded_by.is_(None)),
    )
    return [condition for holds, condition in asked if holds]


def _counts(wanted: Condition) -> list[ColumnElement[bool]]:
    asked = (
        (wanted.app is not None, JobCount.app == wanted.app),
        (wanted.share is not None, JobCount.share == wanted.share),
        (wanted.ces, JobCount.ce.in_(wanted.ces)),
        (wanted.states, JobCount.state.in_(wanted.states)),
    )
    return [condition for holds, condition in asked if holds]
