"""Bring outputs and logs of ended jobs home."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from act_core.ce.base import ComputingElement, Fetched, FetchPlan, Gone, Refused, RemoteId
from act_core.db import queries
from act_core.db.attempts import Attempt
from act_core.decisions import Decision, Move, Stay
from act_core.engine.poll import columns_of, facts_of
from act_core.engine.settling import SIGHTINGS, after_absence, backoff, pause, settle
from act_core.engine.transfers import Came, carry, chunked, lot
from act_core.errors import DiskError
from act_core.jobspec import JobSpec
from act_core.runtime import Counts, Runtime
from act_core.settings.model import Settings
from act_core.states import ENDED, CeState

BATCH = 100
LONGEST_PAUSE = timedelta(minutes=15)  # of a job; long ones of a CE are the breaker's
PAUSE_OF_THE_DISK = timedelta(minutes=1)
Answer = Fetched | Gone | Refused


def result_dir(settings: Settings, app: str, app_job_id: str, attempt: int, created: datetime) -> Path:
    """Where the outputs of an attempt lie: one directory a day, so that none grows without end."""
    return settings.results_dir / app / f"{created:%Y-%m-%d}" / f"{app_job_id}.{attempt}"


def plan(settings: Settings, attempt: Attempt, spec: JobSpec) -> FetchPlan:
    """What comes home: what the description says; of a failed job, whatever of it there is."""
    here = [file.name for file in spec.outputs if file.target is None and not file.optional]
    asked = [one for one in spec.fetch if not one.startswith("diagnose=") and not one.endswith("/")]
    optional = {file.name for file in spec.outputs if file.optional}
    declared = [one for one in (asked if spec.fetch else here) if not one.startswith("@") and one not in optional]
    return FetchPlan(
        directory=result_dir(settings, attempt.app, attempt.app_job_id, attempt.attempt, attempt.created),
        patterns=spec.fetch or everything(spec),
        declared=tuple(declared) if attempt.state is CeState.FINISHED else (),
    )


def everything(spec: JobSpec) -> tuple[str, ...]:
    """All that the payload left, and where the job asks for the CE's own log, all of that."""
    return ("/", f"diagnose={spec.log_dir.rstrip('/')}/") if spec.log_dir else ("/",)


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
    if isinstance(answer, Fetched):
        words = f"{answer.files} files, {answer.size} bytes"
        return Move(CeState.DONE if attempt.state is CeState.FINISHED else CeState.DONEFAILED, words, wish_done=True)
    if isinstance(answer, Gone):
        return _after_gone(attempt, now, policy.patience)
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


def _after_gone(attempt: Attempt, now: datetime, patience: timedelta) -> Decision | None:
    """One answer is no witness: the job is asked for again and again until its patience is over."""
    step = patience / SIGHTINGS
    looked = attempt.due_at - step if attempt.due_at else None  # we wrote it then
    decision = after_absence(attempt, now, patience, looked, {"due_at": now + step})
    return replace(decision, wish_done=True) if isinstance(decision, Move) else decision


def _given_up(attempt: Attempt, why: str) -> Move:
    error = f"{attempt.error}; outputs: {why}" if attempt.error else f"outputs: {why}"
    return Move(CeState.DONEFAILED, f"outputs cannot be had: {why}", {"error": error}, wish_done=True)


def after_silence(attempt: Attempt, now: datetime, first: timedelta) -> Decision:
    """Without an answer (the CE is away, or our disk is full) nothing is counted, and the next try waits."""
    since = attempt.state_since if attempt.state in ENDED else attempt.request_at or attempt.state_since
    return Stay({"due_at": now + pause(since, now, first, LONGEST_PAUSE), "absent_since": None})


async def fetch(rt: Runtime, ce: str) -> Counts:
    """Fetch a batch of ended jobs, and what the CE says of their usage where that is not known yet."""
    under_way = lot(rt, ce, "fetch-validate")
    picked = await rt.read(queries.to_fetch, ce, rt.now(), BATCH)
    if not picked and not under_way:
        return Counts()
    end, settings = await rt.ce(ce), rt.settings
    found = under_way.not_begun(picked)
    new = [attempt for attempt in found if attempt.remote_id][: max(0, BATCH - len(under_way))]
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
            decision = replace(decision, columns={**facts[attempt], **decision.columns})
        if decision:
            decisions[attempt] = decision
    decisions |= {attempt: after_silence(attempt, now, policy.first) for attempt in came.silent}
    return await settle(rt, decisions, "fetch")


async def _usage(end: ComputingElement, came: Came[Answer]) -> dict[Attempt, dict[str, int | str | datetime]]:
    """What the CE says of jobs that came home and of whose usage nothing is known."""
    asked = {a.remote_id: a for a in came.answers if a.remote_id and a.wall_s is None}
    facts = await facts_of(end, list(asked)) if asked else None
    return {
        asked[job]: {name: value for name, value in columns_of(one).items() if value is not None}
        for job, one in (facts or {}).items()
        if job in asked
    }
