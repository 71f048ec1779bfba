"""What people and applications want of attempts: a column that anyone may set (architecture rule 3)."""

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import and_, case, select, update
from sqlalchemy.orm import Session

from act_core.db.bulk import chunks
from act_core.db.models import CeJob
from act_core.states import STRENGTH, CeState, Request

# Whose `due_at` is a deadline or a pause of the submission, not of what somebody may wish.
_KEEP_DUE = (CeState.TOSUBMIT.value, CeState.SUBMITTING.value)


def wish(
    session: Session, app: str, app_job_ids: Collection[str], request: Request, now: datetime
) -> Mapping[str, str]:
    """Set a request on the newest attempt of each job; a weaker wish never replaces a stronger one.

    A wish is heard at once: it ends the back-off of an earlier failure.
    Returns what became of each id: the request's word, `kept: <stronger one>`, or `unknown`.
    """
    answers = dict.fromkeys(app_job_ids, "unknown")
    due = case((and_(CeJob.due_at > now, CeJob.state.notin_(_KEEP_DUE)), now), else_=CeJob.due_at)
    for chunk in chunks(sorted(set(app_job_ids))):
        rows = session.execute(
            select(CeJob.id, CeJob.app_job_id, CeJob.request)
            .where(CeJob.app == app, CeJob.app_job_id.in_(chunk), CeJob.superseded_by.is_(None))
            .order_by(CeJob.id)
            .with_for_update()
        ).all()
        granted = []
        for row in rows:
            if row.request is not None and STRENGTH[Request(row.request)] > STRENGTH[request]:
                answers[row.app_job_id] = f"kept: {row.request}"
                continue
            answers[row.app_job_id] = request.value
            granted.append(row.id)
        if granted:
            wanted = {"request": request.value, "request_at": now, "due_at": due, "modified": now}
            session.execute(update(CeJob).where(CeJob.id.in_(granted)).values(wanted))
    return answers


def release(session: Session, app: str, app_job_ids: Collection[str], now: datetime) -> None:
    """The application needs these jobs' rows no longer: at rest they may go to the archive."""
    for chunk in chunks(sorted(set(app_job_ids))):
        session.execute(
            update(CeJob)
            .where(CeJob.app == app, CeJob.app_job_id.in_(chunk), CeJob.released_at.is_(None))
            .values(released_at=now, modified=now)
        )
