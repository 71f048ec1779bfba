"""How many waiting jobs of which share may go to a CE, and why the others wait. Pure; the rules: docs/policy.md."""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush
from typing import Any

from act_core.db.backlog import Waiting
from act_core.db.filling import QUEUED, Stands
from act_core.reasons import Reason
from act_core.states import CeState

MINUTE = timedelta(minutes=1)
LEAST_B = 10  # what a CE says of itself never lowers b below this: it may be wrong
DEEPER = 4  # times as many jobs of a share are read where those that were read do not suffice
EXACT = 1e-9  # 0.15 * 20 is a little more than 3

Read = Callable[[int, Collection[str] | None], list[Waiting]]


@dataclass(frozen=True, slots=True)
class Limits:
    """What holds for a CE. `slots`: queued and running count in slots, else in jobs; maxjobs is always in jobs."""

    maxjobs: int
    a: float = 0.15
    b: float = 100
    slots: bool = False
    rate: float | None = None  # jobs a minute
    stalled: timedelta = timedelta(hours=3)
    capacity_age: timedelta = timedelta(minutes=75)
    weights: Mapping[str, float] = field(default_factory=dict)  # of shares; the others have 1
    most: int = 100  # jobs of one submission


@dataclass(slots=True)
class Share:
    """What a share has at the CE; queued and running in the unit of the limits."""

    queued: int = 0
    running: int = 0


@dataclass(frozen=True, slots=True)
class Here:
    """What the tables say of the CE. `jobs`: all that count against maxjobs. `top`: the highest queued priority."""

    shares: Mapping[str, Share] = field(default_factory=dict)
    jobs: int = 0
    top: int | None = None
    last_start: datetime | None = None
    queued_since: datetime | None = None  # without a break
    total_slots: int | None = None  # by the CE's own word, at `capacity_at`
    capacity_at: datetime | None = None
    sent: Sequence[tuple[datetime, int]] = ()  # moments and numbers of the last submissions

    @property
    def queued(self) -> int:
        return sum(share.queued for share in self.shares.values())

    @property
    def running(self) -> int:
        return sum(share.running for share in self.shares.values())


@dataclass(frozen=True, slots=True)
class Held:
    """Why jobs wait, with the facts of the reason's sentences (but for `ce` and `share`)."""

    reason: Reason
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """`go`: who is sent, in this order. `late`: past their best-before. `held`: by share, why the first one waits.

    `unread`: shares whose turn came when all that was read of them had gone; with their next jobs the plan is another.
    """

    go: tuple[Waiting, ...]
    late: tuple[Waiting, ...]
    held: Mapping[str, Held]
    unread: frozenset[str] = frozenset()


def here_of(stands: Iterable[Stands], slots: bool, **known: Any) -> Here:
    """The counts of the tables in the unit of the limits; `known`: the other fields of `Here`."""
    shares: defaultdict[str, Share] = defaultdict(Share)
    jobs, top = 0, None
    for one in stands:
        jobs += one.jobs
        size = one.cores if slots else one.jobs
        if one.state in QUEUED:
            shares[one.share].queued += size
            top = one.priority if top is None else max(top, one.priority)
        elif one.state is CeState.RUNNING:
            shares[one.share].running += size
    return Here(dict(shares), jobs, top, **known)


def fill(
    limits: Limits, here: Here, waiting: Sequence[Waiting], now: datetime, longer: Collection[str] = frozenset()
) -> Plan:
    """The share that has little there goes first; among equals, and inside a share, the job of higher priority.

    `longer`: shares of which more may wait than `waiting` has.
    """
    lines: defaultdict[str, deque[Waiting]] = defaultdict(deque)
    late = []
    for job in sorted(waiting, key=lambda one: (-one.priority, one.id)):
        if job.submit_before is not None and now >= job.submit_before:
            late.append(job)
        else:
            lines[job.share].append(job)
    if hidden := frozenset(longer) - lines.keys():
        return Plan((), tuple(late), {}, hidden)
    room = _Room(limits, here, lines, now)
    go: list[Waiting] = []
    held: dict[str, Held] = {}
    unread: set[str] = set()
    turns = [(room.turn(share), -line[0].priority, line[0].id, share) for share, line in lines.items()]
    heapify(turns)
    while turns and len(go) < limits.most:
        share = heappop(turns)[-1]
        line = lines[share]
        if not line:
            unread.add(share)
            continue
        if why := room.against(line[0]):
            held[share] = why
            continue
        go.append(line.popleft())
        room.take(go[-1])
        if line or share in longer:
            after = line[0] if line else go[-1]  # what was not read comes after what was
            heappush(turns, (room.turn(share), -after.priority, after.id, share))
    return Plan(tuple(go), tuple(late), held, frozenset(unread))


