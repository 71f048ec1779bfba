"""Ask a CE about its living jobs, state first, and believe it only within reason (architecture rules 8, 13)."""

from collections.abc import Collection, Container, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from act_core.ce.base import ComputingElement, Facts, RemoteId, Seen
from act_core.db import ces, queries
from act_core.db.attempts import Attempt
from act_core.decisions import Decision, Move, Stay
from act_core.engine.settling import settle
from act_core.runtime import Counts, Runtime
from act_core.states import ENDED, CeState, Request, advances

# After our own restart a CE may still tell the old end for a while.
RESTART_SETTLES = timedelta(seconds=15)


def after_poll(attempt: Attempt, seen: Seen | None, now: datetime, patience: timedelta) -> Decision | None:
    """What a complete answer means for one job; None: nothing to write."""
    if seen is None:
        if attempt.absent_since is None:
            return Stay({"absent_since": now})
        if now - attempt.absent_since <= patience:
            return None
        return Move(CeState.LOST, f"the CE has not known it since {attempt.absent_since:%Y-%m-%d %H:%M:%S}")
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
    """All ids but the ones whose end is settled already."""

    def __init__(self, seen: Collection[RemoteId]) -> None:
        self._seen = seen

    def __contains__(self, one: object) -> bool:
        return one not in self._seen


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
        counts += await _ask_all(rt, ce, end)
    pause = rt.settings.arc.jobs.checkmintime
    await rt.write(ces.next_looks, ce, now + pause, now + interval if full else None)
    return counts


async def _look(rt: Runtime, ce: str, end: ComputingElement) -> Counts:
    """The fresh list of ended jobs."""
    memory = rt.memory(ce).ended_seen
    over = await end.ended(_NotYet(memory))
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


async def _ask_all(rt: Runtime, ce: str, end: ComputingElement) -> Counts:
    jobs = await rt.read(queries.living, ce)
    if not jobs:
        return Counts()
    seen = await end.states([attempt.remote_id for attempt in jobs if attempt.remote_id])
    now, patience = rt.now(), (await rt.site(ce)).patience
    decisions = {
        attempt: decision
        for attempt in jobs
        if attempt.remote_id and (decision := after_poll(attempt, seen.get(attempt.remote_id), now, patience))
    }
    return Counts(polled=len(jobs)) + await _settle_moves(rt, end, decisions)


async def _settle_moves(rt: Runtime, end: ComputingElement, decisions: Mapping[Attempt, Decision]) -> Counts:
    """Documents are asked for only of jobs that moved on."""
    moved = [
        attempt.remote_id
        for attempt, decision in decisions.items()
        if isinstance(decision, Move) and decision.to in ENDED and attempt.remote_id
    ]
    facts = await end.details(moved) if moved else {}
    full: dict[Attempt, Decision] = {}
    for attempt, decision in decisions.items():
        known = facts.get(attempt.remote_id) if attempt.remote_id else None
        full[attempt] = with_facts(decision, known) if isinstance(decision, Move) else decision
    return await settle(rt, full, "poll")
