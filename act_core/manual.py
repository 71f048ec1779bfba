"""Jobs that people add by hand: outputs come home, failed ones too, and nothing stays on the CE."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from act_core.apps import Application
from act_core.db import claims, wishes
from act_core.db.attempts import Attempt
from act_core.runtime import Counts, Runtime
from act_core.states import FINAL, CeState, Request

NAME = "manual"


def wanted(attempt: Attempt) -> Request | None:
    """What follows by itself when an attempt has moved."""
    if attempt.superseded_by or attempt.request:
        return None
    if attempt.state is CeState.FAILED:
        return Request.FETCH
    if attempt.state in FINAL and attempt.ce_clean_at is None and attempt.remote_id:
        return Request.CLEAN
    return None


async def on_news(rt: Runtime, rows: Sequence[Attempt]) -> Counts:
    return await rt.write(_hear, rows, rt.now())


def _hear(session: Session, rows: Sequence[Attempt], now: datetime) -> Counts:
    counts = Counts()
    for request in (Request.FETCH, Request.CLEAN):
        ids = [attempt.id for attempt in rows if wanted(attempt) is request]
        if ids:
            wishes.wish_of(session, ids, request, now)
            counts[request.value] += len(ids)
    claims.hear(session, rows)
    return counts


APP = Application(NAME, on_news=on_news)
