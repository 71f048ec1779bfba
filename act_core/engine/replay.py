"""A day of a CE once more, under other limits: the same choice of jobs, over the arrivals and slots that there were.

Pure and deterministic. Time goes in rounds; what is not known of the site stays as it was (docs/time.md).
"""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import heappop, heappush

from act_core.db.backlog import Waiting
from act_core.db.filling import Stands
from act_core.engine.fill import Here, Limits, choose, full_of, here_of, recent
from act_core.states import CeState

ROUND = timedelta(seconds=30)  # of jobs that take minutes or more; shorter ones want shorter rounds


@dataclass(frozen=True, slots=True)
class Job:
    """A job that could go to the CE. `lasts`: in a slot; `lingers`: from there until it no longer counts there.

    `taken`: another CE took it then, if this one had not; `ends`: somebody ended it then, if it did not run.
    `sent`, `started`: before the replay begins.
    """

    job: Waiting
    arrived: datetime
    lasts: timedelta
    lingers: timedelta = timedelta(0)
    taken: datetime | None = None
    ends: datetime | None = None
    sent: datetime | None = None
    started: datetime | None = None


@dataclass(frozen=True, slots=True)
class Day:
    """What the replay is given. `slots`: cores from a moment on; `closed`: nothing was sent in these times.

    `latency`: from submission until a job can start, however free the site is.
    """

    begin: datetime
    end: datetime
    jobs: tuple[Job, ...]
    slots: tuple[tuple[datetime, int], ...]
    latency: timedelta = timedelta(0)
    closed: tuple[tuple[datetime, datetime], ...] = ()
    total_slots: int | None = None  # by the CE's own word
    round: timedelta = ROUND

    def moments(self) -> Iterator[datetime]:
        at = self.begin
        while at < self.end:
            yield at
            at += self.round


@dataclass(slots=True)
class Trace:
    """What was, round by round, in cores but for `queued`; and what came of the jobs."""

    round: timedelta

    queued: list[int] = field(default_factory=list)
    running: list[int] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)  # at the tower
    slots: list[int] = field(default_factory=list)
    waits: list[timedelta] = field(default_factory=list)  # from arrival to start
    sent: int = 0
    started: int = 0
    ended: int = 0


def replay(day: Day, limits: Limits) -> Trace:
    """The day under these limits."""
    site, tower, trace = _Site(day), _Tower(day), Trace(day.round)
    look = True  # nobody looks again who waits, before anything has changed
    for at, slots in zip(day.moments(), _slots(day), strict=True):
        look |= tower.advance(at) | site.advance(at)
        begun = site.start(at, slots)
        shut = any(since <= at < until for since, until in day.closed)
        if not shut and (look or begun or limits.rate is not None):
            trace.sent += _claim(tower, site, limits, at)
            begun += site.start(at, slots)
            look = False
        trace.waits += [at - one.arrived for one in begun]
        trace.started += len(begun)
        trace.ended = site.ended
        trace.queued.append(len(site.queue))
        trace.running.append(site.busy)
        trace.waiting.append(tower.cores)
        trace.slots.append(slots)
    return trace


def _slots(day: Day) -> Iterator[int]:
    known, now = list(reversed(day.slots)), 0
    for at in day.moments():
        while known and known[-1][0] <= at:
            now = known.pop()[1]
        yield now


def _claim(tower: "_Tower", site: "_Site", limits: Limits, at: datetime) -> int:
    """Submit as long as the limits let jobs through; returns how many went."""
    sent = 0
    while tower.lines:
        here = site.here(limits, at)
        if full_of(limits, here.jobs):
            break
        plan, _ = choose(limits, here, tower.first, at)
        for job in plan.late:
            tower.drop(job.id)
        for job in plan.go:
            site.take(tower.drop(job.id), at)
        if plan.go:
            site.sent = [*recent(limits, site.sent, at), (at, len(plan.go))] if limits.rate is not None else []
        sent += len(plan.go)
        if not plan.go:
            break
    return sent


