"""Campaigns in the tables: added, told, steered, and put away when they are over."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import delete, exists, func, insert, select, true, update
from sqlalchemy.orm import Session

from act_core.db import wishes
from act_core.db.arrivals import NewJob, add_jobs
from act_core.db.bulk import chunks
from act_core.errors import BadInput
from act_core.ids import TowerId
from act_core.runtime import Counts, Runtime
from act_core.simple.campaign import Plan
from act_core.simple.options import options
from act_core.simple.tables import NAME, OVER, Campaign, Job, JobState
from act_core.states import Request

CHUNK = 1000
_OVER = [state.value for state in OVER]


@dataclass(frozen=True, slots=True)
class Told:
    """A campaign and where its jobs stand."""

    campaign: Campaign
    jobs: Mapping[JobState, int]

    @property
    def state(self) -> str:
        if self.campaign.archived_at is not None:
            return "archived"
        return "over" if all(state in OVER for state in self.jobs) else "at work"


def add(session: Session, tower: TowerId, plan: Plan, ces: frozenset[str], directory: Path, now: datetime) -> None:
    """All of its jobs or none. Raises BadInput for a name that was used before."""
    if session.get(Campaign, plan.name) is not None:
        raise BadInput(f"there is a campaign {plan.name} already (`act simple list --all`): choose another name")
    row = {"name": plan.name, "directory": str(directory), "resubmissions": plan.resubmissions, "created": now}
    session.execute(insert(Campaign).values(row | {"jobs": len(plan.specs), "done": 0, "failed": 0, "cancelled": 0}))
    jobs = [
        NewJob(NAME, f"{plan.name}.{number}", spec, ces, plan.resubmissions, plan.share)
        for number, spec in enumerate(plan.specs, 1)
    ]
    add_jobs(session, tower, jobs, now)
    common = {"campaign": plan.name, "state": JobState.WAITING.value, "attempts": 1, "collect": False, "modified": now}
    rows = [common | {"number": number, "app_job_id": job.app_job_id} for number, job in enumerate(jobs, 1)]
    session.execute(insert(Job), rows)


def campaigns(session: Session, archived: bool = False) -> list[Told]:
    """The newest first; `archived`: those that were put away, too."""
    question = select(Campaign).order_by(Campaign.created.desc(), Campaign.name)
    found = session.scalars(question if archived else question.where(Campaign.archived_at.is_(None))).all()
    return _told(session, found)


def campaign(session: Session, name: str) -> Told:
    """Raises BadInput for an unknown one."""
    found = session.get(Campaign, name)
    if found is None:
        raise BadInput(f"no campaign {name!r}: `act simple list --all`")
    return _told(session, [found])[0]


def _told(session: Session, found: Sequence[Campaign]) -> list[Told]:
    jobs: dict[str, dict[JobState, int]] = {one.name: {} for one in found}
    for one in found:
        if one.archived_at is not None:
            ends = zip(OVER, (one.done, one.failed, one.cancelled), strict=True)
            jobs[one.name] = {state: n for state, n in ends if n}
    for names in chunks(one.name for one in found if one.archived_at is None):
        counted = select(Job.campaign, Job.state, func.count()).where(Job.campaign.in_(names))
        for name, state, n in session.execute(counted.group_by(Job.campaign, Job.state)):
            jobs[name][JobState(state)] = n
    return [Told(one, jobs[one.name]) for one in found]


def jobs_of(session: Session, name: str, states: Collection[JobState] = tuple(JobState)) -> Sequence[Job]:
    wanted = (Job.campaign == name, Job.state.in_([state.value for state in states]))
    return session.scalars(select(Job).where(*wanted).order_by(Job.number)).all()


def steer(
    session: Session, name: str, request: Request, states: Collection[JobState], now: datetime, force: bool = False
) -> Mapping[str, str]:
    """Wish for something of a campaign's jobs in these states; returns what became of each wish."""
    campaign(session, name)
    ids = [job.app_job_id for job in jobs_of(session, name, states)]
    said = wishes.wish(session, NAME, ids, request, now, force=force)
    if request is Request.RESUBMIT and any(answer == request.value for answer in said.values()):
        session.execute(update(Campaign).where(Campaign.name == name).values(ended_at=None))
    return said


def clean(session: Session, name: str, now: datetime) -> None:
    """Its owner wants no more of it: what lives is cancelled, the CEs are cleaned, its jobs leave the lists."""
    ids = [job.app_job_id for job in jobs_of(session, name)]
    wishes.wish(session, NAME, ids, Request.CLEAN, now)
    wishes.release(session, NAME, ids, now)
    session.execute(update(Campaign).where(Campaign.name == name).values(cleaned_at=now))


async def archive(rt: Runtime) -> Counts:
    """Note which campaigns are over, and put away those that have been so for long enough, or were cleaned."""
    ended, before = await rt.write(_ended, rt.now()), rt.now() - options(rt.settings).keep
    put_away = 0
    for name in await rt.read(_to_put_away, before):
        while await rt.write(_put_away, name, rt.now()):
            put_away += 1
    return Counts(ended=ended, put_away=put_away) if ended or put_away else Counts()


def _ended(session: Session, now: datetime) -> int:
    goes_on = exists().where(Job.campaign == Campaign.name, (Job.collect == true()) | Job.state.notin_(_OVER))
    over = session.scalars(select(Campaign.name).where(Campaign.ended_at.is_(None), ~goes_on)).all()
    for names in chunks(over):
        session.execute(update(Campaign).where(Campaign.name.in_(names)).values(ended_at=now))
    return len(over)


def _to_put_away(session: Session, before: datetime) -> Sequence[str]:
    over = (Campaign.archived_at.is_(None), Campaign.ended_at.is_not(None))
    long_ago = (Campaign.ended_at < before) | Campaign.cleaned_at.is_not(None)
    return session.scalars(select(Campaign.name).where(*over, long_ago)).all()


def _put_away(session: Session, name: str, now: datetime) -> int:
    """Count and remove a chunk of its jobs; 0: none was left, and it is archived."""
    rows = session.execute(select(Job.id, Job.app_job_id, Job.state).where(Job.campaign == name).limit(CHUNK)).all()
    if not rows:
        session.execute(update(Campaign).where(Campaign.name == name).values(archived_at=now))
        return 0
    n = {state: sum(row.state == state for row in rows) for state in OVER}
    counts = {
        column.key: column + n[JobState(column.key)] for column in (Campaign.done, Campaign.failed, Campaign.cancelled)
    }
    session.execute(update(Campaign).where(Campaign.name == name).values(counts))
    wishes.release(session, NAME, [row.app_job_id for row in rows], now)
    session.execute(delete(Job).where(Job.id.in_([row.id for row in rows])))
    return len(rows)
