"""The books of a day, as arithmetic: what came in must have gone out or still be here. No I/O.

A job belongs to the day (UTC) on which PanDA handed it out; it ends on the day on which its row was closed.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta

from act_core.states import ENDED, CeState, PandaEnd, PandaState

DAY, PIECE = timedelta(days=1), timedelta(hours=3)
DELIVERED = "delivered"
# Of these the CE has said that the payload is over; of all others the tower only believes so, or they live.
KNOWN_OVER = ENDED | {CeState.DONE, CeState.DONEFAILED, CeState.CANCELLED}
_NO_END = frozenset({CeState.VOID, CeState.LOST, CeState.ABANDONED})


@dataclass(frozen=True, slots=True)
class Counted:
    """Rows of a queue that are alike. `end` None: in flight; `before`: taken before the day began."""

    queue: str
    end: PandaEnd | None
    before: bool
    n: int


@dataclass(frozen=True, slots=True)
class Account:
    """A queue's day: `opening` and `in_flight` are the jobs that were open at its two ends."""

    queue: str
    opening: int = 0
    taken: int = 0
    finished: int = 0
    failed: int = 0
    killed: int = 0  # PanDA ordered it, and has our word that it is done
    taken_back: int = 0  # PanDA had closed it, or given it up, before our word
    in_flight: int = 0

    @property
    def given_back(self) -> int:
        return self.killed + self.taken_back

    @property
    def missing(self) -> int:
        """Jobs that came in and are nowhere; negative: more went out than came in. 0: the books balance."""
        return self.opening + self.taken - self.finished - self.failed - self.given_back - self.in_flight


@dataclass(frozen=True, slots=True)
class Spent:
    """Core-seconds (wall time of all cores) of ended attempts, by queue, CE and what became of them."""

    queue: str
    ce: str  # empty: it was at none
    cause: str
    attempts: int
    core_s: int


@dataclass(frozen=True, slots=True)
class Finding:
    """A job that somebody should look at: `PandaID.attemptNr`, and why."""

    job: str
    why: str


@dataclass(frozen=True, slots=True)
class Books:
    """A day of one server. `until`: counted up to there. `closed_at` None: it is not closed yet."""

    day: date
    server: str
    until: datetime
    accounts: tuple[Account, ...] = ()
    spent: tuple[Spent, ...] = ()
    unaccounted: tuple[Finding, ...] = ()
    doubly: tuple[Finding, ...] = ()
    unverified: tuple[Finding, ...] = ()
    closed_at: datetime | None = None
    revision: int = 0
    changed: tuple[str, ...] = ()  # by the last `--again`

    @property
    def unbalanced(self) -> tuple[Account, ...]:
        return tuple(one for one in self.accounts if one.missing)

    @property
    def good(self) -> bool:
        return not (self.unbalanced or self.unaccounted or self.doubly)


@dataclass(frozen=True, slots=True)
class Tried:
    """An attempt, as evidence. `ran`: a start, usage, or the event `running` says that its payload began."""

    job: str
    attempt: int
    state: CeState
    ce: str | None
    started_at: datetime | None
    ended_at: datetime | None
    ran: bool


def bounds(day: date) -> tuple[datetime, datetime]:
    """A day's first moment, and the next day's."""
    start = datetime.combine(day, time(), UTC)
    return start, start + DAY


