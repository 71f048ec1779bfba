"""Send jobs to a CE: the intent is written down first, the client's input is the commit (architecture rules 4, 5)."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from act_core.ce.base import ComputingElement, OutcomeLost, Refused, RemoteId, SubmissionKey, Traits
from act_core.ce.gathering import chunked
from act_core.db import backlog, ledger, queries
from act_core.db.attempts import Attempt
from act_core.db.ledger import Line
from act_core.db.policy_models import Standing
from act_core.decisions import Decision, Move, Stay
from act_core.engine.claim import Claimed, Terms, claim, intent
from act_core.engine.fill import Held, Limits
from act_core.engine.identity import identity
from act_core.engine.judging import by_rules
from act_core.engine.marks import marked
from act_core.engine.sealed import Opened, opened
from act_core.engine.settling import backoff, counted, pause, settle
from act_core.engine.transfers import Came, carry, lot
from act_core.errors import ActError, OutcomeUnknown
from act_core.jobspec import COMMIT_FILE, InputFile, JobSpec
from act_core.reasons import Reason, Topic
from act_core.runtime import Counts, Runtime
from act_core.settings.model import Jobs, Site
from act_core.settings.policy import Fill
from act_core.states import CeState, Request
from act_core.work import at_most

__all__ = ["after_inputs", "after_submit", "back", "intent", "send_inputs", "submit", "to_upload"]
Answer = RemoteId | Refused | OutcomeLost
SENDING = "sending"  # pauses by itself: a full CE's jobs are killed and given their inputs all the same
TOLD, TOLD_FOR = "told", timedelta(minutes=1)  # another process may have written something else meanwhile
TELLS_EACH = timedelta(minutes=2)
TERMS = (
    "maxjobs",
    "a",
    "b",
    "b_set",
    "most",
    "start",
    "end",
    "until",
    "unit",
    "mode",
    "reason",
)  # facts that few jobs change
PAUSE_WHEN_FULL = timedelta(seconds=5)
PAUSE_WHEN_TOO_LONG = timedelta(seconds=30)  # all that waits was read to find that nothing of it may go
TOO_LONG = frozenset({Reason.DOWNTIME_AHEAD, Reason.PROXY_SHORT, Reason.TOWER_DRAIN})
PAUSES = timedelta(seconds=5), timedelta(minutes=1)  # the CE fails a job whose inputs do not come in time


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
    opening = await opened(rt, [attempt.description_id for attempt in picked.values()])
    shut = _shut(opening, picked.values())
    refused = {attempt: after_submit(attempt, why, rt.now()) for attempt, why in shut.items()}
    counts = await settle(rt, refused, "submit") if refused else Counts()
    picked = {key: attempt for key, attempt in picked.items() if attempt not in shut}
    if not picked:
        return counts
    return counts + await _send(rt, ce, end, picked, opening.specs)


def _shut(opening: Opened, attempts: Iterable[Attempt]) -> dict[Attempt, Refused]:
    """Those whose sealed inputs cannot be had: no CE has said anything of them."""
    return {one: opening.refused[one.description_id] for one in attempts if one.description_id in opening.refused}


async def _send(
    rt: Runtime,
    ce: str,
    end: ComputingElement,
    picked: Mapping[SubmissionKey, Attempt],
    specs: Mapping[int, JobSpec],
) -> Counts:
    """One batch, whose intent is written down."""
    deadline = min(attempt.send_deadline for attempt in picked.values() if attempt.send_deadline)
    try:
        answers: Mapping[SubmissionKey, Answer] = await end.submit(
            {key: marked(attempt, specs[attempt.description_id]) for key, attempt in picked.items()}, deadline
        )
    except OutcomeUnknown as err:
        answers = {key: OutcomeLost(str(err)) for key in picked}
    except ActError as err:
        await settle(rt, {attempt: back(attempt, str(err), rt.now()) for attempt in picked.values()}, "submit")
        raise
    now, answers = rt.now(), await by_rules(rt, ce, end.traits.kind, picked, answers)
    return await settle(
        rt, {attempt: after_submit(attempt, answers.get(key), now) for key, attempt in picked.items()}, "submit"
    )


async def _claim(rt: Runtime, ce: str, traits: Traits) -> dict[SubmissionKey, Attempt]:
    """Pick what may go there and write the intent; returns what is ours to send, as the rows now stand."""
    paused = rt.memory(ce).paused
    if paused.get(SENDING, rt.now()) > rt.now():
        return {}
    held: dict[str, Held] = {}
    claimed = Claimed(looked=True)
    if rt.settings.arc.downtime.stopsubmission:
        held = dict.fromkeys(await rt.read(backlog.shares, ce), Held(Reason.NO_SUBMISSION))
    elif await rt.read(backlog.any_waits, ce, rt.now(), rt.settings.arc.jobs.spread):
        claimed = await rt.write(claim, ce, await terms_of(rt, ce, traits), rt.now())
        held = dict(claimed.held)
        counted(claimed.decisions, claimed.settled)
    await tell_waits(rt, ce, held)
    if not claimed.written and (held or not claimed.looked):
        too_long = held and {why.reason for why in held.values()} <= TOO_LONG
        paused[SENDING] = rt.now() + (PAUSE_WHEN_TOO_LONG if too_long else PAUSE_WHEN_FULL)
    return {attempt.key: attempt for attempt in claimed.written}


async def terms_of(rt: Runtime, ce: str, traits: Traits) -> Terms:
    """What the configuration says of submissions to this CE now. Raises CredentialError: it cannot be shown any."""
    site, arc = await rt.site(ce), rt.settings.arc
    shown, now = await identity(rt, ce), rt.now()
    limits = limits_of(site, arc.jobs, arc.fill, at_most(site.batch or traits.batch))
    covers = shown.proxy_until - now - arc.jobs.queuetime - arc.voms.margin if shown and shown.proxy_until else None
    return Terms(limits, arc.jobs.spread, arc.jobs.senddeadline, arc.downtime.fit, shown, covers)


def limits_of(site: Site, jobs: Jobs, fill: Fill, most: int) -> Limits:
    """What the configuration says of how full a CE is kept. `most`: jobs of one submission."""
    return Limits(
        maxjobs=site.maxjobs,
        a=jobs.queuefraction if site.queuefraction is None else site.queuefraction,
        b=jobs.queueoffset if site.queueoffset is None else site.queueoffset,
        slots=fill.unit == "slots",
        rate=fill.rate,
        stalled=fill.stalled,
        capacity_age=fill.capacityage,
        weights=fill.shares,
        most=most,
    )


async def tell_waits(rt: Runtime, ce: str, held: Mapping[str, Held]) -> None:
    """Write down why jobs wait, a line a share; what holds no more is ended, and what still holds costs nothing."""
    memory, at = rt.memory(ce), rt.now()
    if memory.waits is None or memory.paused.get(TOLD, at) <= at:
        found = [row for row in await rt.read(ledger.standing, ces=[ce]) if row.topic == Topic.SUBMIT]
        memory.waits = {row.share: row.code for row in found}
        memory.paused[TOLD] = at + TOLD_FOR
        if other := [row.share for row in found if row.share in held and _other_terms(row, held[row.share])]:
            await rt.write(ledger.correct, await _lines(rt, ce, {share: held[share] for share in other}))
    now = {share: why.reason.value for share, why in held.items()}
    changed = {share for share in memory.waits.keys() | now.keys() if memory.waits.get(share) != now.get(share)}
    told = {share for share in changed if _may_tell(memory.paused, share, at)}
    if not told:
        return
    over = [Line(Topic.SUBMIT, None, ce, share) for share in told - now.keys()]
    await rt.note(over + await _lines(rt, ce, {share: held[share] for share in told & held.keys()}))
    memory.waits = {s: code for s, code in memory.waits.items() if s not in told} | {
        s: now[s] for s in told if s in now
    }


def _may_tell(paused: dict[str, datetime], share: str, at: datetime) -> bool:
    """Where reasons change with each job that ends, some changes are told at once, and then one each two minutes."""
    key = f"{TOLD} {share}"
    until = max(paused.get(key, at), at)
    if until - at > 4 * TELLS_EACH:
        return False
    paused[key] = until + TELLS_EACH
    return True


def _other_terms(row: Standing, why: Held) -> bool:
    """Whether the line that holds names limits that are others now: somebody changed them."""
    return why.reason == row.code and any(row.facts.get(key) != why.facts.get(key) for key in TERMS)


async def _lines(rt: Runtime, ce: str, held: Mapping[str, Held]) -> list[Line]:
    numbers = await rt.read(backlog.waits_for, ce) if held else {}
    return [
        Line(
            Topic.SUBMIT,
            why.reason,
            ce,
            share,
            n=numbers.get(share, 0),
            facts={"ce": ce, "share": share or "the jobs without a share", **why.facts},
        )
        for share, why in held.items()
    ]


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
    opening = await opened(rt, [attempt.description_id for attempt in new])
    shut = _shut(opening, new)
    new = [attempt for attempt in new if attempt not in shut]
    files = {attempt: to_upload(opening.specs[attempt.description_id], end.traits) for attempt in new}

    async def put(some: Sequence[Attempt]) -> Mapping[RemoteId, Refused | None]:
        return await end.put_inputs({attempt.remote_id: files[attempt] for attempt in some if attempt.remote_id})

    async def settle_sent(came: Came[Refused | None]) -> Counts:
        now = rt.now()
        decisions: dict[Attempt, Decision] = {a: after_inputs(a, answer, now) for a, answer in came.answers.items()}
        decisions |= {a: Stay({"due_at": now + pause(a.state_since, now, *PAUSES)}) for a in came.silent}
        sent = [a for a, answer in came.answers.items() if answer is None]
        return Counts({"inputs sent": len(sent)}) + await settle(rt, decisions, "submit")

    counts = await settle_sent(Came({attempt: None for attempt in new if not files[attempt]} | shut))
    wanted = chunked([attempt for attempt in new if files[attempt]], end.traits.together)
    return counts + await carry(rt, ce, "submit", wanted, put, settle_sent)
