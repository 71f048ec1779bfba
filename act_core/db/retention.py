"""What is over leaves the tables, a chunk at a time, through an index; what is at work stays whole."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, exists, func, or_, select
from sqlalchemy.orm import Session

from act_core.db.models import CeJob, CeJobArchive, CeJobEvent, Description, HourlySlots, Run
from act_core.db.policy_models import AuditLine, LedgerLine
from act_core.states import FINAL

CHUNK = 1000  # rows of one transaction
_FINAL = tuple(sorted(state.value for state in FINAL))
Purge = Callable[[Session, datetime], int]  # removes at most a chunk of what is older; returns how many rows


def events(session: Session, before: datetime) -> int:
    """What happened to attempts that are at rest since then."""
    rests = ~exists().where(CeJobArchive.id == CeJobEvent.job_id, CeJobArchive.modified >= before)
    moves = exists().where(CeJob.id == CeJobEvent.job_id, or_(CeJob.state.notin_(_FINAL), CeJob.modified >= before))
    old = (CeJobEvent.at < before, ~moves, rests)
    ids = session.scalars(select(CeJobEvent.id).where(*old).order_by(CeJobEvent.at).limit(CHUNK)).all()
    return _gone(session, CeJobEvent, ids)


def ledger(session: Session, before: datetime) -> int:
    """Why things were so. What holds now stands in a table of its own."""
    at_work = exists().where(CeJob.id == LedgerLine.job_id, CeJob.state.notin_(_FINAL))
    old = (LedgerLine.at < before, ~at_work)
    ids = session.scalars(select(LedgerLine.id).where(*old).order_by(LedgerLine.at).limit(CHUNK)).all()
    return _gone(session, LedgerLine, ids)


def archive(session: Session, before: datetime) -> int:
    """Attempts at rest; with the last attempt of a job its description goes."""
    old = select(CeJobArchive).where(CeJobArchive.modified < before).order_by(CeJobArchive.modified)
    rows = session.scalars(old.limit(CHUNK)).all()
    removed = _gone(session, CeJobArchive, [row.id for row in rows])
    described = {row.description_id for row in rows}
    for app in sorted({row.app for row in rows}):
        jobs = sorted({row.app_job_id for row in rows if row.app == app})
        for table in (CeJob, CeJobArchive):  # all attempts of a job share its description, and no other job's do
            named = table.app == app, table.app_job_id.in_(jobs)
            described -= set(session.scalars(select(table.description_id).where(*named)))
    _gone(session, Description, sorted(described))
    return removed


def runs(session: Session, before: datetime) -> int:
    """Runs of stages."""
    old = select(Run.id).where(Run.at < before).order_by(Run.at).limit(CHUNK)
    return _gone(session, Run, session.scalars(old).all())


def audit(session: Session, before: datetime) -> int:
    """What people did."""
    old = select(AuditLine.id).where(AuditLine.at < before).order_by(AuditLine.at).limit(CHUNK)
    return _gone(session, AuditLine, session.scalars(old).all())


def hourly(session: Session, before: datetime) -> int:
    """What CEs held in an hour: the oldest one."""
    oldest = session.scalar(select(func.min(HourlySlots.hour)))
    if oldest is None or oldest >= f"{before:%Y-%m-%dT%H}":
        return 0
    n = session.scalar(select(func.count()).where(HourlySlots.hour == oldest)) or 0
    session.execute(delete(HourlySlots).where(HourlySlots.hour == oldest))
    return n


PURGES: Mapping[str, Purge] = {  # by the key of `retention`
    "events": events,
    "ledger": ledger,
    "archive": archive,
    "runs": runs,
    "audit": audit,
    "hourly": hourly,
}


def _gone(session: Session, table: Any, ids: Sequence[int]) -> int:
    if not ids:
        return 0
    session.execute(delete(table).where(table.id.in_(ids)).execution_options(synchronize_session=False))
    return len(ids)
