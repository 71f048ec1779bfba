"""Pages of jobs."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from act_core.db import job_pages
from act_core.db.job_pages import Condition
from act_core.monitor.views.figures import JobLine
from act_core.monitor.views.lines import job_line
from act_core.states import CeState

MOST = 200  # of a page
MOST_COUNTED = 10_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """Conditions that combine. `at_least`, `at_most`: how long in their state; `error`: words of the error."""

    app: str | None = None
    ces: tuple[str, ...] = ()
    states: tuple[CeState, ...] = ()
    share: str | None = None
    rule: str | None = None
    error: str | None = None
    at_least: timedelta | None = None
    at_most: timedelta | None = None
    newest: bool = True  # of each job only the newest attempt
    archived: bool = False  # rows at rest instead


@dataclass(frozen=True, slots=True)
class JobsPage:
    """`next`: the cursor of the page after this one; None: there is none. `n` with `more`: at least so many.

    `searched_all` False: only so many rows were looked at; the next page looks further.
    """

    now: datetime
    jobs: tuple[JobLine, ...]
    next: int | None
    n: int
    more: bool
    searched_all: bool = True


def jobs(session: Session, wanted: Wanted, now: datetime, cursor: int | None = None, size: int = 50) -> JobsPage:
    """The newest first, by id. `cursor`: `next` of the page before."""
    size = max(1, min(size, MOST))
    found = job_pages.page(session, _condition(wanted, now), cursor, size)
    counted = job_pages.counted(session, _condition(wanted, now), MOST_COUNTED)
    shown = tuple(job_line(row, wanted.archived) for row in found.rows)
    return JobsPage(now, shown, found.next, counted.n, counted.more, found.to_the_end)


def _condition(wanted: Wanted, now: datetime) -> Condition:
    return Condition(
        app=wanted.app,
        ces=wanted.ces,
        states=tuple(state.value for state in wanted.states),
        share=wanted.share,
        rule=wanted.rule,
        error=wanted.error,
        before=now - wanted.at_least if wanted.at_least else None,
        after=now - wanted.at_most if wanted.at_most else None,
        newest=wanted.newest,
        archived=wanted.archived,
    )
