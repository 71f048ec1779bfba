"""Bring outputs and logs of ended jobs home."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from act_core.ce.base import ComputingElement, Facts, Fetched, FetchPlan, Gone, Refused, RemoteId
from act_core.ce.gathering import chunked
from act_core.ce.patterns import DIAGNOSE
from act_core.db import queries
from act_core.db.attempts import Attempt
from act_core.decisions import Decision, Move, Stay
from act_core.disks import Stops
from act_core.engine.judging import settle_judged, verdicts_on
from act_core.engine.limits import span
from act_core.engine.poll import columns_of, facts_of
from act_core.engine.results import result_dir
from act_core.engine.room import LATER, stopped
from act_core.engine.rules import Verdict, wished
from act_core.engine.settling import after_gone, backoff, pause
from act_core.engine.transfers import Came, carry, lot
from act_core.errors import DiskError
from act_core.jobspec import JobSpec
from act_core.runtime import Counts, Runtime
from act_core.settings.model import Settings
from act_core.states import ENDED, CeState, Request

BATCH = 100
LONGEST_PAUSE = timedelta(minutes=15)  # of a job; long ones of a CE are the breaker's
LOG_DIR = "gmlog"  # of the CE's own log of a failed job, where its description names none
SEEN_LATELY = timedelta(hours=1)
PAUSE_OF_THE_DISK = timedelta(minutes=1)
NO_DIRECTORY = "the CE knows the job and finds no directory of it"
Answer = Fetched | Gone | Refused


def plan(settings: Settings, attempt: Attempt, spec: JobSpec) -> FetchPlan:
    """What comes home: what the description says; of a failed job, whatever of it there is."""
    here = [file.name for file in spec.outputs if file.target is None and not file.optional]
    asked = [one for one in spec.fetch if not one.startswith(DIAGNOSE) and not one.endswith("/")]
    optional = {file.name for file in spec.outputs if file.optional}
    declared = [one for one in (asked if spec.fetch else here) if not one.startswith("@") and one not in optional]
    patterns = spec.fetch or everything(spec)
    if attempt.state is CeState.FAILED and not any(one.startswith(DIAGNOSE) for one in patterns):
        patterns = (*patterns, f"{DIAGNOSE}{(spec.log_dir or LOG_DIR).rstrip('/')}/")  # why it failed
    return FetchPlan(
        directory=result_dir(settings, attempt.app, attempt.app_job_id, attempt.attempt, attempt.created),
        patterns=patterns,
        declared=tuple(declared) if attempt.state is CeState.FINISHED else (),
    )


def everything(spec: JobSpec) -> tuple[str, ...]:
    """All that the payload left, and where the job asks for the CE's own log, all of that."""
    return ("/", f"{DIAGNOSE}{spec.log_dir.rstrip('/')}/") if spec.log_dir else ("/",)


@dataclass(frozen=True, slots=True)
class Policy:
    """How patient a fetch is."""

    tries: int
    first: timedelta  # pause
    patience: timedelta  # with a CE that does not know the job


def after_fetch(attempt: Attempt, answer: Fetched | Gone | Refused, now: datetime, policy: Policy) -> Decision | None:
    """What the answer to a fetch means."""
    if attempt.state not in ENDED:
        return _after_second_fetch(answer)
    if isinstance(answer, Fetched) and answer.bare and attempt.state is CeState.FINISHED:
        answer = Refused(NO_DIRECTORY, for_good=False)  # what it left is not known: that is no success
    if isinstance(answer, Fetched):
        words = f"{answer.files} files, {answer.size} bytes"
        return Move(CeState.DONE if attempt.state is CeState.FINISHED else CeState.DONEFAILED, words, wish_done=True)
    if isinstance(answer, Gone):
        return after_gone(attempt, now, policy.patience)
    if answer.for_good or attempt.tries + 1 >= policy.tries:
        return _given_up(attempt, answer.why)
    due = now + backoff(attempt.tries, policy.first)
    return Stay({"tries": attempt.tries + 1, "due_at": due, "absent_since": None}, reason=f"again: {answer.why}")


def _after_second_fetch(answer: Fetched | Gone | Refused) -> Stay:
    """Of an attempt that is final, outputs are brought if they can be had, and that is tried once."""
    words = "not fetched: the CE does not know it any more"
    if isinstance(answer, Fetched):
        words = f"fetched again: {answer.files} files, {answer.size} bytes"
    elif isinstance(answer, Refused):
        words = f"not fetched: {answer.why}"
    return Stay({"due_at": None}, reason=words, wish_done=True)


def _given_up(attempt: Attempt, why: str) -> Move:
    error = f"{attempt.error}; outputs: {why}" if attempt.error else f"outputs: {why}"
    return Move(CeState.DONEFAILED, f"outputs cannot be had: {why}", {"error": error}, wish_done=True)


def after_silence(attempt: Attempt, now: datetime, first: timedelta, there: bool = True) -> Stay:
    """Without an answer (the CE is away, or our disk is full) nothing is counted, and the next try waits.

    `there`: the CE answers others. Where it does not, or nobody tried for long, the patience with it begins anew.
    """
    anew = {} if there and now - (attempt.due_at or attempt.state_since) <= SEEN_LATELY else {"native_since": now}
    return Stay({"due_at": now + pause(_since(attempt), now, first, LONGEST_PAUSE), "absent_since": None} | anew)