def pieces(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The span in pieces, so that no statement reads a whole day; at least one, maybe empty."""
    while end - start > PIECE:
        yield start, start + PIECE
        start += PIECE
    yield start, end


def tally(counted: Iterable[Counted], carried: Mapping[str, int] | None) -> tuple[Account, ...]:
    """Accounts by queue. `carried`: what the day before closed with, None: it is not closed, and the rows are believed.

    That is what makes the balance a check: the opening was written down before the rows that it is held against.
    """
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    for one in counted:
        sums[one.queue]["opening" if one.before else "taken"] += one.n
        sums[one.queue]["in_flight" if one.end is None else one.end.name.lower()] += one.n
    for queue in sums.keys() | (carried or {}):
        if carried is not None:
            sums[queue]["opening"] = carried.get(queue, 0)
    made = (Account(queue, **sums[queue]) for queue in sorted(sums))
    return tuple(one for one in made if any(getattr(one, name) for name in _AMOUNTS))


_AMOUNTS = tuple(field.name for field in fields(Account) if field.name != "queue")


def total(accounts: Iterable[Account], name: str = "") -> Account:
    """The sum of several queues, or the same queue's several parts."""
    parts = list(accounts)
    return Account(name, **{amount: sum(getattr(one, amount) for one in parts) for amount in _AMOUNTS})


def cause_of(end: PandaEnd, code: str | None, state: CeState, superseded: bool, rule: str | None) -> str:
    """What an attempt's core-hours went to. `code`: why the job failed; `rule`: the error rule last applied to it."""
    if end is PandaEnd.FINISHED and not superseded:
        return DELIVERED
    if state in _NO_END:
        return state.value
    if superseded:
        return "resubmitted"
    if end is PandaEnd.FAILED:
        return f"failed: {f'rule {rule}' if rule else code or 'no code'}"
    return end.value


def twice_executed(tries: Sequence[Tried]) -> Finding | None:
    """Whether by the CEs' own answers two attempts of one job have run, the earlier not known to be over.

    Known to be over: its CE has said so, and by its times that was before the later one started.
    """
    ran = sorted((one for one in tries if one.ran), key=lambda one: one.attempt)
    for n, later in enumerate(ran):
        for earlier in ran[:n]:
            if why := _overlap(earlier, later):
                return Finding(later.job, why)
    return None


def _overlap(earlier: Tried, later: Tried) -> str:
    both = f"attempts {earlier.attempt} ({earlier.ce}) and {later.attempt} ({later.ce}) have run"
    if earlier.state not in KNOWN_OVER:
        return f"{both}, and the earlier one is {earlier.state.value}"
    if earlier.ended_at and later.started_at and later.started_at < earlier.ended_at:
        return (
            f"{both}, the later one from {later.started_at:%H:%M:%S}, the earlier one until {earlier.ended_at:%H:%M:%S}"
        )
    return ""


def patience(stuck: timedelta, longest: timedelta) -> dict[PandaState, timedelta]:
    """How long a job may stay in each open state before it counts as unaccounted."""
    elsewhere = (PandaState.STARTING, PandaState.RUNNING, PandaState.AWAITING)  # at a CE, or held by PanDA
    return {one: longest if one in elsewhere else stuck for one in PandaState if one is not PandaState.CLOSED}


def changes(old: Books, new: Books) -> tuple[str, ...]:
    """What is different now, in words."""
    before = {one.queue: one for one in old.accounts}
    after = {one.queue: one for one in new.accounts}
    found = []
    for queue in sorted(before | after):
        was, now = before.get(queue, Account(queue)), after.get(queue, Account(queue))
        pairs = ((name, getattr(was, name), getattr(now, name)) for name in _AMOUNTS)
        found += [f"{queue}: {name} {a} → {b}" for name, a, b in pairs if a != b]
    was_spent, is_spent = by_cause(old.spent), by_cause(new.spent)
    pairs = ((cause, was_spent[cause], is_spent[cause]) for cause in sorted(was_spent | is_spent))
    found += [f"core-seconds {cause}: {a} → {b}" for cause, a, b in pairs if a != b]
    for name in ("unaccounted", "doubly", "unverified"):
        was_ids, is_ids = ({one.job for one in getattr(books, name)} for books in (old, new))
        found += [f"{name}: {job} is gone" for job in sorted(was_ids - is_ids)]
        found += [f"{name}: {job} is new" for job in sorted(is_ids - was_ids)]
    return tuple(found)


def by_cause(spent: Iterable[Spent]) -> Counter[str]:
    """Core-seconds by cause."""
    sums: Counter[str] = Counter()
    for one in spent:
        sums[one.cause] += one.core_s
    return sums
