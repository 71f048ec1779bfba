"""The table of orphans: jobs on the CEs that carry our name and that no living attempt stands for."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, delete, func, insert, or_, select, update
from sqlalchemy.orm import Session

from act_core.db.attempts import Attempt, as_attempt, attempts
from act_core.db.bulk import chunks
from act_core.db.models import CeJob
from act_core.db.policy_models import Orphan
from act_core.ids import RemoteId, SubmissionKey
from act_core.states import ON_CE, CeState

LISTS_READ = timedelta(minutes=45)  # `reconcile-ces` runs each 30 minutes
_SEEN_EVERY = timedelta(minutes=5)  # last_seen of one that is seen at every pass is written no more often
# Rows that say nothing of whether the CE still has the job.
_UNSURE = (CeState.LOST.value, CeState.ABANDONED.value)


@dataclass(frozen=True, slots=True)
class Sighted:
    """One that is in the CE's list now."""

    remote_id: RemoteId
    key: SubmissionKey
    known: bool  # its attempt is in our tables, and over
    first_seen: datetime
    killed_at: datetime | None = None


def expected(session: Session, ce: str) -> frozenset[RemoteId]:
    """The ids that a list of this CE may name without a second look: living jobs, and those yet to be cleaned."""
    found = session.scalars(
        select(CeJob.remote_id).where(
            CeJob.ce == ce,
            CeJob.remote_id.is_not(None),
            CeJob.ce_clean_at.is_(None),
            CeJob.state.notin_(_UNSURE),
        )
    )
    return frozenset(RemoteId(one) for one in found if one)


def living(session: Session, ce: str) -> int:
    """How many jobs this CE should have."""
    states = [state.value for state in ON_CE if state is not CeState.SUBMITTING]
    return session.execute(select(func.count()).where(CeJob.ce == ce, CeJob.state.in_(states))).scalar_one()


def returned(session: Session, keys: Collection[SubmissionKey]) -> list[Attempt]:
    """Attempts with these keys that wait to be sent: in a database that was restored, what follows was forgotten."""
    found: list[Attempt] = []
    for chunk in chunks(keys):
        question = attempts().where(CeJob.submission_key.in_(chunk), CeJob.state == CeState.TOSUBMIT.value)
        found += [as_attempt(row) for row in session.execute(question)]
    return found


def wait_after_restore(session: Session, now: datetime) -> int:
    """Rows of a restored database that wait may be sent already: the CEs' lists are read first. Returns how many."""
    until, waits = now + LISTS_READ, CeJob.state == CeState.TOSUBMIT.value
    early = or_(CeJob.due_at.is_(None), CeJob.due_at < until)
    ids = session.scalars(select(CeJob.id).where(waits, early).with_for_update()).all()
    for chunk in chunks(ids):
        session.execute(update(CeJob).where(CeJob.id.in_(chunk)).values(due_at=until, modified=now))
    return len(ids)


def places(session: Session, keys: Collection[SubmissionKey]) -> dict[SubmissionKey, tuple[str, RemoteId]]:
    """(CE, id there) of the attempts with these keys that have a job; not of those whose CE does not know it now."""
    found: dict[SubmissionKey, tuple[str, RemoteId]] = {}
    for chunk in chunks(keys):
        rows = session.execute(
            select(CeJob.submission_key, CeJob.ce, CeJob.remote_id).where(
                CeJob.submission_key.in_(chunk), CeJob.remote_id.is_not(None), CeJob.absent_since.is_(None)
            )
        )
        found |= {SubmissionKey(row.submission_key): (row.ce, RemoteId(row.remote_id)) for row in rows}
    return found


def sight(
    session: Session, ce: str, seen: Mapping[RemoteId, tuple[SubmissionKey, bool]], now: datetime
) -> list[Sighted]:
    """Remember what the CE's complete list names, and forget what it names no more."""
    rows = {RemoteId(row.remote_id): row for row in session.scalars(select(Orphan).where(Orphan.ce == ce))}
    gone = [job for job in rows if job not in seen]
    for chunk in chunks(gone):
        session.execute(delete(Orphan).where(Orphan.ce == ce, Orphan.remote_id.in_(chunk)))
    new = [_row(ce, job, *seen[job], now) for job in seen if job not in rows]
    for batch in chunks(new):
        session.execute(insert(Orphan), batch)
    for known in (True, False):
        late = [
            job
            for job, row in rows.items()
            if job in seen and seen[job][1] is known and (row.known is not known or now - row.last_seen >= _SEEN_EVERY)
        ]
        for chunk in chunks(late):
            told = update(Orphan).where(Orphan.ce == ce, Orphan.remote_id.in_(chunk))
            session.execute(told.values(last_seen=now, known=known))
    return [
        Sighted(job, key, known, rows[job].first_seen, rows[job].killed_at)
        if job in rows
        else Sighted(job, key, known, now)
        for job, (key, known) in seen.items()
    ]


def _row(ce: str, job: RemoteId, key: SubmissionKey, known: bool, now: datetime) -> dict[str, object]:
    seen = {"first_seen": now, "last_seen": now}
    return {"ce": ce, "remote_id": job, "submission_key": key, "known": known} | seen


def strange(session: Session) -> bool:
    """Whether jobs whose attempts are in no table were in the CEs' last lists."""
    return session.execute(select(Orphan.ce).where(Orphan.known.is_(False)).limit(1)).scalar() is not None


def killed(session: Session, ce: str, jobs: Collection[RemoteId], now: datetime) -> None:
    for chunk in chunks(jobs):
        session.execute(update(Orphan).where(and_(Orphan.ce == ce, Orphan.remote_id.in_(chunk))).values(killed_at=now))


def all_of(session: Session, ce: str | None = None, limit: int = 1000) -> Sequence[Orphan]:
    """What is remembered, the oldest first."""
    question = select(Orphan).order_by(Orphan.first_seen, Orphan.remote_id).limit(limit)
    return session.scalars(question if ce is None else question.where(Orphan.ce == ce)).all()
