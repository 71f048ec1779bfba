"""The tower as it was: what the tables tell of a moment that is over. Values for commands and the page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from act_core.db import clock, listing, past
from act_core.db.listing import Filter
from act_core.db.models import AttemptColumns, CeJobEvent
from act_core.db.past import EVENTS_KEPT, HeldThen
from act_core.db.policy_models import LedgerLine, Standing
from act_core.errors import BadInput
from act_core.monitor.explain import Part
from act_core.monitor.explain_ces import line_of
from act_core.monitor.times import at as told
from act_core.monitor.times import span as length
from act_core.reasons import Topic
from act_core.states import CeState

_ENDED_WITHIN = timedelta(minutes=10)
_MODE = "mode-"
_MOST = 1000  # attempts of one job


@dataclass(frozen=True, slots=True)
class Span:
    """The moments that can be asked for. `first` None: nothing has happened yet, and none can."""

    first: datetime | None
    last: datetime


@dataclass(frozen=True, slots=True)
class WhyThen:
    """A reason that held. `share` empty: of all of the CE; `job_id` 0: of no single job."""

    topic: str
    code: str
    ce: str
    share: str
    job_id: int
    since: datetime
    why: str


@dataclass(frozen=True, slots=True)
class CeThen:
    """A CE. `jobs`: by state, of the attempts that were not over; `ended`: the ends of the ten minutes before."""

    name: str
    mode: str
    why: str  # of the mode
    jobs: Mapping[str, int]
    ended: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Counts:
    """All CEs at a moment; `waiting`: jobs that were at none yet."""

    at: datetime
    waiting: int
    ces: tuple[CeThen, ...]
    reasons: tuple[WhyThen, ...]


@dataclass(frozen=True, slots=True)
class CeAt:
    """One CE at a moment. `next`: what was decided next about it, and when."""

    at: datetime
    ce: CeThen
    reasons: tuple[WhyThen, ...]
    next: WhyThen | None


@dataclass(frozen=True, slots=True)
class Happened:
    """An event of an attempt."""

    at: datetime
    attempt: int
    from_state: str
    to_state: str
    ce: str
    reason: str
    actor: str


@dataclass(frozen=True, slots=True)
class JobThen:
    """A job: its attempt of that moment, how it had come there, what held it, and what happened next.

    `by` None: no event is known; `next` None: nothing has happened since; `ended`: how its last attempt ended.
    """

    at: datetime
    app: str
    job: str
    attempt: int
    state: str
    ce: str
    share: str
    since: datetime
    by: Happened | None
    earlier: tuple[Happened, ...]  # ends of the attempts before
    reasons: tuple[WhyThen, ...]
    next: Happened | None
    ended: Happened | None


def span(session: Session, now: datetime | None = None) -> Span:
    """The first and the last moment that can be asked for; `now`: by the database's clock, unless it is given."""
    last = now or clock.asked(session)
    first = past.first_event(session)
    return Span(None if first is None else max(first, last - EVENTS_KEPT), last)


def check(known: Span, when: datetime) -> None:
    """Raises BadInput for a moment that no event tells of."""
    if known.first is None:
        raise BadInput("nothing has happened yet: there is no event to tell the past by")
    if when < known.first:
        kept = length(EVENTS_KEPT)
        raise BadInput(
            f"{told(when)} is before the first event that is known, of {told(known.first)}: events are kept for {kept}"
        )
    if when > known.last:
        raise BadInput(f"{told(when)} has not come yet: it is {told(known.last)}")


def counts_at(session: Session, when: datetime, ces: Sequence[str] = ()) -> Counts:
    """How many attempts stood where, and what held of CEs and of the tower. `ces`: named even if nothing is known."""
    jobs: dict[str, dict[str, int]] = {ce: {} for ce in ces}
    for one in past.stood(session, when):
        jobs.setdefault(one.ce, {})[one.state.value] = one.n
    ends: dict[str, dict[str, int]] = {}
    for one in past.ended(session, when - _ENDED_WITHIN, when):
        ends.setdefault(one.ce, {})[one.state.value] = one.n
    held = [one for one in past.held(session, when) if not one.job_id]
    modes = {one.ce: one for one in held if one.topic == Topic.MODE}
    waiting = sum(jobs.pop("", {}).values())
    names = sorted({ce for ce in {*jobs, *ends, *modes} if ce})
    found = (_ce_then(name, modes.get(name), jobs.get(name, {}), ends.get(name, {}), when) for name in names)
    reasons = tuple(why(one, when) for one in held if one.topic != Topic.MODE)
    return Counts(when, waiting, tuple(found), reasons)


def ce_at(session: Session, name: str, when: datetime) -> CeAt:
    """A CE, with what held of it and what was decided next."""
    counts = counts_at(session, when, [name])
    line = past.next_line(session, name, when)
    return CeAt(
        when,
        next(ce for ce in counts.ces if ce.name == name),
        tuple(one for one in counts.reasons if one.ce == name),
        _decided(line) if line else None,
    )


