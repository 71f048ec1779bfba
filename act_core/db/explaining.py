"""What `act explain` and `act ticket` ask of the tables, each question through an index."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session, aliased

from act_core.db.downtimes import Downtime
from act_core.db.filling import Stands
from act_core.db.models import Ce, CeJob, CeJobArchive, DailyCount, PlacementCe
from act_core.db.policy_models import CredentialRow, DowntimeRow, Orphan, Standing
from act_core.reasons import Topic
from act_core.states import ON_CE, CeState

EVERYWHERE = "*"  # a downtime of all CEs
_BAD = tuple(state.value for state in (CeState.FAILED, CeState.DONEFAILED, CeState.LOST, CeState.ABANDONED))
_GOOD = tuple(state.value for state in (CeState.FINISHED, CeState.DONE))
_OLD = 20_000  # rows at rest that are looked at: the newest


@dataclass(frozen=True, slots=True)
class Waiting:
    """Jobs of a share that wait for a CE (or for another of their candidates)."""

    share: str
    n: int
    oldest: datetime


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt that ended at a CE."""

    app_job_id: str
    remote_id: str | None
    state: CeState
    at: datetime
    error: str
    exit_code: int | None
    description_id: int


def ce_rows(session: Session, names: Collection[str]) -> dict[str, Ce]:
    return {row.name: row for row in session.scalars(select(Ce).where(Ce.name.in_(list(names))))}


def held_up(session: Session, names: Collection[str]) -> list[Standing]:
    """The reasons that hold at these CEs, but for those of single jobs; the oldest first."""
    topics = [topic.value for topic in Topic]  # the first column of the index
    question = select(Standing).where(
        Standing.topic.in_(topics), Standing.ce.in_(list(names)), Standing.job_id == 0
    )  # fmt: skip
    return list(session.scalars(question.order_by(Standing.since, Standing.topic)))


def downtimes(session: Session, now: datetime) -> list[DowntimeRow]:
    """What is not over, the next one first; `concerns` tells whom."""
    return list(session.scalars(select(DowntimeRow).where(DowntimeRow.end > now).order_by(DowntimeRow.start)))


def concerns(one: DowntimeRow, name: str, endpoint: str) -> bool:
    """Downtimes name CEs by name, by endpoint, or all of them."""
    return Downtime(one.ce, one.start, one.end).concerns(name, endpoint)


def stands(session: Session, names: Collection[str]) -> dict[str, list[Stands]]:
    """What counts against the limits of these CEs, out of the index alone."""
    question = (
        select(CeJob.ce, CeJob.share, CeJob.state, func.count(), func.sum(CeJob.cores_asked), func.max(CeJob.priority))
        .where(CeJob.ce.in_(list(names)), CeJob.state.in_([state.value for state in ON_CE]))
        .group_by(CeJob.ce, CeJob.share, CeJob.state)
    )
    found: dict[str, list[Stands]] = {}
    for ce, share, state, n, cores, top in session.execute(question):
        found.setdefault(str(ce), []).append(Stands(share, CeState(state), n, int(cores), top))
    return found


@dataclass(frozen=True, slots=True)
class Missing:
    """A job that should be at a CE and that its good answers do not know."""

    remote_id: str | None
    state: CeState
    since: datetime


def missing(session: Session, ce: str) -> list[Missing]:
    """The oldest first."""
    question = select(CeJob.remote_id, CeJob.state, CeJob.absent_since).where(
        CeJob.ce == ce, CeJob.state.in_([state.value for state in ON_CE]), CeJob.absent_since.is_not(None)
    )
    found = session.execute(question.order_by(CeJob.id))
    return [Missing(remote_id, CeState(state), since) for remote_id, state, since in found]


def orphan(session: Session, ids: Collection[str]) -> Orphan | None:
    """A job on a CE, by its id there or by its submission key, for which no living attempt stands."""
    named = or_(Orphan.remote_id.in_(list(ids)), Orphan.submission_key.in_(list(ids)))
    return session.scalars(select(Orphan).where(named).order_by(Orphan.first_seen).limit(1)).one_or_none()


def credential(session: Session, path: str) -> CredentialRow | None:
    return session.scalars(select(CredentialRow).where(CredentialRow.path == path)).one_or_none()


def at_ce(session: Session, ce: str) -> list[tuple[str, CeState, int]]:
    """Share, state, number: attempts that are not at rest there."""
    question = (
        select(CeJob.share, CeJob.state, func.count()).where(CeJob.ce == ce).group_by(CeJob.share, CeJob.state)
    )  # fmt: skip
    return [(share, CeState(state), n) for share, state, n in session.execute(question.order_by(CeJob.share))]


def waiting_for(session: Session, ce: str) -> list[Waiting]:
    """What could go to this CE, by share."""
    places = select(PlacementCe.placement_id).where(PlacementCe.ce == ce)
    question = (
        select(CeJob.share, func.count(), func.min(CeJob.state_since))
        .where(CeJob.state == CeState.TOSUBMIT.value, CeJob.placement_id.in_(places))
        .group_by(CeJob.share)
        .order_by(CeJob.share)
    )
    return [Waiting(share, n, oldest) for share, n, oldest in session.execute(question)]


def neighbours(session: Session, ce: str, limit: int) -> Sequence[str]:
    """Other CEs that jobs of this one may go to."""
    here, there = aliased(PlacementCe), aliased(PlacementCe)
    question = (
        select(there.ce)
        .join(here, here.placement_id == there.placement_id)
        .where(here.ce == ce, there.ce != ce)
        .distinct()
        .order_by(there.ce)
    )
    return session.scalars(question.limit(limit)).all()


def ended_badly(session: Session, ce: str, since: datetime, limit: int) -> list[Ended]:
    """The newest attempts that came to a bad end there, rows at rest included; the newest first."""
    return _ended(session, ce, _BAD, since, limit)


def ended_well(session: Session, ce: str, since: datetime) -> Ended | None:
    """The last one that ended well."""
    return next(iter(_ended(session, ce, _GOOD, since, 1)), None)


def _ended(session: Session, ce: str, states: Sequence[str], since: datetime, limit: int) -> list[Ended]:
    old = aliased(
        CeJobArchive,
        select(CeJobArchive)
        .where(CeJobArchive.modified >= since)
        .order_by(CeJobArchive.modified.desc())
        .limit(_OLD)
        .subquery(),
    )
    found: list[Ended] = []
    for table in (CeJob, old):
        columns = (
            table.app_job_id, table.remote_id, table.state, table.state_since, table.error, table.exit_code,
            table.description_id,
        )  # fmt: skip
        question = select(*columns).where(table.ce == ce, table.state.in_(states), table.state_since >= since)
        rows = session.execute(question.order_by(table.state_since.desc()).limit(limit))
        found += [Ended(job, remote, CeState(s), at, e or "", code, d) for job, remote, s, at, e, code, d in rows]
    return sorted(found, key=lambda one: one.at, reverse=True)[:limit]


def days(session: Session, ce: str, first: str) -> list[tuple[str, CeState, int]]:
    """Day, state, number of the attempts that came to rest there since a day (2026-03-01)."""
    question = (
        select(DailyCount.day, DailyCount.state, func.sum(DailyCount.n))
        .where(DailyCount.day >= first, DailyCount.ce == ce)
        .group_by(DailyCount.day, DailyCount.state)
        .order_by(DailyCount.day)
    )
    return [(day, CeState(state), int(n)) for day, state, n in session.execute(question)]