def choose(limits: Limits, here: Here, read: Read, now: datetime) -> tuple[Plan, set[str]]:
    """Who goes, and the shares of which something is left. `read`: so many of each share, or of these shares.

    Of each share the first job is read, and more of those only whose turn comes again: the plan is that of all jobs.
    """
    most, depth, found = 2 * limits.most, 1, read(1, None)  # where half of them are late the others suffice
    longer = {job.share for job in found}
    while (plan := fill(limits, here, found, now, longer)).unread:
        depth = min(most, max(DEEPER * depth, most // len(plan.unread)))
        more = read(depth, plan.unread)
        read_out = Counter(job.share for job in more)
        longer -= {share for share in plan.unread if depth == most or read_out[share] < depth}
        found = [job for job in found if job.share not in plan.unread] + more
    gone = {*plan.go, *plan.late}
    return plan, longer | {job.share for job in found if job not in gone}


class _Room:
    """What is left of each limit while jobs are chosen. What it refuses once it refuses for good."""

    def __init__(self, limits: Limits, here: Here, shares: Iterable[str], now: datetime) -> None:
        self._limits, self._here = limits, here
        self._b, self._why = whole_b(limits, here, now)
        self._weights = {share: limits.weights.get(share, 1.0) for share in shares}
        self._weight = sum(self._weights.values())
        self._share = {
            share: Share(known.queued, known.running)
            for share in self._weights
            for known in (here.shares.get(share, Share()),)
        }
        self._queued, self._jobs, self._top = here.queued, here.jobs, here.top
        self._rate = rate_left(limits, here, now)
        self._shut: Held | None = None  # the queue is full: only priority passes

    def turn(self, share: str) -> float:
        """The lower, the sooner it is this share's turn."""
        known = self._share[share]
        return (known.queued + known.running) / self._weights[share]

    def take(self, job: Waiting) -> None:
        size = self._size(job)
        self._share[job.share].queued += size
        self._queued += size
        self._jobs += 1
        self._top = job.priority if self._top is None else max(self._top, job.priority)
        if self._rate is not None:
            self._rate -= 1

    def against(self, job: Waiting) -> Held | None:
        """What stands in the way of this job."""
        if full := full_of(self._limits, self._jobs):
            return full
        if self._rate is not None and self._rate <= 0:
            return Held(Reason.RATE, _rate_facts(self._limits))
        if self._top is None or job.priority > self._top:
            return None  # above all that is queued
        return self._shut or self._against_queue(job)

    def _against_queue(self, job: Waiting) -> Held | None:
        size, share = self._size(job), self._share[job.share]
        allowed = self._limits.a * self._here.running + self._b
        if self._queued + size > allowed + EXACT:
            self._shut = self._full(Reason.QUEUE_FULL, self._queued, self._here.running, allowed, self._b)
            return self._shut
        b = self._b * self._weights[job.share] / self._weight
        part = self._limits.a * share.running + b
        if share.queued and share.queued + size > part + EXACT:
            return self._full(Reason.SHARE_FULL, share.queued, share.running, part, b)
        return None

    def _full(self, reason: Reason, queued: int, running: int, allowed: float, b: float) -> Held:
        facts = {
            "queued": queued,
            "running": running,
            "allowed": int(allowed + EXACT),
            "unit": "slots" if self._limits.slots else "jobs",
            "a": self._limits.a,
            "b": b,
        }
        return Held(self._why.reason, {**facts, **self._why.facts}) if self._why else Held(reason, facts)

    def _size(self, job: Waiting) -> int:
        return job.cores if self._limits.slots else 1


def full_of(limits: Limits, jobs: int) -> Held | None:
    """What stands in the way of any job: nothing passes maxjobs."""
    return Held(Reason.FULL, {"on_ce": jobs, "maxjobs": limits.maxjobs}) if jobs >= limits.maxjobs else None


def whole_b(limits: Limits, here: Here, now: datetime) -> tuple[float, Held | None]:
    """b as it holds now, and why if it is less than what is configured."""
    b, why = limits.b, None
    known = here.capacity_at is not None and now - here.capacity_at <= limits.capacity_age
    if known and here.total_slots is not None and max(here.total_slots, LEAST_B) < b:
        b = max(here.total_slots, LEAST_B)
        why = Held(Reason.CAPACITY, {"slots": here.total_slots, "b": b, "b_set": limits.b})
    since = max((one for one in (here.last_start, here.queued_since) if one), default=None)
    if here.queued and since is not None and now - since >= limits.stalled:
        b /= 4 if now - since >= 2 * limits.stalled else 2
        why = Held(Reason.STALLED, {"since": f"{since:%Y-%m-%d %H:%M}", "b": b, "b_set": limits.b})
    return b, why


def rate_window(limits: Limits) -> tuple[timedelta, int]:
    """The time over which the rate is counted, and how many jobs may go in it: whole ones, at least one."""
    rate = limits.rate or 1.0
    return (MINUTE, int(rate)) if rate >= 1 else (MINUTE / rate, 1)


def rate_left(limits: Limits, here: Here, now: datetime) -> int | None:
    """How many jobs the rate limit lets through now; None: there is none."""
    if limits.rate is None:
        return None
    return rate_window(limits)[1] - sum(n for _, n in recent(limits, here.sent, now))


def recent(limits: Limits, sent: Iterable[tuple[datetime, int]], now: datetime) -> list[tuple[datetime, int]]:
    """The submissions that still count against the rate."""
    window, _ = rate_window(limits)
    return [(at, n) for at, n in sent if now - at < window]


def _rate_facts(limits: Limits) -> dict[str, Any]:
    window, most = rate_window(limits)
    return {"sent": most, "most": most, "seconds": window.total_seconds()}


def longest_before(here: Here, left: timedelta, now: datetime) -> timedelta:
    """The longest wall time of a job that, sent now, ends within `left`; negative: none does.

    The time in the queue is guessed from what is there: each running job lets one queued job in when it ends. Where
    nothing runs and jobs queue, another one waits as long as they have.
    """
    if not here.queued:
        return left
    if here.running:
        return left / (1 + here.queued / here.running)
    return left - (now - here.queued_since if here.queued_since else left)
