"""What people and applications want of attempts: a column that anyone may set (architecture rule 3)."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, case, or_, select, update
from sqlalchemy.orm import Session

from act_core.db.bulk import chunks
from act_core.db.models import CeJob
from act_core.states import STRENGTH, CeState, Request

# Whose `due_at` is a deadline or a pause of the submission, not of what somebody may wish.
_KEEP_DUE = (CeState.TOSUBMIT.value, CeState.SUBMITTING.value)


_AGAIN = {Request.RESUBMIT, Request.RERUN}
REFUSED = "refused"
_CLOSED = f"{REFUSED}: its application has closed it and takes no second result"
_AT_RISK = (
    f"{REFUSED}: nobody knows that the lost attempt is dead, so that the job may run twice; --force takes that risk"
)
_ABANDONED = f"{REFUSED}: its CE may still run it"


def wish(
    session: Session, app: str, app_job_ids: Collection[str], request: Request, now: datetime, *, force: bool = False
) -> Mapping[str, str]:
    """Set a request on the newest attempt of each job; a weaker wish never replaces a stronger one.

    A wish is heard at once: it ends the back-off of an earlier failure. `force`: resubmit what may still run.
    Returns what became of each id: the request's word, `kept: <stronger one>`, `refused: <why>`, or `unknown`.
    """
    answers = dict.fromkeys(app_job_ids, "unknown")
    for chunk in chunks(sorted(set(app_job_ids))):
        rows = session.execute(
            select(CeJob.id, CeJob.app_job_id, CeJob.request, CeJob.state, CeJob.released_at)
            .where(CeJob.app == app, CeJob.app_job_id.in_(chunk), CeJob.superseded_by.is_(None))
            .order_by(CeJob.id)
            .with_for_update()
        ).all()
        granted = []
        for row in rows:
            objection = _objection(row, request, force)
            answers[row.app_job_id] = objection or request.value
            if not objection:
                granted.append(row.id)
        if granted:
            session.execute(update(CeJob).where(CeJob.id.in_(granted)).values(_wanted(request, now)))
    return answers


def wish_of(session: Session, ids: Collection[int], request: Request, now: datetime) -> None:
    """Set a request on these very attempts, never on what has followed them; a stronger wish stays."""
    weaker = [one.value for one, strength in STRENGTH.items() if strength <= STRENGTH[request]]
    for chunk in chunks(sorted(ids)):
        session.execute(
            update(CeJob)
            .where(CeJob.id.in_(chunk), or_(CeJob.request.is_(None), CeJob.request.in_(weaker)))
            .values(_wanted(request, now))
        )


def _wanted(request: Request, now: datetime) -> dict[str, Any]:
    due = case((and_(CeJob.due_at > now, CeJob.state.notin_(_KEEP_DUE)), now), else_=CeJob.due_at)
    return {"request": request.value, "request_at": now, "due_at": due, "modified": now}


def _objection(row: Row[Any], request: Request, force: bool) -> str | None:
    """Why the wish is not granted."""
    if request in _AGAIN and row.released_at is not None:
        return _CLOSED
    if request is Request.RESUBMIT and row.state == CeState.ABANDONED.value:
        return _ABANDONED
    if request is Request.RESUBMIT and row.state == CeState.LOST.value and not force:
        return _AT_RISK
    if row.request is not None and STRENGTH[Request(row.request)] > STRENGTH[request]:
        return f"kept: {row.request}"
    return None


def release(session: Session, app: str, app_job_ids: Collection[str], now: datetime) -> None:
    """The application needs these jobs' rows no longer: at rest they may go to the archive."""
    for chunk in chunks(sorted(set(app_job_ids))):
        session.execute(
            update(CeJob)
            .where(CeJob.app == app, CeJob.app_job_id.in_(chunk), CeJob.released_at.is_(None))
            .values(released_at=now, modified=now)
        )
