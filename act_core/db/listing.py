"""What people ask of jobs: lists, a job's whole story, counts."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, not_, or_, select
from sqlalchemy.orm import Session

from act_core.db import counting, finding
from act_core.db.models import CeJob, CeJobArchive, CeJobEvent, Description, PlacementCe
from act_core.states import FINAL, CeState, Request

_FINAL = tuple(state.value for state in FINAL)


@dataclass(frozen=True, slots=True)
class Filter:
    """Conditions that combine. `ids`: an application's ids, submission keys, or ids on the CE."""

    ids: tuple[str, ...] = ()
    app: str | None = None
    ces: tuple[str, ...] = ()
    states: tuple[CeState, ...] = ()
    newest: bool = True  # of each job only the newest attempt
    apps: tuple[str, ...] = ()  # of any of these applications
    shares: tuple[str, ...] = ()
    error: str = ""  # a part of the error's text, in whatever case
    rules: tuple[str, ...] = ()  # the error rule that was last applied
    since_before: datetime | None = None  # in their state since then, or for longer
    since_after: datetime | None = None
    made_before: datetime | None = None

    @property
    def narrows(self) -> bool:
        """Whether it names anything but applications and attempts."""
        beside = ("app", "apps", "newest")
        return any(getattr(self, one.name) for one in fields(self) if one.name not in beside)

    def words(self) -> dict[str, Any]:
        """What it says, for the audit: ids are counted."""
        said = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in ("ids", "newest")}
        found = {name: _said(value) for name, value in said.items() if value}
        return found | ({"ids": len(self.ids)} if self.ids else {})


