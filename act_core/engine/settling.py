"""How a step's decisions reach the tables, and how its counts read."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from act_core.db.attempts import Attempt
from act_core.db.claims import Settled
from act_core.decisions import Decision, Move, Stay
from act_core.engine import brake
from act_core.logs import log
from act_core.runtime import Counts, Runtime
from act_core.states import LIVING, CeState, Request

logger = log(__name__)
LONGEST_BACKOFF = timedelta(hours=1)
SIGHTINGS = 4  # good answers without a job, spread over its patience, before it is lost


def backoff(tries: int, first: timedelta = timedelta(seconds=15)) -> timedelta:
    """How long to wait after `tries` failures: doubling from `first`, an hour at most."""
    return min(first * int(2 ** min(tries, 16)), LONGEST_BACKOFF)


def pause(since: datetime, now: datetime, first: timedelta, longest: timedelta) -> timedelta:
    """How long to wait where no try is counted: longer, the longer it has lasted."""
    return min(max(first, (now - since) / 4), longest)


def after_absence(
    attempt: Attempt, now: datetime, patience: timedelta, looked: datetime | None, again: dict[str, Any]
) -> Decision | None:
    """A good answer does not know the job. It is lost once such answers span its patience (architecture rule 8).

    Time in which nobody looked does not count: the last good answer was at `looked`, and of what lies between, no more
    is believed than a part of the patience. `again`: what else is written while it is not lost.
    """
    if attempt.absent_since is None:
        return Stay({"absent_since": now} | again)
    blind = max(now - (looked or attempt.absent_since) - patience / SIGHTINGS, timedelta(0))
    since = min(attempt.absent_since + blind, now)
    if now - since > patience:
        return Move(CeState.LOST, f"in no answer of the CE since {attempt.absent_since:%Y-%m-%d %H:%M:%S}")
    return Stay({"absent_since": since} | again) if blind or again else None


def after_gone(attempt: Attempt, now: datetime, patience: timedelta) -> Decision | None:
    """A 404 to a step is one witness: the job is asked for again and again, and lost when its patience is over.

    Lost, and not cancelled: it may run on unseen, so that nothing may follow it by itself. Of a living job only the
    poll counts that time, once.
    """
    step = patience / SIGHTINGS
    if attempt.state in LIVING:
        return Stay({"due_at": now + step} | ({} if attempt.absent_since else {"absent_since": now}))
    looked = attempt.due_at - step if attempt.due_at else None  # we wrote it then
    decision = after_absence(attempt, now, patience, looked, {"due_at": now + step})
    if not isinstance(decision, Move):
        return decision
    return replace(decision, wish_done=attempt.request not in (Request.CLEAN, Request.RESUBMIT))


async def settle(rt: Runtime, decisions: Mapping[Attempt, Decision], actor: str) -> Counts:
    """Settle and count by the state that was reached; an illegal move is our bug and is counted as such."""
    if not decisions:
        return Counts()
    passed = await brake.settle(rt, decisions, actor)
    counts = counted(passed.decisions, passed.settled)
    return counts + Counts(braked=passed.held) if passed.held else counts


async def settled_attempts(rt: Runtime, decisions: Mapping[Attempt, Decision], actor: str) -> list[Attempt]:
    """Settle, and return the attempts that were written as they now stand: what the same step goes on with."""
    if not decisions:
        return []
    passed = await brake.settle(rt, decisions, actor)
    counted(passed.decisions, passed.settled)
    written = {attempt: one for attempt, one in passed.decisions.items() if attempt.id in passed.settled.written}
    return [after(attempt, decision, passed.at) for attempt, decision in written.items()]


def after(attempt: Attempt, decision: Decision, now: datetime) -> Attempt:
    """The attempt as `settle` wrote it."""
    known = {name: value for name, value in decision.columns.items() if name in Attempt.__slots__}
    state = decision.to if isinstance(decision, Move) else attempt.state
    since = now if isinstance(decision, Move) else attempt.state_since
    changed: dict[str, object] = {**known, "version": attempt.version + 1, "state": state, "state_since": since}
    return replace(attempt, **changed)  # type: ignore[arg-type]


def counted(decisions: Mapping[Attempt, Decision], settled: Settled) -> Counts:
    """Counts by word; stale and illegal ones by their own."""
    counts = Counts()
    for attempt, decision in decisions.items():
        if attempt.id in settled.written and isinstance(decision, Move):
            counts[decision.to.value] += 1
    if settled.stale:
        counts["stale"] += len(settled.stale)
    if settled.successors:
        counts["next attempts"] += settled.successors
    for job, move in settled.illegal.items():
        counts["illegal"] += 1
        logger.error("attempt %d: illegal move %s", job, move)
    return counts
