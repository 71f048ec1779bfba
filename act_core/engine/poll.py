"""Ask a CE about its living jobs, state first, and believe it only within reason (architecture rules 8, 13)."""

from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from time import monotonic

from act_core.ce.base import ComputingElement, Facts, RemoteId, Seen
from act_core.ce.gathering import chunked
from act_core.db import ces, queries
from act_core.db.attempts import Attempt
from act_core.decisions import Decision, Move, Stay
from act_core.engine.brake import LIMITS
from act_core.engine.judging import no_longer_held, settle_judged, verdicts_on, with_verdict
from act_core.engine.limits import after_limit, after_total, another, not_counted
from act_core.engine.rules import NOTHING
from act_core.engine.settling import after_absence, settle
from act_core.engine.starts import starts
from act_core.errors import ActError
from act_core.logs import log
from act_core.runtime import Counts, Runtime
from act_core.states import ENDED, LIVING, CeState, Request, advances

logger = log(__name__)
CHUNK = 100
FACTS_S = 60.0  # a round asks no longer what ended jobs did; a fetch asks again
# After our own restart a CE may still tell the old end for a while. A-REX tells states as its information provider last
# saw them, a minute ago or more (arc-rest.md, three sources of state): until it has said anything new, that is longer.
RESTART_SETTLES = timedelta(seconds=15)
LATE_WORDS: Mapping[str, timedelta] = {"arc-rest": timedelta(minutes=5)}
KILLED_FIRST = "it was to be killed when it failed"
_OF_BEFORE = {CeState.FAILED, CeState.HOLDING}  # what is restarted, and released
_TOLD = ENDED | {CeState.HOLDING}  # of what has come to these, the CE's documents are read


def after_poll(
    attempt: Attempt,
    seen: Seen | None,
    now: datetime,
    patience: timedelta,
    looked: datetime | None,
    may_go_back: bool = False,
    late: timedelta = RESTART_SETTLES,
) -> Decision | None:
    """What a complete answer means for one job; None: nothing to write. `looked`: when the one before it was.

    `late`: how old its words may be.
    """
    if seen is None:
        return after_absence(attempt, now, patience, looked, {})
    moved = after_look(attempt, seen, now, may_go_back, RESTART_SETTLES if attempt.native_state else late)
    if moved is not None:
        return moved
    told = {"native_state": seen.native, "native_since": now} if another(attempt, seen.native) else {}
    told |= {"absent_since": None} if attempt.absent_since is not None else {}
    return Stay(told) if told else None


def after_look(
    attempt: Attempt, seen: Seen, now: datetime, may_go_back: bool = False, settles: timedelta = RESTART_SETTLES
) -> Decision | None:
    """What a CE's word on a job means; a word that is unknown or old moves nothing."""
    if seen.state is None or not advances(attempt.state, seen.state, may_go_back):
        return None
    if attempt.reruns and now - attempt.state_since < settles and seen.state in _OF_BEFORE:
        return None
    columns = {"native_state": seen.native, "native_since": now, "absent_since": None, "due_at": attempt.due_at}
    to = seen.state
    if attempt.state is CeState.CANCELLING and to in (CeState.FAILED, CeState.LOST):
        to = CeState.CANCELLED  # some CEs tell a killed job as failed, or have removed it
    if to not in (CeState.SUBMITTED, CeState.HOLDING):
        columns["due_at"] = None
    if to not in (CeState.SUBMITTED, CeState.HOLDING, CeState.FAILED):  # it has its inputs, whether or not we know
        columns["inputs_sent_at"] = attempt.inputs_sent_at or now
    heard = attempt.request is Request.CANCEL and to in ENDED | {CeState.CANCELLED}
    if heard and to is CeState.FAILED:
        columns["error"] = attempt.error or KILLED_FIRST  # so that no rule begins it again when its documents come late
    return Move(to, f"CE: {seen.native}", columns, wish_done=heard or _well_in_the_end(attempt, to))


def _well_in_the_end(attempt: Attempt, to: CeState) -> bool:
    """Whether a job that a rule wanted to begin again, since it was held, has ended well before anybody killed it."""
    return to is CeState.FINISHED and attempt.rule is not None and attempt.request is Request.RESUBMIT


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
    } | ({"batch_id": facts.batch_id} if facts.batch_id else {})


def with_facts(decision: Move | Stay, facts: Facts | None) -> Move | Stay:
    """The decision, and what the CE's document says beside it; of a held job, why it is held."""
    if facts is None:
        return decision
    told = columns_of(facts)
    if told["error"] is None and decision.columns.get("error"):
        del told["error"]
    if not (isinstance(decision, Move) and decision.to in ENDED):
        told = {name: told[name] for name in ("error", "node", "batch_id") if told.get(name) is not None}
    return replace(decision, columns={**decision.columns, **told})


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
        counts += await _ask_all(rt, ce, end, row.next_poll_at and row.next_poll_at - interval, interval)
    await no_longer_held(rt, ce)
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
    counts = await _settle_moves(rt, ce, end, decisions)
    # What is living and did not move now may move later; the others have nothing more to tell.
    memory |= set(over) - {attempt.remote_id for attempt in ours if attempt.remote_id}
    return counts


