"""What people and applications want of attempts: a column that anyone may set (architecture rule 3)."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, case, or_, select, update
from sqlalchemy.orm import Session

from act_core.db import sealed
from act_core.db.bulk import chunks
from act_core.db.models import CeJob
from act_core.states import FINAL, STRENGTH, CeState, Request

# Whose `due_at` is a deadline or a pause of the submission, not of what somebody may wish.
_KEEP_DUE = (CeState.TOSUBMIT.value, CeState.SUBMITTING.value)

_NOT_OVER = tuple(sorted(state.value for state in CeState if state not in FINAL))

_AGAIN = {Request.RESUBMIT, Request.RERUN}
REFUSED, KEPT = "refused", "kept"
_CLOSED = f"{REFUSED}: its application has closed it and takes no second result"
_AT_RISK = (
    f"{REFUSED}: nobody knows that the lost attempt is dead, so that the job may run twice; --force takes that risk"
)
_FOLLOWED = f"{REFUSED}: another attempt has taken its place meanwhile"
_ABANDONED = f"{REFUSED}: its CE may still run it"


def wish(
    session: Session,
    app: str,
    app_job_ids: Collection[str],
    request: Request,
    now: datetime,
    *,
    force: bool = False,
    among: Collection[int] | None = None,
) -> Mapping[str, str]:
    """Set a request on the newest attempt of each job; a weaker wish never replaces a stronger one.

    A wish is heard at once: it ends the back-off of an earlier failure. `force`: resubmit what may still run. `among`:
    only of these attempts, since what has followed one of them meanwhile is not what somebody looked at.
    Returns what became of each id: the request's word, `kept: <stronger one>`, `refused: <why>`, or `unknown`.
    """
    answers = dict.fromkeys(app_job_ids, "unknown")
    for chunk in chunks(sorted(set(app_job_ids))):
        rows = session.execute(
            select(CeJob.id, CeJob.app_job_id, CeJob.request, CeJob.state, CeJob.released_at, CeJob.due_at)
            .where(CeJob.app == app, CeJob.app_job_id.in_(chunk), CeJob.superseded_by.is_(None))
            .order_by(CeJob.id)
            .with_for_update()
        ).all()
        granted = []
        for row in rows:
            objection = _objection(row, request, force, now)
            if among is not None and row.id not in among:
                objection = _FOLLOWED
            answers[row.app_job_id] = objection or request.value
            if not objection:
                granted.append(row.id)
        if granted:
            values = _wanted(request, now)
            if request is Request.CLEAN:  # by hand: at once, and not when a failed job has been kept long enough
                values["due_at"] = case((CeJob.state.notin_(_KEEP_DUE), now), else_=CeJob.due_at)
            session.execute(update(CeJob).where(CeJob.id.in_(granted)).values(values))
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


def withdraw(session: Session, jobs: Collection[tuple[str, str]], now: datetime) -> None:
    """Nobody wants more of these jobs (application, name): attempts of them that are not over are cancelled."""
    for app in sorted({app for app, _ in jobs}):
        for chunk in chunks(sorted(job for of, job in jobs if of == app)):
            open_ones = (CeJob.app == app, CeJob.app_job_id.in_(chunk), CeJob.state.in_(_NOT_OVER))
            ids = session.scalars(select(CeJob.id).where(*open_ones).order_by(CeJob.id).with_for_update()).all()
            wish_of(session, ids, Request.CANCEL, now)


def waiting(session: Session, app: str, app_job_ids: Collection[str]) -> dict[str, int]:
    """Of these jobs, the attempts that no call was made for: {app_job_id: id}. They stay so until the commit."""
    found: dict[str, int] = {}
    for chunk in chunks(sorted(set(app_job_ids))):
        of_app = (CeJob.app == app, CeJob.app_job_id.in_(chunk), CeJob.state == CeState.TOSUBMIT.value)
        rows = session.execute(select(CeJob.app_job_id, CeJob.id).where(*of_app).order_by(CeJob.id).with_for_update())
        found |= dict(rows.tuples().all())
    return found


def vouch(session: Session, app: str, app_job_ids: Collection[str], until: datetime | None) -> None:
    """Their application knows that these jobs are wanted: they may be sent until then, and what follows them, too.

    None: nobody need say so any more.
    """
    for chunk in chunks(sorted(set(app_job_ids))):
        newest = (CeJob.app == app, CeJob.app_job_id.in_(chunk), CeJob.superseded_by.is_(None))
        session.execute(update(CeJob).where(*newest).values(vouched_until=until))


def _wanted(request: Request, now: datetime) -> dict[str, Any]:
    due = case((and_(CeJob.due_at > now, CeJob.state.notin_(_KEEP_DUE)), now), else_=CeJob.due_at)
    return {"request": request.value, "request_at": now, "due_at": due, "modified": now}


def _stays(row: Row[Any], now: datetime) -> bool:
    """A failed job that stays on its CE for a while: nobody wants it away yet, and all may be wished of it."""
    waits = row.due_at is not None and row.due_at > now
    return row.state == CeState.DONEFAILED.value and row.request == Request.CLEAN.value and waits


def _to_be_cleaned(row: Row[Any]) -> bool:
    """A lost job that its application wants away from the CE: what follows it has the old one cleaned all the same."""
    return (row.state, row.request) == (CeState.LOST.value, Request.CLEAN.value)


def _objection(row: Row[Any], request: Request, force: bool, now: datetime) -> str | None:
    """Why the wish is not granted."""
    if request in _AGAIN and row.released_at is not None:
        return _CLOSED
    if request is Request.RESUBMIT and row.state == CeState.ABANDONED.value:
        return _ABANDONED
    if request is Request.RESUBMIT and row.state == CeState.LOST.value and not force:
        return _AT_RISK
    if _stays(row, now) or (force and _to_be_cleaned(row)):
        return None
    if row.request is not None and STRENGTH[Request(row.request)] > STRENGTH[request]:
        return f"{KEPT}: {row.request}"
    return None


def release(session: Session, app: str, app_job_ids: Collection[str], now: datetime) -> None:
    """The application needs these jobs' rows no longer: at rest they may go to the archive, secrets at once."""
    for chunk in chunks(sorted(set(app_job_ids))):
        session.execute(
            update(CeJob)
            .where(CeJob.app == app, CeJob.app_job_id.in_(chunk), CeJob.released_at.is_(None))
            .values(released_at=now, modified=now)
        )
    sealed.wipe(session, app, app_job_ids)
