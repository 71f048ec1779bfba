"""What would have been: a day of a CE once as it was set, for trust, and once with other settings."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from act_core.db import past, queries, replays
from act_core.db.modes import PERMITS
from act_core.db.policy_models import LedgerLine
from act_core.engine.fill import Limits
from act_core.engine.replay import replay
from act_core.engine.replayed import LEAST_STARTS, Figures, Observed, figures, observed
from act_core.engine.submit import limits_of
from act_core.errors import BadInput
from act_core.monitor.past import Span
from act_core.monitor.times import at as told
from act_core.monitor.times import some
from act_core.monitor.times import span as length
from act_core.monitor.what_if_keys import Terms, changed
from act_core.reasons import Topic
from act_core.runtime import site_of
from act_core.settings.model import Settings

DAY = timedelta(days=1)
BATCH = 100  # jobs of one submission, where the configuration leaves it to the back end
_SHUT = frozenset(permits.code for permits in PERMITS.values() if not permits.new)
_DOUBTFUL = 0.25  # a control that is further off is not to be trusted
_WEIGHED = ("mean_queue", "mean_running", "mean_wait_s")


@dataclass(frozen=True, slots=True)
class Known:
    """A day of a CE as the tables tell it, and what was set then."""

    ce: str
    seen: Observed
    terms: Terms
    limits: Limits
    all_candidates: bool  # False: there are too many that another CE could have had
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WhatIf:
    """`errors`: how far the control is from what really happened, as parts of it; None: there is nothing to compare."""

    ce: str
    begin: datetime
    end: datetime
    really: Figures
    control: Figures
    what_if: Figures
    errors: Mapping[str, float | None]
    trust: str
    assumptions: tuple[str, ...]


def read_day(session: Session, settings: Settings, ce: str, day: datetime, known: Span) -> Known:
    """Raises BadInput for an unknown CE, a day that no event tells of, and one on which too little happened."""
    row = queries.ce_row(session, ce)
    if row is None:
        raise BadInput(f"no CE {ce!r}: `act ces list` tells which there are")
    begin, end = _bounds(day, known)
    jobs, all_candidates = replays.candidates(session, ce, begin, end)
    steps = replays.steps(session, jobs)
    seen = observed(
        ce,
        begin,
        end,
        {one.id: (one, steps[one.id]) for one in jobs},
        closed(past.held(session, begin, ces=[ce]), past.noted(session, ce, begin, end), begin, end),
        (row.capacity or {}).get("total_slots"),
    )
    if seen.trace.started < LEAST_STARTS:
        raise BadInput(
            f"too little happened at {ce} on {day:%Y-%m-%d} to replay it: {some(seen.trace.started)} started there, "
            f"and {LEAST_STARTS} are wanted"
        )
    site = settings.arc.sites.get(ce) or site_of(row)
    terms = Terms(site.model_copy(update={"maxjobs": row.maxjobs}), settings.arc.jobs, settings.arc.fill)
    then, notes = _then(terms, past.noted(session, ce, begin, end))
    return Known(ce, seen, then, _limits(then), all_candidates, notes)


def _bounds(day: datetime, known: Span) -> tuple[datetime, datetime]:
    begin, end = day, min(day + DAY, known.last)
    if known.first is None:
        raise BadInput("nothing has happened yet: there is no event to replay a day by")
    if end <= known.first:
        raise BadInput(
            f"{day:%Y-%m-%d} is before the first event that is known, of {told(known.first)}: "
            f"events are kept for {length(past.EVENTS_KEPT)}"
        )
    return max(begin, known.first), end


def closed(
    held: Sequence[past.HeldThen], lines: Sequence[LedgerLine], begin: datetime, end: datetime
) -> tuple[tuple[datetime, datetime], ...]:
    """The times in which the CE's mode let no new jobs through."""
    since = begin if any(one.topic == Topic.MODE and one.code in _SHUT for one in held) else None
    found: list[tuple[datetime, datetime]] = []
    for line in lines:
        if line.topic != Topic.MODE:
            continue
        if since is not None and line.at > since:
            found.append((since, line.at))
        since = line.at if line.code in _SHUT else None
    return (*found, (since, end)) if since is not None else tuple(found)