async def fetch(rt: Runtime, ce: str) -> Counts:
    """Fetch a batch of ended jobs, and what the CE says of their usage where that is not known yet."""
    under_way = lot(rt, ce, "fetch-validate")
    picked = await rt.read(queries.to_fetch, ce, rt.now(), BATCH)
    if not picked and not under_way:
        return Counts()
    end, settings = await rt.ce(ce), rt.settings
    found = under_way.not_begun(picked)
    new = [attempt for attempt in found if attempt.remote_id][: max(0, BATCH - len(under_way))]
    if new and await stopped(rt) is Stops.DOWNLOADS:
        new = []  # the rows stay as they are
        rt.memory(ce).paused["fetch-validate"] = rt.now() + LATER
    specs = await rt.read(queries.specs, [attempt.description_id for attempt in new])
    plans = {attempt: plan(settings, attempt, specs[attempt.description_id]) for attempt in new}

    async def bring(some: Sequence[Attempt]) -> Mapping[RemoteId, Answer]:
        return await end.fetch({attempt.remote_id: plans[attempt] for attempt in some if attempt.remote_id})

    async def settle_brought(came: Came[Answer]) -> Counts:
        return await _settle(rt, ce, end, came)

    counts = await settle_brought(Came({attempt: Gone() for attempt in found if not attempt.remote_id}))
    chunks = chunked(new, end.traits.together)
    try:
        return counts + await carry(rt, ce, "fetch-validate", chunks, bring, settle_brought)
    except DiskError:
        rt.memory(ce).paused["fetch-validate"] = rt.now() + PAUSE_OF_THE_DISK
        raise


async def _settle(rt: Runtime, ce: str, end: ComputingElement, came: Came[Answer]) -> Counts:
    now, jobs = rt.now(), rt.settings.arc.jobs
    policy = Policy(jobs.fetchtries, jobs.fetchbackoff, (await rt.site(ce)).patience)
    facts = await _usage(end, came)
    decisions: dict[Attempt, Decision] = {}
    for attempt, answer in came.answers.items():
        decision = after_fetch(attempt, answer, now, policy)
        if isinstance(decision, Move) and attempt in facts:
            decision = replace(decision, columns={**_told(facts[attempt]), **decision.columns})
        if decision:
            decisions[attempt] = decision
    decisions |= await _silent(rt, ce, came.silent, policy.first)
    judged = await _judged(rt, end, decisions, facts)
    return await settle_judged(rt, ce, decisions | judged[0], judged[1], "fetch")


async def _usage(end: ComputingElement, came: Came[Answer]) -> dict[Attempt, Facts]:
    """What the CE says of jobs that came home and of whose usage, or good end, too little is known."""
    asked = {a.remote_id: a for a in came.answers if a.remote_id and _in_the_dark(a)}
    facts = await facts_of(end, list(asked)) if asked else None
    return {asked[job]: one for job, one in (facts or {}).items() if job in asked}


def _in_the_dark(attempt: Attempt) -> bool:
    return attempt.wall_s is None or (attempt.state is CeState.FINISHED and attempt.exit_code is None)


async def _judged(
    rt: Runtime, end: ComputingElement, decisions: Mapping[Attempt, Decision], facts: Mapping[Attempt, Facts]
) -> tuple[dict[Attempt, Decision], dict[Attempt, Verdict]]:
    """The error rules have their say where the CE tells only now why a job failed: what they wish goes first."""
    late = {
        attempt: facts[attempt]
        for attempt, decision in decisions.items()
        if isinstance(decision, Move) and attempt in facts and _unjudged(attempt)
    }
    found = await verdicts_on(rt, end, {replace(a, request=None): f for a, f in late.items()}, held=False)
    verdicts = {a: replace(v, tell=False) for a, v in zip(late, found.values(), strict=True)}
    judged: dict[Attempt, Decision] = {}
    for attempt, verdict in verdicts.items():
        decision = decisions[attempt]
        if verdict.wish:
            said = Stay(_told(facts[attempt]), reason="its CE says why it failed", wish_done=True)
            judged[attempt] = wished(said, verdict)
        elif verdict.rule:
            judged[attempt] = replace(decision, columns={**decision.columns, "rule": verdict.rule.name})
    return judged, verdicts


def _unjudged(attempt: Attempt) -> bool:
    return attempt.state is CeState.FAILED and attempt.error is None and attempt.rule is None


def _told(facts: Facts) -> dict[str, int | str | datetime]:
    return {name: value for name, value in columns_of(facts).items() if value is not None}


async def _silent(rt: Runtime, ce: str, silent: Sequence[Attempt], first: timedelta) -> dict[Attempt, Decision]:
    """Outputs that do not come home although the CE is there: given up after jobs.maxtimefinished."""
    if not silent:
        return {}
    now, longest, row = rt.now(), rt.settings.arc.jobs.maxtimefinished, await rt.read(queries.ce_row, ce)
    there = row is not None and row.last_seen is not None and now - row.last_seen <= SEEN_LATELY
    why = f"they did not come within {span(longest)} (jobs.maxtimefinished)"
    found: dict[Attempt, Decision] = {}
    for attempt in silent:
        stay = after_silence(attempt, now, first, there)
        over = attempt.state in ENDED and longest and now - _since(attempt) > longest
        found[attempt] = _given_up(attempt, why) if over and "native_since" not in stay.columns else stay
    return found


def _since(attempt: Attempt) -> datetime:
    """When its outputs were first wanted, or its CE was there again."""
    waits = attempt.state in ENDED and attempt.request is not Request.FETCH
    wanted = attempt.state_since if waits else attempt.request_at or attempt.state_since
    return max(wanted, attempt.native_since or wanted)
