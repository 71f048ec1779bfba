"""What people ask of jobs: lists, a job's whole story, counts."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, func, not_, or_, select
from sqlalchemy.orm import Session

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


def _where(wanted: Filter, table: Any) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = []
    if wanted.ids:
        ids = list(wanted.ids)
        where.append(or_(table.app_job_id.in_(ids), table.submission_key.in_(ids), table.remote_id.in_(ids)))
    if wanted.app:
        where.append(table.app == wanted.app)
    if wanted.ces:
        where.append(table.ce.in_(wanted.ces))
    if wanted.states:
        where.append(table.state.in_([state.value for state in wanted.states]))
    if wanted.newest:
        where.append(table.superseded_by.is_(None))
    return where


def jobs(session: Session, wanted: Filter, limit: int) -> Sequence[CeJob]:
    """Matching attempts, the newest first: by creation, then id."""
    # Found by id, which an index holds: several transactions at once take their ids in another order than their time.
    found = session.scalars(select(CeJob).where(*_where(wanted, CeJob)).order_by(CeJob.id.desc()).limit(limit))
    return sorted(found, key=lambda job: (job.created, job.id), reverse=True)


def resting(session: Session, wanted: Filter, limit: int) -> Sequence[CeJobArchive]:
    """The same among rows at rest."""
    table = CeJobArchive
    return session.scalars(select(table).where(*_where(wanted, table)).order_by(table.id.desc()).limit(limit)).all()


def events(session: Session, job_ids: Collection[int]) -> Sequence[CeJobEvent]:
    """What happened to these attempts, in order."""
    question = select(CeJobEvent).where(CeJobEvent.job_id.in_(list(job_ids))).order_by(CeJobEvent.id)
    return session.scalars(question).all()


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


def counts(session: Session) -> list[Count]:
    """Newest attempts by application, CE and state."""
    question = (
        select(CeJob.app, CeJob.ce, CeJob.state, func.count())
        .where(CeJob.superseded_by.is_(None))
        .group_by(CeJob.app, CeJob.ce, CeJob.state)
        .order_by(CeJob.app, CeJob.ce, CeJob.state)
    )
    return [Count(app, ce or "", CeState(state), n) for app, ce, state, n in session.execute(question)]


def unsettled(session: Session) -> int:
    """How many attempts still have something before them: not final, wished for, or with news.

    A failed job that only waits to be cleaned is over: it stays on its CE for the site to look at, once nobody wants it
    away at once and no CE has refused to clean it.
    """
    failed = CeJob.state == CeState.DONEFAILED.value, CeJob.request == Request.CLEAN.value
    stays = and_(*failed, CeJob.due_at > func.coalesce(CeJob.request_at, CeJob.state_since), CeJob.tries == 0)
    question = select(func.count()).where(
        or_(CeJob.state.notin_(_FINAL), and_(CeJob.request.is_not(None), not_(stays)), CeJob.news.is_(True))
    )
    return session.execute(question).scalar_one()
