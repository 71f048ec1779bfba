"""What the tables have of some jobs, from their first attempt on: a constant number of statements a batch."""

from collections.abc import Collection
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from act_core.db.bulk import chunks
from act_core.db.models import AttemptColumns, CeJob, CeJobArchive, CeJobEvent
from act_core.db.policy_models import LedgerLine


@dataclass(frozen=True, slots=True)
class Told:
    """An attempt, its events, and the decisions about it alone, each in their order."""

    attempt: AttemptColumns
    events: list[CeJobEvent] = field(default_factory=list)
    lines: list[LedgerLine] = field(default_factory=list)


def histories(session: Session, app: str, app_job_ids: Collection[str]) -> dict[str, list[Told]]:
    """The attempts of these jobs, the first one first, rows at rest included; detached from the session."""
    found: dict[int, Told] = {}
    for chunk in chunks(sorted(set(app_job_ids))):
        at_rest = select(CeJobArchive).where(CeJobArchive.app == app, CeJobArchive.app_job_id.in_(chunk))
        hot = select(CeJob).where(CeJob.app == app, CeJob.app_job_id.in_(chunk))
        rows: list[AttemptColumns] = [*session.scalars(at_rest), *session.scalars(hot)]
        found |= {row.id: Told(row) for row in rows}
    for ids in chunks(sorted(found)):
        happened = select(CeJobEvent).where(CeJobEvent.job_id.in_(ids)).order_by(CeJobEvent.id)
        for event in session.scalars(happened):
            found[event.job_id].events.append(event)
        decided = select(LedgerLine).where(LedgerLine.job_id.in_(ids)).order_by(LedgerLine.id)
        for line in session.scalars(decided):
            found[line.job_id].lines.append(line)
    session.expunge_all()
    jobs: dict[str, list[Told]] = {}
    for told in sorted(found.values(), key=lambda one: one.attempt.attempt):
        jobs.setdefault(told.attempt.app_job_id, []).append(told)
    return jobs
