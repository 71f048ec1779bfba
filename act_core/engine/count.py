"""How many jobs stand where: counted by one process for all, read by everybody."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from act_core.db import counting
from act_core.runtime import Counts, Runtime

CountsOwn = Callable[[Session], object]  # an application brings its own counts up to date


async def count_jobs(rt: Runtime, own: Sequence[CountsOwn] = (), every: timedelta = counting.EVERY) -> Counts:
    """Bring the counts up to date if they are older than `every`; returns the newest attempts by state."""
    return await rt.write(bring_up_to_date, rt.now(), own, every)


def bring_up_to_date(session: Session, now: datetime, own: Sequence[CountsOwn], every: timedelta) -> Counts:
    """The same in a transaction; nothing, if somebody did so within `every`."""
    before = counting.begin(session, now, every)
    if before is None:
        return Counts()
    states = Counts(counting.count_attempts(session, now, before))
    for count in own:
        count(session)
    return states
