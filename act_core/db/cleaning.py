"""Failed jobs that stay on their CE for a while."""

from datetime import datetime

from sqlalchemy.orm import Session

from act_core.db.attempts import Attempt, as_attempt, attempts
from act_core.db.models import CeJob
from act_core.states import CeState, Request

MOST = 1000


def kept(session: Session, ce: str, now: datetime, newest: int) -> list[Attempt]:
    """Those that stay there, but for the `newest` ones: the ones whose time ends first."""
    here = CeJob.ce == ce, CeJob.state == CeState.DONEFAILED.value, CeJob.due_at > now
    rows = session.execute(
        attempts()
        .where(*here, CeJob.request == Request.CLEAN.value)
        .order_by(CeJob.due_at.desc(), CeJob.id.desc())
        .offset(max(newest, 0))
        .limit(MOST)
    )
    return [as_attempt(row) for row in rows]
