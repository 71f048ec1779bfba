"""What is over, and has been kept for long enough, leaves the tables (docs/retention.md)."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from act_core.db import retention
from act_core.runtime import Counts, Runtime
from act_core.settings.retention import Retention

Needed = Callable[[], Awaitable[datetime | None]]  # since when open accounts need the rows of what ended
Before = Callable[[str], datetime]  # by the key of `retention`: what is older goes
More = Callable[[Before], Awaitable[Counts]]  # a chunk of the rows of each application
NEEDED = ("events", "archive")  # what accounts are made of
EVERY = timedelta(minutes=10)  # between looks, once nothing is left to remove


def kept_for(policy: Retention, key: str) -> timedelta:
    """Events name their run, so that no run goes before them."""
    kept: timedelta = getattr(policy, key)
    return max(kept, policy.events) if key == "runs" else kept


async def _no_more(_before: Before) -> Counts:
    return Counts()


class Purging:
    """The purge of one process: a chunk of each kind at a call, each in a short transaction of its own."""

    def __init__(self, rt: Runtime, needed: Needed, more: More = _no_more) -> None:
        self._rt, self._needed, self._more = rt, needed, more
        self._looked: datetime | None = None

    async def purge(self) -> Counts:
        now = self._rt.now()
        if self._looked and timedelta(0) <= now - self._looked < EVERY:
            return Counts()
        self._looked = now
        needed = await self._needed() or now

        def before(key: str) -> datetime:
            kept_until = now - kept_for(self._rt.settings.arc.retention, key)
            return min(kept_until, needed) if key in NEEDED else kept_until

        counts = Counts()
        for key, remove in retention.PURGES.items():
            if gone := await self._rt.write(remove, before(key)):
                counts[f"old {key}"] += gone
        counts += await self._more(before)
        if any(name.startswith("old ") for name in counts):
            self._looked = None  # there may be more
        return counts
