"""Send jobs to a CE: the intent is written down first, the client's input is the commit (architecture rules 4, 5)."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from act_core.ce.base import OutcomeLost, Refused, RemoteId, SubmissionKey, Traits
from act_core.db import queries
from act_core.db.attempts import Attempt
from act_core.decisions import Decision, Move, Stay
from act_core.engine.settling import backoff, pause, settle, settled_attempts
from act_core.engine.transfers import Came, carry, chunked, lot
from act_core.errors import ActError, OutcomeUnknown
from act_core.jobspec import COMMIT_FILE, InputFile, JobSpec
from act_core.runtime import Counts, Runtime
from act_core.states import CeState, Request

Answer = RemoteId | Refused | OutcomeLost
PAUSE_WHEN_FULL = timedelta(seconds=5)
PAUSES = timedelta(seconds=5), timedelta(minutes=1)  # the CE fails a job whose inputs do not come in time


def intent(attempt: Attempt, ce: str, now: datetime, patience: timedelta) -> Decision:
    """What is written before the call: the job is in the air, or too late for it."""
    if attempt.submit_before and now >= attempt.submit_before:
        return Move(CeState.CANCELLED, f"not sent: its best-before {attempt.submit_before:%H:%M:%S} has passed")
    deadline = now + patience
    return Move(
        CeState.SUBMITTING,
        f"to {ce}",
        {"ce": ce, "send_deadline": deadline, "due_at": deadline, "absent_since": None, "tries": attempt.tries},
    )


def after_submit(attempt: Attempt, answer: Answer | None, now: datetime) -> Decision:
    """What the CE's answer to a submission means. No answer for this job: reconcile will ask."""
    if answer is None:
        return Stay(reason="the CE's answer does not speak of it")
    if isinstance(answer, OutcomeLost):
        return Stay(reason=f"answer lost: {answer.why}")
    if not isinstance(answer, Refused):
        return Move(CeState.SUBMITTED, f"accepted as {answer}", {"remote_id": answer, "due_at": now, "error": None})
    if answer.for_good:
        return Move(CeState.DONEFAILED, f"refused: {answer.why}", {"error": answer.why})
    return back(attempt, answer.why, now)


def back(attempt: Attempt, why: str, now: datetime) -> Move:
    """The CE provably never got the call: wait a little, then any candidate CE may take it."""
    columns = {"ce": None, "tries": attempt.tries + 1, "due_at": now + backoff(attempt.tries), "error": why}
    return Move(CeState.TOSUBMIT, why, columns | {"send_deadline": None})


async def submit(rt: Runtime, ce: str) -> Counts:
    """Claim waiting jobs for this CE and send them in one batch."""
    end = await rt.ce(ce)  # before the intent: what cannot be opened is sent nothing
    picked = await _claim(rt, ce, end.traits)
    if not picked:
        return Counts()
    specs = await rt.read(queries.specs, [attempt.description_id for attempt in picked.values()])
    deadline = min(attempt.send_deadline for attempt in picked.values() if attempt.send_deadline)
    try:
        answers: Mapping[SubmissionKey, Answer] = await end.submit(
            {key: specs[attempt.description_id] for key, attempt in picked.items()}, deadline
        )
    except OutcomeUnknown as err:
        answers = {key: OutcomeLost(str(err)) for key in picked}
    except ActError as err:
        await settle(rt, {attempt: back(attempt, str(err), rt.now()) for attempt in picked.values()}, "submit")
        raise
    now = rt.now()
    return await settle(
        rt, {attempt: after_submit(attempt, answers.get(key), now) for key, attempt in picked.items()}, "submit"
    )


async def _claim(rt: Runtime, ce: str, traits: Traits) -> dict[SubmissionKey, Attempt]:
    """Pick what may go there and write the intent; returns what is ours to send, as the rows now stand."""
    row, site = await rt.read(queries.ce_row, ce), await rt.site(ce)
    if row is None or row.mode != "on" or rt.settings.arc.downtime.stopsubmission:
        rt.memory(ce).paused["submit"] = rt.now() + PAUSE_WHEN_FULL
        return {}
    room = row.maxjobs - await rt.read(queries.on_ce, ce)
    if room <= 0:
        rt.memory(ce).paused["submit"] = rt.now() + PAUSE_WHEN_FULL
        return {}
    batch = site.batch or traits.batch
    now, policy = rt.now(), rt.settings.arc.jobs
    waiting = await rt.read(queries.waiting, ce, now, min(batch, room), policy.spread)
    intents = {attempt: intent(attempt, ce, now, policy.senddeadline) for attempt in waiting}
    sent = await settled_attempts(rt, intents, "submit")
    return {attempt.key: attempt for attempt in sent if attempt.state is CeState.SUBMITTING}


def to_upload(spec: JobSpec, traits: Traits) -> Sequence[InputFile]:
    """The files that the tower sends for a job; with two phases there is always one."""
    if spec.uploads or not traits.two_phase:
        return spec.uploads
    return (InputFile(name=COMMIT_FILE, content="ok\n"),)


def after_inputs(attempt: Attempt, answer: Refused | None, now: datetime) -> Decision:
    """A job whose inputs cannot be had will never run: it is cancelled, and says why."""
    if answer is None:
        return Stay({"inputs_sent_at": now, "due_at": None, "tries": 0})
    if answer.for_good:
        words = f"inputs: {answer.why}"
        return Stay({"error": words, "due_at": None}, reason=words, wish=Request.CANCEL)
    return Stay({"due_at": now + backoff(attempt.tries), "tries": attempt.tries + 1, "error": answer.why})


async def send_inputs(rt: Runtime, ce: str) -> Counts:
    """Upload what accepted jobs wait for: the commit."""
    end, under_way = await rt.ce(ce), lot(rt, ce, "submit")
    most = 2 * end.traits.batch
    picked = await rt.read(queries.awaiting_inputs, ce, rt.now(), most)
    if not picked and not under_way:
        return Counts()
    new = [attempt for attempt in under_way.not_begun(picked) if attempt.remote_id][: max(0, most - len(under_way))]
    specs = await rt.read(queries.specs, [attempt.description_id for attempt in new])
    files = {attempt: to_upload(specs[attempt.description_id], end.traits) for attempt in new}

    async def put(some: Sequence[Attempt]) -> Mapping[RemoteId, Refused | None]:
        return await end.put_inputs({attempt.remote_id: files[attempt] for attempt in some if attempt.remote_id})

    async def settle_sent(came: Came[Refused | None]) -> Counts:
        now = rt.now()
        decisions: dict[Attempt, Decision] = {a: after_inputs(a, answer, now) for a, answer in came.answers.items()}
        decisions |= {a: Stay({"due_at": now + pause(a.state_since, now, *PAUSES)}) for a in came.silent}
        sent = [a for a, answer in came.answers.items() if answer is None]
        return Counts({"inputs sent": len(sent)}) + await settle(rt, decisions, "submit")

    counts = await settle_sent(Came({attempt: None for attempt in new if not files[attempt]}))
    wanted = chunked([attempt for attempt in new if files[attempt]], end.traits.together)
    return counts + await carry(rt, ce, "submit", wanted, put, settle_sent)
