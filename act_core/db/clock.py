"""The database's time between two looks at it: this machine's monotonic clock goes on from the last one."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from act_core.logs import log

logger = log(__name__)
EVERY = 60.0  # seconds: a machine that slept has missed time, and its monotonic clock does not say how much
JUMP = timedelta(seconds=2)  # less is the network


def asked(session: Session) -> datetime:
    """The database's own time: leases and deadlines of several machines agree on it."""
    if session.get_bind().dialect.name == "sqlite":
        return datetime.now(UTC)
    found: datetime = session.execute(text("SELECT UTC_TIMESTAMP(6)")).scalar_one()
    return found.replace(tzinfo=UTC)


class Clock:
    """Thread-safe: what is known of the time is one value, replaced whole."""

    def __init__(self, ask: Callable[[Session], datetime] = asked, ticks: Callable[[], float] = time.monotonic) -> None:
        self._ask, self._ticks = ask, ticks
        self._seen: tuple[datetime, float] | None = None

    def now(self) -> datetime | None:
        """None: nobody has looked yet."""
        return self._at(self._ticks())

    def look(self, session: Session) -> datetime:
        """Ask, and go on from the answer."""
        before = self._ticks()
        found = self._ask(session)
        ticks = (before + self._ticks()) / 2  # half of the way there and back
        if (thought := self._at(ticks)) and abs(found - thought) > JUMP:
            jump = (found - thought).total_seconds()
            logger.warning("the clock jumps by %.1f s: this machine slept, or the database's clock was set", jump)
        self._seen = found, ticks
        return found

    def keep(self, session: Session) -> None:
        """Look again if the last look is old."""
        if self._seen is not None and self._ticks() - self._seen[1] >= EVERY:
            self.look(session)

    def _at(self, ticks: float) -> datetime | None:
        if self._seen is None:
            return None
        found, then = self._seen
        return found + timedelta(seconds=ticks - then)