def _then(terms: Terms, lines: Sequence[LedgerLine]) -> tuple[Terms, tuple[str, ...]]:
    """The limits of that day where the ledger names them: the newest line that does."""
    words: dict[str, str] = {}
    for line in lines:
        facts = line.facts
        if line.topic != Topic.SUBMIT or line.code == "share-full":  # which tells of its own part of b
            continue
        named = {"a": facts.get("a"), "b": facts.get("b_set", facts.get("b")), "maxjobs": facts.get("maxjobs")}
        words |= {key: str(value) for key, value in named.items() if isinstance(value, int | float)}
    then = changed(terms, (f"{key}={value}" for key, value in words.items()))
    was, now = _limits(then), _limits(terms)
    told_of = [
        f"{key} was {getattr(was, key):g} that day, by the ledger, and is {getattr(now, key):g} now."
        for key in words
        if getattr(was, key) != getattr(now, key)
    ]
    return then, tuple(told_of)


def _limits(terms: Terms) -> Limits:
    return limits_of(terms.site, terms.jobs, terms.fill, terms.site.batch or BATCH)


def what_if(known: Known, words: Sequence[str]) -> WhatIf:
    """The day replayed twice. Raises BadInput for a key or value that is no good."""
    if not words:
        raise BadInput("nothing is to be changed: --set b=300, for example")
    other = _limits(changed(known.terms, words))
    day = known.seen.day
    really, control = figures(known.seen.trace), figures(replay(day, known.limits))
    errors = {name: _off(getattr(control, name), getattr(really, name)) for name in _WEIGHED}
    return WhatIf(
        known.ce,
        day.begin,
        day.end,
        really,
        control,
        figures(replay(day, other)),
        errors,
        _trust(errors),
        tuple(_assumptions(known)),
    )


def _off(found: float | None, real: float | None) -> float | None:
    return None if found is None or not real else abs(found - real) / real


def _trust(errors: Mapping[str, float | None]) -> str:
    known = {name: error for name, error in errors.items() if error is not None}
    if not known:
        return "What really happened gives nothing to compare the control with: do not trust it."
    names = {"mean_queue": "the mean queue", "mean_running": "the slots in use", "mean_wait_s": "the mean wait"}
    words = ", ".join(f"{error:.0%} off in {names[name]}" for name, error in known.items())
    worst = max(known.values())
    end = "the difference is worth more than the numbers" if worst <= _DOUBTFUL else "do not trust the difference much"
    return f"The control, which has that day's settings, is {words}: {end}."


def _assumptions(known: Known) -> Iterator[str]:
    seen, day = known.seen, known.seen.day
    yield from known.notes
    if seen.shown:
        yield (
            f"The site's slots are those in use while jobs had to queue, {seen.shown:.0%} of the time; else at least "
            "as many as before."
        )
    else:
        yield (
            "Jobs never had to queue for a slot, so that the site's limit was not seen: it is taken for what ran at "
            "most, or for what the CE says of itself."
        )
    yield f"A queued job starts after {length(day.latency)} at the earliest, first come, first served."
    yield "Jobs that another CE took stay there unless this one is sooner; the other CEs do not answer to the change."
    if not known.all_candidates:
        yield "Too many jobs could go there: those that another CE took are left out."
    if seen.guessed:
        yield f"{some(seen.guessed)} did not run there to the end: the median of the others is taken."
    yield "Rests after errors, downtimes ahead, proxies and send delays are as if they had not been; modes are kept."


def rows(found: WhatIf) -> Iterator[tuple[str, float | None, float | None, float | None]]:
    """Name, really, control, what-if."""
    for one in fields(Figures):
        yield one.name, *(getattr(each, one.name) for each in (found.really, found.control, found.what_if))
