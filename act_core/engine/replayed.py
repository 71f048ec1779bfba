"""What a replay is given, out of what happened; what happened, in the replay's own numbers; and their sums. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import fmean, median

from act_core.db.backlog import Waiting
from act_core.db.replays import Ran, Step
from act_core.engine.replay import ROUND, Day, Job, Trace
from act_core.states import FINAL, CeState

SLICE = timedelta(minutes=10)  # the slots that a site gives are told for so long
LEAST_STARTS = 20  # jobs that start on the day; fewer tell nothing
_SURELY = timedelta(minutes=3)  # a job that has been queued for so much longer than the quickest waits for a slot
_SLOWEST = timedelta(minutes=10)  # where even the quickest take longer, all of them waited for a slot
_MOST_ROUNDS = 20_000
_QUICK = 0.1  # the tenth of the jobs that starts first tells how long a start takes where slots are free
_BEGAN = frozenset({CeState.RUNNING, CeState.FINISHING, CeState.FINISHED})
_QUEUED = frozenset({CeState.SUBMITTING, CeState.SUBMITTED, CeState.HOLDING})
_IN_SLOT = _QUEUED | {CeState.RUNNING, CeState.CANCELLING}  # HTCondor may queue a running job again

Times = tuple[datetime, datetime, timedelta]  # begin, end, round


@dataclass(frozen=True, slots=True)
class Life:
    """When an attempt was sent to its CE, began and ended there; None: it was not, or not yet."""

    sent: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None
    over: datetime | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """A day of a CE in numbers."""

    mean_queue: float
    max_queue: int
    mean_running: float  # in slots
    idle_slot_hours: float  # slots that were free while jobs waited at the tower
    mean_wait_s: float | None  # from arrival to start, of the jobs that started
    median_wait_s: float | None
    longest_waits_s: float | None  # 95 % waited less
    sent: int
    sent_a_minute: float
    started: int
    ended: int


@dataclass(frozen=True, slots=True)
class Observed:
    """A day as it was. `shown`: the part of it in which the site's limit was seen, from 0 to 1."""

    day: Day
    trace: Trace
    shown: float
    guessed: int  # jobs whose run time is not known


def life_of(ran: Ran, steps: Sequence[Step]) -> Life:
    """The last time that it was sent counts: what came before was refused or never arrived."""
    sent = started = ended = over = None
    for one in steps:
        if one.to_state is CeState.SUBMITTING:
            sent, started = one.at, None
        elif one.to_state in _BEGAN and sent and started is None:
            known = timedelta(seconds=ran.wall_s or 0)
            late = one.to_state is not CeState.RUNNING  # it began and ended between two looks
            started = max(sent, one.at - known) if late else one.at
        if started and ended is None and one.to_state not in _IN_SLOT:
            ended = one.at
        if one.to_state in FINAL:
            over = one.at
    if sent and steps[-1].to_state is CeState.TOSUBMIT:
        sent = None
    return Life(sent, started, ended, over)


