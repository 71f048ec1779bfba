"""Bring outputs and logs of ended jobs home."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

from act_core.ce.base import Fetched, FetchPlan, Gone, Refused
from act_core.db import queries
from act_core.db.attempts import Attempt
from act_core.decisions import Decision, Move, Stay
from act_core.engine.poll import columns_of
from act_core.engine.settling import backoff, settle
from act_core.errors import ProtocolError
from act_core.jobspec import JobSpec
from act_core.runtime import Counts, Runtime
from act_core.settings.model import Settings
from act_core.states import CeState

BATCH = 100


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


def after_fetch(
    attempt: Attempt, answer: Fetched | Gone | Refused | None, now: datetime, tries: int, first: timedelta
) -> Decision | None:
    """What the answer to a fetch means."""
    over = attempt.state in (CeState.FINISHED, CeState.FAILED)
    if answer is None:
        return None
    if isinstance(answer, Fetched):
        words = f"{answer.files} files, {answer.size} bytes"
        if not over:
            return Stay(reason=f"fetched again: {words}", wish_done=True)
        return Move(CeState.DONE if attempt.state is CeState.FINISHED else CeState.DONEFAILED, words, wish_done=True)
    if isinstance(answer, Gone):
        words = "the CE does not know it any more"
        return Move(CeState.LOST, words, wish_done=True) if over else Stay(reason=words, wish_done=True)
    if not over:
        return Stay(reason=f"not fetched: {answer.why}", wish_done=True)
    if answer.for_good or attempt.tries + 1 >= tries:
        error = f"{attempt.error}; outputs: {answer.why}" if attempt.error else f"outputs: {answer.why}"
        return Move(CeState.DONEFAILED, f"outputs cannot be had: {answer.why}", {"error": error}, wish_done=True)
    return Stay(
        {"tries": attempt.tries + 1, "due_at": now + backoff(attempt.tries, first)}, reason=f"again: {answer.why}"
    )


async def fetch(rt: Runtime, ce: str) -> Counts:
    """Fetch a batch of ended jobs, and what the CE says of their usage where that is not known yet."""
    found = await rt.read(queries.to_fetch, ce, rt.now(), BATCH)
    counts = await _settle(rt, {a: Gone() for a in found if not a.remote_id})
    picked = [a for a in found if a.remote_id]
    if not picked:
        return counts
    end, settings = await rt.ce(ce), rt.settings
    specs = await rt.read(queries.specs, [attempt.description_id for attempt in picked])
    plans = {a.remote_id: plan(settings, a, specs[a.description_id]) for a in picked if a.remote_id}
    try:
        answers = await end.fetch(plans)
        facts = await end.details([a.remote_id for a in picked if a.remote_id and a.wall_s is None])
    except ProtocolError as err:  # a CE that is away uses up no tries; one bad job must not block the others for ever
        await _settle(rt, {a: Refused(str(err), for_good=False) for a in picked})
        raise
    moved = {a: answers.get(a.remote_id) for a in picked if a.remote_id}
    known = {a: columns_of(facts[a.remote_id]) for a in picked if a.remote_id and a.remote_id in facts}
    return counts + await _settle(rt, moved, known)


async def _settle(
    rt: Runtime,
    answers: Mapping[Attempt, Fetched | Gone | Refused | None],
    facts: dict[Attempt, dict[str, int | str | datetime | None]] | None = None,
) -> Counts:
    now, policy = rt.now(), rt.settings.arc.jobs
    decisions: dict[Attempt, Decision] = {}
    for attempt, answer in answers.items():
        decision = after_fetch(attempt, answer, now, policy.fetchtries, policy.fetchbackoff)
        if isinstance(decision, Move) and facts and attempt in facts:
            said = {name: value for name, value in facts[attempt].items() if value is not None}
            decision = Move(decision.to, decision.reason, {**said, **decision.columns}, wish_done=decision.wish_done)
        if decision:
            decisions[attempt] = decision
    return await settle(rt, decisions, "fetch")
