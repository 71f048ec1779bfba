"""Fences: the next attempt is not sent before its application has cleared up after the dead one, or the time is over.

The fence is a column of the next attempt's row, which every submission asks. So what is deleted behind it is deleted
before the next attempt can write anything; and what comes too late finds no fence, and deletes nothing.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.orm import Session

from act_core.db.bulk import chunks
from act_core.db.models import CeJob
from act_core.db.types import Moment
from act_core.states import CeState

GRACE = timedelta(minutes=1)  # a request that was given up may still be on its way


@dataclass(frozen=True, slots=True)
class Fence:
    """The next attempt, as its row stands. `until` None: the fence was lifted, or there was none."""

    state: CeState
    until: datetime | None


def holds(fence: Fence | None, now: datetime, longest: timedelta) -> bool:
    """Whether a deed that takes `longest` at most is over, by a grace, before the next attempt may be sent."""
    if fence is None or fence.until is None or fence.state is not CeState.TOSUBMIT:
        return False
    return now + longest + GRACE <= fence.until


def fence_of(fence_s: int | None, remote_id: str | None, now: datetime) -> datetime | None:
    """Until when the next attempt waits: what never was at a CE has left nothing in anybody's way."""
    return now + timedelta(seconds=fence_s) if fence_s and remote_id else None


def passed(job: Any, now: Moment) -> ColumnElement[bool]:
    """Whether a waiting attempt may be sent, as far as its fence goes. `job`: (an alias of) the table of attempts."""
    return or_(job.fenced_until.is_(None), job.fenced_until <= now)


def vouched(job: Any, now: Moment) -> ColumnElement[bool]:
    """Whether an application stands for the attempt at the moment. `job`: (an alias of) the table of attempts."""
    return or_(job.vouched_until.is_(None), job.vouched_until > now)


def of(session: Session, keys: Collection[str], *, lock: bool = False) -> dict[str, Fence]:
    """The fences of these attempts, by submission key."""
    found: dict[str, Fence] = {}
    for chunk in chunks(sorted(keys)):
        question = select(CeJob.submission_key, CeJob.state, CeJob.fenced_until)
        question = question.where(CeJob.submission_key.in_(chunk)).order_by(CeJob.id)
        rows = session.execute(question.with_for_update() if lock else question)
        found |= {key: Fence(CeState(state), until) for key, state, until in rows}
    return found


def lift(session: Session, keys: Collection[str]) -> None:
    """These attempts may be sent."""
    for chunk in chunks(sorted(keys)):
        fenced = (CeJob.submission_key.in_(chunk), CeJob.fenced_until.is_not(None))
        session.execute(update(CeJob).where(*fenced).values(fenced_until=None))