async def _ask_all(rt: Runtime, ce: str, end: ComputingElement, looked: datetime | None, interval: timedelta) -> Counts:
    jobs = await rt.read(queries.living, ce)
    if not jobs:
        return Counts()
    seen = await end.states([attempt.remote_id for attempt in jobs if attempt.remote_id])
    now, patience, back = rt.now(), (await rt.site(ce)).patience, end.traits.may_go_back
    late = LATE_WORDS.get(end.traits.kind, RESTART_SETTLES)
    decisions = {
        attempt: decision
        for attempt in jobs
        if attempt.remote_id
        and (decision := after_poll(attempt, seen.get(attempt.remote_id), now, patience, looked, back, late))
    }
    worn = _worn(rt, [attempt for attempt in jobs if attempt.remote_id in seen], decisions, now)
    decisions = {attempt: decision for attempt, decision in decisions.items() if attempt not in worn}
    same = [a for a in jobs if a not in decisions and a not in worn and a.remote_id in seen]
    counts = Counts(polled=len(jobs)) + await _unheard(rt, ce, end, same)
    counts += await _settle_moves(rt, ce, end, decisions)
    counts += Counts({"over a limit": len(worn)} if worn else {}) + await settle(rt, worn, LIMITS)
    return counts + await _too_long(rt, end, same, now, looked, interval)


def _worn(
    rt: Runtime, jobs: Sequence[Attempt], decisions: Mapping[Attempt, Decision], now: datetime
) -> dict[Attempt, Decision]:
    """The kill of jobs that were sent too long ago, whatever is said of them now; what has ended is not killed."""
    ended = {a for a, one in decisions.items() if isinstance(one, Move) and one.to not in LIVING}
    limits = rt.settings.arc.jobs
    return {a: kill for a in jobs if a not in ended and (kill := after_total(a, now, limits))}


async def _unheard(rt: Runtime, ce: str, end: ComputingElement, jobs: Sequence[Attempt]) -> Counts:
    """Held jobs of which the CE could not say why: it is asked again."""
    memory = rt.memory(ce)
    held = [attempt for attempt in jobs if attempt.state is CeState.HOLDING and attempt.remote_id in memory.unheard]
    memory.unheard = {attempt.remote_id for attempt in held if attempt.remote_id}
    facts = await facts_of(end, list(memory.unheard)) if held else None
    if facts is None:
        return Counts()
    memory.unheard.clear()
    return await _settle_told(rt, ce, end, {a: Stay(reason="its CE says why it is held") for a in held}, facts)


async def _too_long(
    rt: Runtime,
    end: ComputingElement,
    jobs: Sequence[Attempt],
    now: datetime,
    looked: datetime | None,
    interval: timedelta,
) -> Counts:
    """The kill of jobs that have been in one state of their CE for too long while it was asked."""
    limits, kind = rt.settings.arc.jobs, end.traits.kind
    longer: dict[Attempt, Decision] = {
        a: stay for a in jobs if (stay := not_counted(a, now, limits, kind, looked, interval))
    }
    over = {a: kill for a in jobs if a not in longer and (kill := after_limit(a, now, limits, kind))}
    return Counts({"over a limit": len(over)} if over else {}) + await settle(rt, longer | over, LIMITS)


async def _settle_moves(rt: Runtime, ce: str, end: ComputingElement, decisions: Mapping[Attempt, Decision]) -> Counts:
    """Documents are asked for only of jobs that ended or are held, a chunk at a time: so a mass end comes through."""
    await starts(rt, ce, decisions)
    told = {a: move for a, move in decisions.items() if isinstance(move, Move) and move.to in _TOLD}
    counts = await settle(rt, {a: decision for a, decision in decisions.items() if a not in told}, "poll")
    ask, ends = True, monotonic() + FACTS_S
    for chunk in chunked(list(told), CHUNK):
        facts = await facts_of(end, [a.remote_id for a in chunk if a.remote_id]) if ask else None
        ask = facts is not None and monotonic() < ends  # a CE that cannot tell is not asked for every chunk
        if facts is None:
            held = {a.remote_id for a in chunk if a.remote_id and told[a].to is CeState.HOLDING}
            rt.memory(ce).unheard |= held
        counts += await _settle_told(rt, ce, end, {a: told[a] for a in chunk}, facts or {})
    return counts


async def _settle_told(
    rt: Runtime,
    ce: str,
    end: ComputingElement,
    decisions: Mapping[Attempt, Move | Stay],
    facts: Mapping[RemoteId, Facts],
) -> Counts:
    """Settle what a CE's documents tell, as the error rules want it."""
    known = {a: facts[a.remote_id] for a in decisions if a.remote_id and a.remote_id in facts}
    failed = {a: f for a, f in known.items() if _to(decisions[a]) is CeState.FAILED}
    held = {a: f for a, f in known.items() if _to(decisions[a]) is CeState.HOLDING}
    verdicts = await verdicts_on(rt, end, failed, held=False) | await verdicts_on(rt, end, held, held=True)
    full = {
        attempt: with_verdict(rt, with_facts(decision, known.get(attempt)), verdicts.get(attempt, NOTHING))
        for attempt, decision in decisions.items()
    }
    return await settle_judged(rt, ce, full, verdicts)


def _to(decision: Move | Stay) -> CeState:
    return decision.to if isinstance(decision, Move) else CeState.HOLDING


async def facts_of(end: ComputingElement, jobs: Collection[RemoteId]) -> Mapping[RemoteId, Facts] | None:
    """What the CE says of jobs. None: it does not, and what is known of their states counts all the same."""
    try:
        return await end.details(jobs)
    except ActError as err:
        logger.warning("what %d jobs did stays in the dark: %s", len(jobs), err)
        return None
