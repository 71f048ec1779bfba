"""Ask a CE about its living jobs, state first, and believe it only within reason (architecture rules 8, 13)."""

from collections.abc import Collection, Container, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from time import monotonic

from act_core.ce.base import ComputingElement, Facts, RemoteId, Seen
from act_core.db import ces, queries
from act_core.db.attempts import Attempt
from act_core.decisions import Decision, Move, Stay
from act_core.engine.settling import after_absence, settle
from act_core.errors import ActError
from act_core.logs import log
from act_core.runtime import Counts, Runtime
from act_core.states import ENDED, CeState, Request, advances

logger = log(__name__)
CHUNK = 100
FACTS_S = 60.0  # a round asks no longer what ended jobs did; a fetch asks again
# After our own restart a CE may still tell the old end for a while.
RESTART_SETTLES = timedelta(seconds=15)


def after_poll(
    attempt: Attempt, seen: Seen | None, now: datetime, patience: timedelta, looked: datetime | None
) -> Decision | None:
    """What a complete answer means for one job; None: nothing to write. `looked`: when the one before it was."""
    if seen is None:
        return after_absence(attempt, now, patience, looked, {})
    moved = after_look(attempt, seen, now)
    if moved is None and attempt.absent_since is not None:
        return Stay({"absent_since": None})
    return moved


def after_look(attempt: Attempt, seen: Seen, now: datetime) -> Decision | None:
    """What a CE's word on a job means; a word that is unknown or old moves nothing."""
    if seen.state is None or not advances(attempt.state, seen.state):
        return None
    if attempt.reruns and now - attempt.state_since < RESTART_SETTLES and seen.state in ENDED:
        return None
    columns = {"native_state": seen.native, "absent_since": None, "due_at": attempt.due_at}
    to = seen.state
    if attempt.state is CeState.CANCELLING and to is CeState.FAILED:
        to = CeState.CANCELLED  # some CEs tell a killed job as failed
    if to not in (CeState.SUBMITTED, CeState.HOLDING):
        columns |= {"due_at": None, "inputs_sent_at": attempt.inputs_sent_at or now}
    heard = attempt.request is Request.CANCEL and to in ENDED | {CeState.CANCELLED}
    return Move(to, f"CE: {seen.native}", columns, wish_done=heard)


def columns_of(facts: Facts) -> dict[str, int | str | datetime | None]:
    """The columns that a CE's document fills."""
    return {
        "exit_code": facts.exit_code,
        "error": facts.error,
        "node": facts.node,
        "wall_s": facts.wall_s,
        "cpu_s": facts.cpu_s,
        "memory_kb": facts.memory_kb,
        "cores": facts.cores,
        "started_at": facts.started,
        "ended_at": facts.ended,
    }


def with_facts(move: Move, facts: Facts | None) -> Move:
    """The move, and what the CE's document says beside it."""
    if facts is None:
        return move
    return replace(move, columns={**move.columns, **columns_of(facts)})


class _NotYet(Container[RemoteId]):
    """All ids but the ones whose end is settled already; of these it remembers the ones that were asked for."""

    def __init__(self, seen: Collection[RemoteId]) -> None:
        self._seen = seen
        self.still: set[RemoteId] = set()

    def __contains__(self, one: object) -> bool:
        if one not in self._seen:
            return True
        self.still.add(RemoteId(str(one)))
        return False


async def poll(rt: Runtime, ce: str) -> Counts:
    """One look at a CE: for ended jobs each time, for all its jobs when that is due."""
    row, end, now = await rt.read(queries.ce_row, ce), await rt.ce(ce), rt.now()
    if row is None:
        return Counts()
    poll_every = (await rt.site(ce)).poll
    interval = rt.settings.arc.jobs.checkinterval if poll_every is None else poll_every
    full = row.next_poll_at is None or row.next_poll_at <= now
    counts = await _look(rt, ce, end)
    if full:
        counts += await _ask_all(rt, ce, end, row.next_poll_at and row.next_poll_at - interval)
    pause = rt.settings.arc.jobs.checkmintime
    await rt.write(ces.next_looks, ce, now + pause, now + interval if full else None)
    return counts


async def _look(rt: Runtime, ce: str, end: ComputingElement) -> Counts:
    """The fresh list of ended jobs."""
    memory = rt.memory(ce).ended_seen
    new = _NotYet(memory)
    over = await end.ended(new)
    memory &= new.still  # what the CE lists no more need not be known
    if not over:
        return Counts()
    now = rt.now()
    ours = await rt.read(queries.living_among, ce, list(over))
    decisions = {
        attempt: decision
        for attempt in ours
        if attempt.remote_id and (decision := after_look(attempt, over[attempt.remote_id], now))
    }
    counts = await _settle_moves(rt, end, decisions)
    # What is living and did not move now may move later; the others have nothing more to tell.
    memory |= set(over) - {attempt.remote_id for attempt in ours if attempt.remote_id}
    return counts


async def _ask_all(rt: Runtime, ce: str, end: ComputingElement, looked: datetime | None) -> Counts:
    jobs = await rt.read(queries.living, ce)
    if not jobs:
        return Counts()
    seen = await end.states([attempt.remote_id for attempt in jobs if attempt.remote_id])
    now, patience = rt.now(), (await rt.site(ce)).patience
    decisions = {
        attempt: decision
        for attempt in jobs
        if attempt.remote_id and (decision := after_poll(attempt, seen.get(attempt.remote_id), now, patience, looked))
    }
    return Counts(polled=len(jobs)) + await _settle_moves(rt, end, decisions)


async def _settle_moves(rt: Runtime, end: ComputingElement, decisions: Mapping[Attempt, Decision]) -> Counts:
    """Documents are asked for only of jobs that have ended, a chunk at a time, so that a mass end comes through."""
    ended = {a: move for a, move in decisions.items() if isinstance(move, Move) and move.to in ENDED}
    counts = await settle(rt, {a: decision for a, decision in decisions.items() if a not in ended}, "poll")
    waiting, ask, ends = list(ended), True, monotonic() + FACTS_S
    while waiting:
        chunk, waiting = waiting[:CHUNK], waiting[CHUNK:]
        facts = await facts_of(end, [a.remote_id for a in chunk if a.remote_id]) if ask else None
        ask = facts is not None and monotonic() < ends  # a CE that cannot tell is not asked for every chunk
        known = facts or {}
        full = {a: with_facts(ended[a], known.get(a.remote_id)) if a.remote_id else ended[a] for a in chunk}
        counts += await settle(rt, full, "poll")
    return counts


async def facts_of(end: ComputingElement, jobs: Collection[RemoteId]) -> Mapping[RemoteId, Facts] | None:
    """What the CE says of ended jobs. None: it does not, and what is known of their states counts all the same."""
    try:
        return await end.details(jobs)
    except ActError as err:
        logger.warning("what %d ended jobs did stays in the dark: %s", len(jobs), err)
        return None