def _decided(line: LedgerLine) -> WhyThen:
    if line.code:
        return why(past.as_held(line), line.at)
    whose = f" for share {line.share}" if line.share else ""
    words = f"What had held{whose} ({line.topic}) was over."
    return WhyThen(line.topic, line.code, line.ce, line.share, line.job_id, line.at, words)


def _ce_then(
    name: str, mode: HeldThen | None, jobs: Mapping[str, int], ends: Mapping[str, int], when: datetime
) -> CeThen:
    word = mode.code.removeprefix(_MODE) if mode else "on"
    return CeThen(name, word, why(mode, when).why if mode else "", dict(jobs), dict(ends))


def why(one: HeldThen, when: datetime) -> WhyThen:
    """In the words of that moment."""
    return WhyThen(one.topic, one.code, one.ce, one.share, one.job_id, one.since, _part(one, when).why)


def _part(one: HeldThen, when: datetime) -> Part:
    names = ("topic", "ce", "share", "job_id", "code", "since", "n", "facts")
    return line_of(Standing(**{name: getattr(one, name) for name in names}), when)


def job_at(session: Session, one: str, when: datetime, app: str | None = None) -> JobThen | None:
    """A job by any of its ids; None: nobody knows it, or it was not there yet."""
    found = _by_id(session, Filter(ids=(one,), app=app, newest=False), 1)
    if not found:
        return None
    family = _by_id(session, Filter(ids=(found[0].app_job_id,), app=found[0].app, newest=False), _MOST)
    there = [row for row in family if row.created <= when]
    if not there:
        return None
    job = there[-1]
    events = listing.events(session, [row.id for row in family])
    mine = sorted((event for event in events if event.job_id == job.id), key=lambda event: (event.at, event.id))
    state, ce, by = state_at(job, mine, when)
    later = sorted((event for event in events if event.at > when), key=lambda event: (event.at, event.id))
    return JobThen(
        when, job.app, job.app_job_id, job.attempt, state.value, ce, job.share, by.at if by else job.created,
        _happened(by), tuple(_ends(there[:-1], events)), _reasons(session, job, state, ce, when),
        _happened(next(iter(later), None)), _happened(_end(family[-1], later)),
    )  # fmt: skip


def _by_id(session: Session, wanted: Filter, limit: int) -> list[AttemptColumns]:
    """Attempts, the first one first; rows at rest, too."""
    found: list[AttemptColumns] = [*listing.jobs(session, wanted, limit), *listing.resting(session, wanted, limit)]
    return sorted(found, key=lambda row: row.attempt)


def state_at(
    job: AttemptColumns, events: Sequence[CeJobEvent], when: datetime
) -> tuple[CeState, str, CeJobEvent | None]:
    """State and CE of an attempt, and the event that brought it there; `events` of it, in their order."""
    before = [event for event in events if event.at <= when]
    after = next((event for event in events if event.at > when), None)
    if not before:
        word = after.from_state if after else job.state
        state = CeState(word)
        return state, "" if state is CeState.TOSUBMIT else job.ce or "", None
    state = CeState(before[-1].to_state)
    by = next((one for one in reversed(before) if one.from_state != one.to_state == state), before[0])
    return state, "" if state is CeState.TOSUBMIT else before[-1].ce or job.ce or "", by


def _happened(event: CeJobEvent | None) -> Happened | None:
    if event is None:
        return None
    return Happened(
        event.at, event.attempt, event.from_state, event.to_state, event.ce or "", event.reason, event.actor
    )


def _end(last: AttemptColumns, later: Sequence[CeJobEvent]) -> CeJobEvent | None:
    """How the last attempt ended after that moment."""
    ends = (one for one in reversed(later) if one.job_id == last.id and one.from_state != one.to_state)
    return next((one for one in ends if past.is_over(one.to_state)), None)


def _ends(earlier: Sequence[AttemptColumns], events: Sequence[CeJobEvent]) -> list[Happened]:
    ids = {row.id for row in earlier}
    ends = (
        one for one in events if one.job_id in ids and past.is_over(one.to_state) and one.from_state != one.to_state
    )
    return [found for found in map(_happened, ends) if found]


def _reasons(session: Session, job: AttemptColumns, state: CeState, ce: str, when: datetime) -> tuple[WhyThen, ...]:
    """What held the job itself, and what held at its CE, or at its candidates while it waited."""
    waits = state is CeState.TOSUBMIT
    ces = listing.candidates(session, job.placement_id) if waits else [ce] if ce else []
    lines = past.held(session, when, ces=ces, job_ids=[job.id])
    mine = [one for one in lines if one.job_id == job.id or (not one.job_id and one.share in ("", job.share))]
    return tuple(why(one, when) for one in mine if waits or one.topic != Topic.SUBMIT)