class _Tower:
    """What waits, by share: of higher priority first, then the older one."""

    def __init__(self, day: Day) -> None:
        coming = [one for one in day.jobs if one.sent is None]
        self._coming = sorted(coming, key=lambda one: (one.arrived, one.job.id), reverse=True)
        self._leaving: list[tuple[datetime, int]] = []
        self._jobs: dict[int, Job] = {}
        self.lines: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        self.cores = 0

    def advance(self, at: datetime) -> bool:
        """Jobs come, and others are taken elsewhere; True if that changed anything."""
        moved = False
        while self._coming and self._coming[-1].arrived <= at:
            one = self._coming.pop()
            self._jobs[one.job.id] = one
            insort(self.lines[one.job.share], (-one.job.priority, one.job.id))
            self.cores += one.job.cores
            leaves = min((time for time in (one.taken, one.ends) if time), default=None)
            if leaves is not None:
                heappush(self._leaving, (leaves, one.job.id))
            moved = True
        while self._leaving and self._leaving[0][0] <= at:
            _, number = heappop(self._leaving)
            if number in self._jobs:
                self.drop(number)
                moved = True
        return moved

    def first(self, depth: int, only: Collection[str] | None) -> list[Waiting]:
        """So many jobs of each share, or of these shares."""
        shares = list(self.lines) if only is None else sorted(only)
        return [self._jobs[number].job for share in shares for _, number in self.lines.get(share, ())[:depth]]

    def drop(self, number: int) -> Job:
        one = self._jobs.pop(number)
        line = self.lines[one.job.share]
        del line[bisect_left(line, (-one.job.priority, number))]
        if not line:
            del self.lines[one.job.share]
        self.cores -= one.job.cores
        return one


class _Site:
    """The CE with its queue, which is first come, first served as far as the slots go."""

    def __init__(self, day: Day) -> None:
        self._latency, self._total_slots = day.latency, day.total_slots
        self.queue: list[tuple[datetime, Job]] = []
        self._running: list[tuple[datetime, int, Job]] = []
        self._lingering: list[tuple[datetime, int]] = []
        self._shares: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])  # jobs and cores that run
        self.busy = self.ended = 0
        self._last_start: datetime | None = None
        self._queued_since: datetime | None = None
        self.sent: Sequence[tuple[datetime, int]] = ()
        there = [one for one in day.jobs if one.sent is not None]
        for one in sorted(there, key=lambda one: (one.sent or day.begin, one.job.id)):
            if one.started is not None:
                self._run(one, one.started)
            else:
                self.take(one, one.sent or day.begin)

    def advance(self, at: datetime) -> bool:
        """Jobs end, by themselves or by somebody's hand; True if that changed anything."""
        changed = False
        while self._running and self._running[0][0] <= at:
            over, number, one = heappop(self._running)
            self._count(one, -1)
            heappush(self._lingering, (over + one.lingers, number))
            self.ended += 1
            changed = True
        while self._lingering and self._lingering[0][0] <= at:
            heappop(self._lingering)
            changed = True
        if any(one.ends is not None and one.ends <= at for _, one in self.queue):
            self.queue = [(since, one) for since, one in self.queue if one.ends is None or one.ends > at]
            changed = True
        return changed

    def start(self, at: datetime, slots: int) -> list[Job]:
        """Queued jobs begin where slots are free for them; returns these."""
        begun, still = [], []
        for number, (since, one) in enumerate(self.queue):
            if self.busy >= slots:
                still += self.queue[number:]
                break
            if at - since >= self._latency and self.busy + one.job.cores <= slots:
                self._run(one, at)
                self._last_start = at
                begun.append(one)
            else:
                still.append((since, one))
        self.queue = still
        return begun

    def _run(self, one: Job, at: datetime) -> None:
        self._count(one, 1)
        heappush(self._running, (at + one.lasts, one.job.id, one))

    def _count(self, one: Job, sign: int) -> None:
        self.busy += sign * one.job.cores
        known = self._shares[one.job.share]
        known[0] += sign
        known[1] += sign * one.job.cores

    def take(self, one: Job, at: datetime) -> None:
        if not self.queue:
            self._queued_since = at
        self.queue.append((at, one))

    def here(self, limits: Limits, at: datetime) -> Here:
        """What the tables would say of the CE."""
        queued: dict[str, list[int]] = {}
        for _, one in self.queue:
            known = queued.setdefault(one.job.share, [0, 0, one.job.priority])
            known[0] += 1
            known[1] += one.job.cores
            known[2] = max(known[2], one.job.priority)
        stands = [Stands(share, CeState.SUBMITTED, *known) for share, known in queued.items()]
        stands += [Stands(share, CeState.RUNNING, n, cores, 0) for share, (n, cores) in self._shares.items() if n]
        stands.append(Stands("", CeState.FINISHED, len(self._lingering), 0, 0))
        return here_of(
            stands,
            limits.slots,
            last_start=self._last_start,
            queued_since=self._queued_since,
            total_slots=self._total_slots,
            capacity_at=at,
            sent=self.sent,
        )
