"""Jobs of which the books cannot give an account, and those that may have run twice; each named, with why."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import BigInteger, CompoundSelect, and_, cast, exists, func, select, union_all
from sqlalchemy.orm import Session, aliased

from act_core.atlas.accounting import ATTEMPTS, JOBS, OPEN, Owner, attempts_of, ended, parameters
from act_core.atlas.accounts import Finding, Tried, twice_executed
from act_core.atlas.books import app_job_id
from act_core.db.bulk import chunks
from act_core.db.models import CeJob, CeJobEvent
from act_core.db.panda_models import PandaArchive, PandaRow
from act_core.states import CeState, PandaEnd, PandaState

MOST = 10_000  # findings of one kind
_UNBOUND = (
    PandaState.SENT.value,
    PandaState.FORGOTTEN.value,
    PandaState.TOREPORT.value,
)  # open jobs that need no attempt


@dataclass(frozen=True, slots=True)
class LostAnswer:
    """A call for jobs whose answer did not arrive: PanDA may have reserved up to `n` jobs for us."""

    queue: str
    at: datetime
    n: int


def unaccounted(
    session: Session,
    owner: Owner,
    patience: Mapping[PandaState, timedelta],
    now: datetime,
    lost: Sequence[LostAnswer] = (),
) -> tuple[Finding, ...]:
    """What is wrong now: jobs without attempts, attempts without jobs, jobs that stand still, lost answers."""
    answers = [Finding(f"{one.queue} {one.at:%H:%M:%S}", f"no answer to a call for {one.n} jobs") for one in lost]
    return (*_bare(session, owner), *_strays(session, owner), *_stuck(session, owner, patience, now), *answers)


def _bare(session: Session, owner: Owner) -> Iterable[Finding]:
    """Jobs that an attempt should stand for, and none does."""
    none = [~exists().where(attempts_of(PandaRow, table, owner)) for table in ATTEMPTS]
    for state in OPEN:
        if state not in _UNBOUND:
            question = select(PandaRow.panda_id, PandaRow.attempt_nr).where(
                PandaRow.state == state, PandaRow.server == owner.server, *none
            )
            for panda, nr in session.execute(question.limit(MOST)):
                yield Finding(app_job_id(panda, nr), f"{state}, and no attempt stands for it")


def _strays(session: Session, owner: Owner) -> list[Finding]:
    """Attempts in use that no PanDA job asked for."""
    dot = func.instr(CeJob.app_job_id, ".")
    panda = cast(func.substr(CeJob.app_job_id, 1, dot - 1), BigInteger)
    nr = cast(func.substr(CeJob.app_job_id, dot + 1), BigInteger)
    none = [
        ~exists().where(table.server == owner.server, table.panda_id == panda, table.attempt_nr == nr) for table in JOBS
    ]
    question = select(CeJob.app_job_id, CeJob.attempt, CeJob.state).where(CeJob.app == owner.app, *none)
    rows = session.execute(question.order_by(CeJob.app_job_id).limit(MOST))
    return [Finding(job, f"attempt {n} ({state}) belongs to no PanDA job") for job, n, state in rows]


def _stuck(
    session: Session, owner: Owner, patience: Mapping[PandaState, timedelta], now: datetime
) -> Iterable[Finding]:
    """Open jobs that have not moved for longer than their state should last."""
    for state, bound in patience.items():
        question = select(PandaRow.panda_id, PandaRow.attempt_nr, PandaRow.state_since).where(
            PandaRow.state == state.value, PandaRow.state_since < now - bound, PandaRow.server == owner.server
        )
        for panda, nr, since in session.execute(question.order_by(PandaRow.state_since).limit(MOST)):
            yield Finding(app_job_id(panda, nr), f"{state.value} since {since:%Y-%m-%d %H:%M}")


def doubly(session: Session, owner: Owner, start: datetime, end: datetime) -> tuple[Finding, ...]:
    """Jobs that ended in a span and ran, or were booked, more than once; a few statements for each piece of it."""
    found: list[Finding] = []
    twice, retried = _booked_twice(owner.server), _retried(owner)
    for piece in parameters(start, end):
        rows = sorted({(panda, nr) for panda, nr in session.execute(twice, piece)})
        found += [Finding(app_job_id(*row), "booked twice: two rows of one PandaID and attemptNr") for row in rows]
        for names in chunks(sorted(set(filter(None, session.scalars(retried, piece))))):
            tries = sorted(_tries(session, owner.app, names), key=lambda one: one.job)
            suspects = (twice_executed(list(group)) for _job, group in groupby(tries, key=lambda one: one.job))
            found += [one for one in suspects if one]
    return tuple(found)


def _retried(owner: Owner) -> CompoundSelect[Any]:
    """Jobs with more than one attempt."""
    return union_all(
        *(
            select(tries.app_job_id)
            .select_from(jobs)
            .outerjoin(tries, and_(attempts_of(jobs, tries, owner), tries.attempt > 1))  # jobs are read first
            .where(*ended(jobs, owner.server))
            .distinct()
            for jobs in JOBS
            for tries in ATTEMPTS
        )
    )


def _tries(session: Session, app: str, names: Sequence[str]) -> list[Tried]:
    """All attempts of these jobs, with what says that they ran."""
    parts = [
        select(
            *(table.id, table.app_job_id, table.attempt, table.state, table.ce),
            *(table.started_at, table.ended_at, table.wall_s, table.cpu_s),
        ).where(table.app == app, table.app_job_id.in_(names))
        for table in ATTEMPTS
    ]
    rows = session.execute(union_all(*parts)).all()
    told: set[int] = set()
    for chunk in chunks(row.id for row in rows):
        running = CeJobEvent.job_id.in_(chunk), CeJobEvent.to_state == CeState.RUNNING.value
        told |= set(session.scalars(select(CeJobEvent.job_id).where(*running)))
    return [
        Tried(
            *(row.app_job_id, row.attempt, CeState(row.state), row.ce, row.started_at, row.ended_at),
            ran=bool(row.started_at or row.wall_s or row.cpu_s or row.id in told),
        )
        for row in rows
    ]


def _booked_twice(server: str) -> CompoundSelect[Any]:
    """One (PandaID, attemptNr) in two rows, one of which was closed in the span."""
    other = aliased(PandaArchive)
    pairs: tuple[tuple[Any, Any], ...] = ((PandaRow, PandaArchive), (PandaArchive, PandaRow), (PandaArchive, other))
    parts = []
    for one, another in pairs:
        same = [another.server == server, another.panda_id == one.panda_id, another.attempt_nr == one.attempt_nr]
        same += [another.id != one.id] if another is other else []
        parts.append(select(one.panda_id, one.attempt_nr).where(*ended(one, server), exists().where(*same)))
    return union_all(*parts)


def unverified(session: Session, server: str, start: datetime, end: datetime) -> tuple[Finding, ...]:
    """Finished jobs with outputs that nobody could check."""
    question = union_all(
        *(
            select(table.panda_id, table.attempt_nr, table.unverified).where(
                *ended(table, server), table.unverified > 0, table.ended_as == PandaEnd.FINISHED.value
            )
            for table in JOBS
        )
    ).limit(MOST)
    rows = session.execute(question, {"since": start, "until": end})
    return tuple(Finding(app_job_id(panda, nr), f"{n} outputs could not be checked") for panda, nr, n in rows)
