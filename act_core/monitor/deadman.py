"""Is the tower at work? The state tables alone are asked: neither Prefect nor a worker has to answer for it."""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from act_core.db import counting, measuring
from act_core.db.measuring import Late
from act_core.monitor.times import at, some, span
from act_core.processes import lives

SHOWN = 5  # processes that worked last


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be how late. `late`: a report to PanDA, counted from when it is due."""

    late: timedelta
    counts: timedelta
    quiet: timedelta


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that held leases. `lives`: None if it is on another machine, where nobody can look."""

    holder: str
    until: datetime
    lives: bool | None

    @property
    def words(self) -> str:
        host, pid, _ = self.holder.rsplit(":", 2)
        return f"{host} pid {pid} ({ {True: 'lives', False: 'ended', None: 'on another machine'}[self.lives] })"


@dataclass(frozen=True, slots=True)
class Sight:
    """What the tables say."""

    late: Mapping[str, Late]
    counted: datetime | None
    workers: Sequence[Worker]  # who worked last comes first

    @property
    def worked(self) -> datetime | None:
        return self.workers[0].until if self.workers else None


def look(session: Session, now: datetime, by: str) -> Sight:
    """Three statements. Jobs of the reporter `by` are not ours to report."""
    held = measuring.newest_leases(session, SHOWN)
    workers = [Worker(holder, until, _lives(holder)) for holder, until in held]
    return Sight(measuring.late_heartbeats(session, now, by), counting.counted_at(session), workers)


def _lives(holder: str) -> bool | None:
    host, pid, start = holder.rsplit(":", 2)
    if host != socket.gethostname():
        return None
    return pid.isdigit() and lives(int(pid), start)


def complaints(sight: Sight, limits: Limits, now: datetime, observing: bool = False) -> list[str]:
    """What is wrong, worst first. A tower that only observes reports nothing, so that nothing of that can be late."""
    found = [
        f"{some(one.n, 'report')} to {server} overdue, the first since {at(one.since)}: {span(now - one.since)} "
        f"(limit {span(limits.late)})"
        for server, one in sorted(sight.late.items())
        if not observing and now - one.since > limits.late
    ]
    if sight.counted is None:
        found.append("jobs were never counted: the tower was never up")
    elif now - sight.counted > limits.counts:
        found.append(
            f"jobs were last counted {span(now - sight.counted)} ago (limit {span(limits.counts)}): nobody sweeps"
        )
    if sight.worked is None:
        found.append("nobody ever held a lease: nothing was ever done")
    elif now - sight.worked > limits.quiet:
        last = sight.workers[0].words
        found.append(f"no stage had work for {span(now - sight.worked)} (limit {span(limits.quiet)}); the last: {last}")
    return found