def _said(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return [str(one) for one in value] if isinstance(value, tuple) else str(value)


def conditions(wanted: Filter, table: Any) -> list[ColumnElement[bool]]:
    """All of them but for the ids."""
    one_of = (
        (table.app, (wanted.app,) if wanted.app else ()),
        (table.app, wanted.apps),
        (table.ce, wanted.ces),
        (table.state, [state.value for state in wanted.states]),
        (table.share, wanted.shares),
        (table.rule, wanted.rules),
    )
    where: list[ColumnElement[bool]] = [column.in_(words) for column, words in one_of if words]
    if wanted.newest:
        where.append(table.superseded_by.is_(None))
    if wanted.error:
        where.append(func.lower(table.error).contains(wanted.error.lower(), autoescape=True))
    return where + _times(wanted, table)


def _times(wanted: Filter, table: Any) -> list[ColumnElement[bool]]:
    before = ((table.state_since, wanted.since_before), (table.created, wanted.made_before))
    where: list[ColumnElement[bool]] = [column <= moment for column, moment in before if moment]
    return [*where, table.state_since > wanted.since_after] if wanted.since_after else where


def _where(session: Session, wanted: Filter, table: Any) -> list[ColumnElement[bool]]:
    named = [table.id.in_(sorted(finding.numbers(session, table, wanted.ids)))] if wanted.ids else []
    return [*named, *conditions(wanted, table)]


def jobs(session: Session, wanted: Filter, limit: int) -> Sequence[CeJob]:
    """Matching attempts, the newest first: by creation, then id."""
    # Found by id, which an index holds: several transactions at once take their ids in another order than their time.
    found = session.scalars(select(CeJob).where(*_where(session, wanted, CeJob)).order_by(CeJob.id.desc()).limit(limit))
    return sorted(found, key=lambda job: (job.created, job.id), reverse=True)


def resting(session: Session, wanted: Filter, limit: int) -> Sequence[CeJobArchive]:
    """The same among rows at rest."""
    table = CeJobArchive
    return session.scalars(
        select(table).where(*_where(session, wanted, table)).order_by(table.id.desc()).limit(limit)
    ).all()


def events(session: Session, job_ids: Collection[int]) -> Sequence[CeJobEvent]:
    """What happened to these attempts, in order."""
    question = select(CeJobEvent).where(CeJobEvent.job_id.in_(list(job_ids))).order_by(CeJobEvent.id)
    return session.scalars(question).all()


def places(session: Session, ids: Sequence[str]) -> dict[str, list[str]]:
    """Of each of these jobs that is known, as it was asked for: the CE that has it, else those that may get it."""
    columns = (CeJob.app_job_id, CeJob.submission_key, CeJob.remote_id, CeJob.ce, CeJob.placement_id)
    rows = session.execute(select(*columns).where(*_where(session, Filter(ids=tuple(ids)), CeJob))).all()
    waiting = sorted({row.placement_id for row in rows if not row.ce})
    may: dict[int, list[str]] = {}
    members = select(PlacementCe.placement_id, PlacementCe.ce).where(PlacementCe.placement_id.in_(waiting))
    for placement, ce in session.execute(members.order_by(PlacementCe.ce)) if waiting else ():
        may.setdefault(placement, []).append(ce)
    found: dict[str, list[str]] = {}
    for row in rows:
        for one in {row.app_job_id, row.submission_key, row.remote_id} & set(ids):
            found.setdefault(str(one), []).extend([row.ce] if row.ce else may.get(row.placement_id, []))
    return found


def description(session: Session, description_id: int) -> str | None:
    return session.execute(select(Description.spec).where(Description.id == description_id)).scalar()


def candidates(session: Session, placement_id: int) -> Sequence[str]:
    """The CEs that may get the job."""
    return session.scalars(
        select(PlacementCe.ce).where(PlacementCe.placement_id == placement_id).order_by(PlacementCe.ce)
    ).all()


@dataclass(frozen=True, slots=True)
class Count:
    app: str
    ce: str
    state: CeState
    n: int


def counted(session: Session, wanted: Filter, *, archived: bool = False) -> list[Count]:
    """How many attempts match, by application, CE and state."""
    table = CeJobArchive if archived else CeJob
    groups: tuple[Any, ...] = (table.app, table.ce, table.state)
    question = select(*groups, func.count()).where(*_where(session, wanted, table)).group_by(*groups).order_by(*groups)
    return [Count(app, ce or "", CeState(state), n) for app, ce, state, n in session.execute(question)]


def apps(session: Session) -> list[str]:
    """The applications that have jobs in the table."""
    return list(session.scalars(select(CeJob.app).distinct().order_by(CeJob.app)))


def counts(session: Session) -> list[Count]:
    """Newest attempts by application, CE and state."""
    question = (
        select(CeJob.app, CeJob.ce, CeJob.state, func.count())
        .where(CeJob.superseded_by.is_(None))
        .group_by(CeJob.app, CeJob.ce, CeJob.state)
        .order_by(CeJob.app, CeJob.ce, CeJob.state)
    )
    return [Count(app, ce or "", CeState(state), n) for app, ce, state, n in session.execute(question)]


@dataclass(frozen=True, slots=True)
class Lately:
    """Counts, and of when they are."""

    counts: Sequence[Count]
    at: datetime


def lately(session: Session, now: datetime, *, by_tower: bool) -> Lately:
    """The same as a tower counted it a moment ago, if one counts; else as it is now, from the rows themselves."""
    at = counting.counted_at(session) if by_tower else None
    if at is None or not counting.fresh(at, now):
        return Lately(counts(session), now)
    sums: Counter[tuple[str, str, str]] = Counter()
    for row in counting.counts(session):
        sums[row.app, row.ce, row.state] += row.n
    return Lately([Count(app, ce, CeState(state), n) for (app, ce, state), n in sorted(sums.items())], at)


def open_ones() -> ColumnElement[bool]:
    """Attempts that still have something before them: not final, wished for, or with news.

    A failed job that only waits to be cleaned is over: it stays on its CE for the site to look at, once nobody wants it
    away at once and no CE has refused to clean it.
    """
    failed = CeJob.state == CeState.DONEFAILED.value, CeJob.request == Request.CLEAN.value
    stays = and_(*failed, CeJob.due_at > func.coalesce(CeJob.request_at, CeJob.state_since), CeJob.tries == 0)
    return or_(CeJob.state.notin_(_FINAL), and_(CeJob.request.is_not(None), not_(stays)), CeJob.news.is_(True))


def unsettled(session: Session) -> int:
    """How many attempts still have something before them."""
    return session.execute(select(func.count()).where(open_ones())).scalar_one()
