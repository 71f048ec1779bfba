"""Runs of stages, as Prefect knows them: what happened is told with the run that did it."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from act_core.db.models import CeJobEvent, Run

LONGEST = timedelta(minutes=10)  # a window of a minute, and rounds that outlive it


def enter(session: Session, flow_run: str, stage: str, holder: str, now: datetime) -> int:
    """A run that begins; returns the number by which events name it."""
    row = Run(flow_run=flow_run, stage=stage, holder=holder, at=now)
    session.add(row)
    session.flush()
    return row.id


def newest(session: Session, since: datetime) -> Mapping[str, datetime]:
    """When each stage began last; of runs before `since` nothing is said."""
    question = select(Run.stage, func.max(Run.at)).where(Run.at >= since).group_by(Run.stage)
    return {stage: at for stage, at in session.execute(question)}


def of(session: Session, ids: Collection[int]) -> Mapping[int, Run]:
    """By number; the ones that are purged are left out."""
    return {row.id: row for row in session.scalars(select(Run).where(Run.id.in_(ids)))}


def events(session: Session, run: Run, limit: int) -> Sequence[CeJobEvent]:
    """What a run did to attempts, the newest first. Looked for in its own time, for which there is an index."""
    within = CeJobEvent.at.between(run.at, run.at + LONGEST)
    question = select(CeJobEvent).where(within, CeJobEvent.run_id == run.id)
    return session.scalars(question.order_by(CeJobEvent.id.desc()).limit(limit)).all()
