"""What follows when a job of a simple application has moved: outputs come home, and nothing stays on the CE."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from act_core.db import claims, wishes
from act_core.db.attempts import Attempt
from act_core.runtime import Counts, Runtime
from act_core.states import FINAL, CeState, Request


def wanted(attempt: Attempt) -> Request | None:
    """What follows by itself when an attempt has moved: of a failed job, too, what is there comes home."""
    if attempt.superseded_by or attempt.request:
        return None
    if attempt.state is CeState.FAILED:
        return Request.FETCH
    if attempt.state in FINAL and attempt.ce_clean_at is None and attempt.remote_id:
        return Request.CLEAN
    return None


async def on_news(rt: Runtime, rows: Sequence[Attempt]) -> Counts:
    """All that an application needs that keeps no tables of its own."""
    return await rt.write(bring_home, rows, rt.now())


def bring_home(session: Session, rows: Sequence[Attempt], now: datetime) -> Counts:
    """Set the wishes that follow, and clear the news. For an application's own transaction."""
    counts = Counts()
    for request in (Request.FETCH, Request.CLEAN):
        ids = [attempt.id for attempt in rows if wanted(attempt) is request]
        if ids:
            wishes.wish_of(session, ids, request, now)
            counts[request.value] += len(ids)
    claims.hear(session, rows)
    return counts