def observed(
    ce: str,
    begin: datetime,
    end: datetime,
    jobs: Mapping[int, tuple[Ran, Sequence[Step]]],
    closed: tuple[tuple[datetime, datetime], ...] = (),
    total_slots: int | None = None,
) -> Observed:
    """The inputs of a replay, and the day as it was. `end` is not after the moment at which the tables were read."""
    lives = {number: life_of(*known) for number, known in jobs.items()}
    here = {number: life for number, life in lives.items() if jobs[number][0].ce == ce and life.sent}
    runs = [life.ended - life.started for life in here.values() if life.started and life.ended]
    usual = sorted(runs)[len(runs) // 2] if runs else timedelta(hours=1)
    made = {number: _job(ran, lives[number], number in here, usual, begin, end) for number, (ran, _) in jobs.items()}
    every = round_of(usual, end - begin)
    there = {number: one for number, one in made.items() if one and one.arrived < end}
    queue_times = sorted(life.started - life.sent for life in here.values() if life.sent and life.started)
    latency = min(queue_times[int(len(queue_times) * _QUICK)], _SLOWEST) if queue_times else timedelta(0)
    times = begin, end, every
    trace = _trace(times, jobs, lives, frozenset(here), there)
    surely = max(latency, min(_SURELY, 4 * every))
    slots, shown = _slots(begin, trace, _aged(times, here.values(), latency + surely), total_slots)
    trace.slots = [slots[n // (SLICE // every)][1] for n in range(len(trace.running))]
    guessed = sum(1 for number in there if not (lives[number].started and lives[number].ended))
    day = Day(begin, end, tuple(there.values()), tuple(slots), latency, closed, total_slots, every)
    return Observed(day, trace, shown, guessed)


def round_of(usual: timedelta, whole: timedelta) -> timedelta:
    """Jobs that take seconds are lost between rounds of half a minute; a whole day of short rounds takes too long."""
    seconds = max(usual / 4, whole / _MOST_ROUNDS) // timedelta(seconds=1)
    return min(timedelta(seconds=max(seconds, 1)), ROUND)


def _job(ran: Ran, life: Life, mine: bool, usual: timedelta, begin: datetime, end: datetime) -> Job | None:
    """None: it was over before the day, or another CE had it."""
    gone = life.over if mine else life.sent or life.over
    if gone and gone <= begin:
        return None
    lasts = life.ended - life.started if life.started and life.ended else usual
    if life.started and not life.ended:
        lasts = max(usual, end - life.started)
    lingers = life.over - life.ended if mine and life.over and life.ended else timedelta(0)
    walltime = None if ran.walltime_s is None else timedelta(seconds=ran.walltime_s)
    before = mine and life.sent is not None and life.sent < begin
    return Job(
        Waiting(ran.id, ran.share, ran.priority, ran.cores, walltime, ran.submit_before),
        ran.created,
        lasts,
        max(lingers, timedelta(0)),
        taken=None if mine else life.sent,
        ends=life.over if not life.started else None,
        sent=life.sent if before else None,
        started=life.started if before and life.started and life.started < begin else None,
    )


class _Steps:
    """A number that changes at moments, as it is in each round."""

    def __init__(self, times: Times) -> None:
        self._begin, end, self._every = times
        self._rounds = -(-(end - self._begin) // self._every)
        self._changes = [0] * (self._rounds + 1)

    def add(self, since: datetime, until: datetime | None, n: int = 1) -> None:
        """In the rounds from `since` on, before `until`; None: to the end."""
        first, last = self._round(since), self._rounds if until is None else self._round(until)
        if last > first:
            self._changes[first] += n
            self._changes[last] -= n

    def _round(self, at: datetime) -> int:
        return min(max(-(-(at - self._begin) // self._every), 0), self._rounds)

    def values(self) -> list[int]:
        now, found = 0, []
        for change in self._changes[: self._rounds]:
            now += change
            found.append(now)
        return found


def _trace(
    times: Times,
    jobs: Mapping[int, tuple[Ran, Sequence[Step]]],
    lives: Mapping[int, Life],
    here: frozenset[int],
    there: Mapping[int, Job | None],
) -> Trace:
    begin, end, every = times
    queued, running, waiting, trace = _Steps(times), _Steps(times), _Steps(times), Trace(every)
    for number in there:
        ran, life = jobs[number][0], lives[number]
        waiting.add(ran.created, life.sent or life.over, ran.cores)
        if number not in here or life.sent is None:
            continue
        queued.add(life.sent, life.started or life.over)
        trace.sent += begin <= life.sent < end
        if life.started is None:
            continue
        running.add(life.started, life.ended, ran.cores)
        if begin <= life.started < end:
            trace.started += 1
            trace.waits.append(life.started - ran.created)
        trace.ended += bool(life.ended and begin <= life.ended < end)
    trace.queued, trace.running, trace.waiting = queued.values(), running.values(), waiting.values()
    return trace


def _aged(times: Times, lives: Iterable[Life], surely: timedelta) -> list[int]:
    """How many jobs had been queued for so long that only a slot was missing."""
    found = _Steps(times)
    for life in lives:
        if life.sent:
            found.add(life.sent + surely, life.started or life.over)
    return found.values()


def _slots(
    begin: datetime, trace: Trace, aged: Sequence[int], total_slots: int | None
) -> tuple[list[tuple[datetime, int]], float]:
    """The slots that the site gave: while jobs were queued, as many as ran; else at least so many, and as before."""
    size = SLICE // trace.round
    parts = [range(n, min(n + size, len(aged))) for n in range(0, len(aged), size)]
    most = [max(trace.running[n] for n in part) for part in parts]
    binds = [any(aged[n] for n in part) for part in parts]
    first = next((n for n, bound in enumerate(binds) if bound), None)
    last = max(*most, total_slots or 0) if first is None else most[first]
    slots = []
    for n, (held, bound) in enumerate(zip(most, binds, strict=True)):
        last = held if bound else last
        slots.append((begin + n * SLICE, max(held, last)))
    return slots, sum(binds) / len(binds) if binds else 0.0


def figures(trace: Trace) -> Figures:
    """The sums of a day."""
    rounds, hours = max(len(trace.queued), 1), trace.round / timedelta(hours=1)
    idle = (
        min(max(slots - running, 0), waiting)
        for slots, running, waiting in zip(trace.slots, trace.running, trace.waiting, strict=True)
    )
    waits = sorted(one.total_seconds() for one in trace.waits)
    return Figures(
        mean_queue=sum(trace.queued) / rounds,
        max_queue=max(trace.queued, default=0),
        mean_running=sum(trace.running) / rounds,
        idle_slot_hours=sum(idle) * hours,
        mean_wait_s=fmean(waits) if waits else None,
        median_wait_s=median(waits) if waits else None,
        longest_waits_s=waits[min(int(len(waits) * 0.95), len(waits) - 1)] if waits else None,
        sent=trace.sent,
        sent_a_minute=trace.sent / (rounds * (trace.round / timedelta(minutes=1))),
        started=trace.started,
        ended=trace.ended,
    )
