"""Begin again: at the CE from the state in which it failed, or as a new attempt."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from act_core.ce.base import Accepted, Facts, Gone, Refused, RemoteId
from act_core.db import queries
from act_core.db.attempts import Attempt
from act_core.decisions import Decision, Move, Stay
from act_core.engine.judging import book, settle_judged
from act_core.engine.rules import Allowed, Verdict, after_failure, after_hold, applied, wished
from act_core.engine.settling import after_gone, backoff, settle, settled_attempts
from act_core.runtime import Counts, Runtime
from act_core.states import ENDED, FINAL, CeState, Request

BATCH = 500
HEARD_SOON, UNHEARD_FOR = timedelta(minutes=1), timedelta(days=1)
RESTARTED = {CeState.FAILED, CeState.HOLDING}
NOT_SO = "job has not failed", "job is not held"  # A-REX's words (act.md 5), and those of the HTCondor back end
_ONCE_MORE = {CeState.DONE, CeState.DONEFAILED, CeState.CANCELLED, CeState.VOID}


def intent(attempt: Attempt, now: datetime) -> Move:
    """What is written of a failed job before its restart is asked for: if the answer is lost, it may be running.

    Its inputs are sent again if nobody knows that they came; the CE's next word is a new one.
    """
    return Move(CeState.SUBMITTED, "its restart is asked of the CE", _columns(attempt, now))


def _columns(attempt: Attempt, now: datetime) -> dict[str, Any]:
    return {
        "reruns": attempt.reruns + 1,
        "tries": attempt.tries,
        "absent_since": None,
        "native_state": None,
        "native_since": None,
        "due_at": None if attempt.inputs_sent_at else now,
    }


def asked_before(attempt: Attempt) -> bool:
    """Whether its intent is written and no answer came: the CE is asked again, unless it has had a word of it since."""
    return attempt.state is CeState.SUBMITTED and attempt.reruns > 0 and attempt.native_state is None


def after_restart(
    attempt: Attempt,
    answer: Accepted | Gone | Refused | None,
    now: datetime,
    tries: int,
    refused: Verdict,
    absence: timedelta,
) -> Decision | None:
    """What the CE's answer to a restart means, whose intent is written. `refused`: what the rules say if it will not.

    `absence`: the patience with a CE that does not know the job; only the polls tell its end.
    """
    if answer is None:
        return None
    if isinstance(answer, Gone):
        return after_gone(attempt, now, absence)
    good = {"error": None, "exit_code": None, "rule": None, "tries": 0}
    if isinstance(answer, Accepted):
        return Stay(good, "restarted by the CE", wish_done=True)
    if answer.why.lower().endswith(NOT_SO):  # the answer to an earlier restart was lost
        return Stay(good, f"it goes on: {answer.why}", wish_done=True)
    back = {"reruns": max(0, attempt.reruns - 1), "error": attempt.error or answer.why}
    if not answer.for_good and attempt.tries + 1 < tries:
        back |= {"due_at": now + backoff(attempt.tries), "tries": attempt.tries + 1}
        return Move(CeState.FAILED, f"no rerun yet: {answer.why}", back, news=False)
    return applied(Move(CeState.FAILED, f"rerun refused: {answer.why}", back, wish_done=True), refused)


def after_release(
    attempt: Attempt,
    answer: Accepted | Gone | Refused | None,
    now: datetime,
    tries: int,
    refused: Verdict,
    absence: timedelta,
) -> Decision | None:
    """The same for a job that the CE holds: it is known to live, whatever becomes of the answer.

    `absence`: the patience with a CE that does not know the job.
    """
    if answer is None:
        return None
    if isinstance(answer, Gone):
        return after_gone(attempt, now, absence)
    if isinstance(answer, Accepted) or answer.why.lower().endswith(NOT_SO):
        words = "released" if isinstance(answer, Accepted) else f"it goes on: {answer.why}"
        columns = _columns(attempt, now) | {"error": None, "exit_code": None, "rule": None, "tries": 0}
        return Move(CeState.SUBMITTED, words, columns, wish_done=True)
    if not answer.for_good and attempt.tries + 1 < tries:
        return Stay({"due_at": now + backoff(attempt.tries), "tries": attempt.tries + 1}, f"no rerun yet: {answer.why}")
    columns = {"error": attempt.error or answer.why, "tries": 0, "due_at": None}
    return wished(Stay(columns, f"rerun refused: {answer.why}", wish_done=True), refused)


def too_late(attempt: Attempt, now: datetime) -> bool:
    return attempt.submit_before is not None and now >= attempt.submit_before


def unheard(attempt: Attempt, now: datetime) -> bool:
    """Whether a failed job waits for its application to say that it is still wanted."""
    until = attempt.vouched_until
    return attempt.state is CeState.FAILED and until is not None and until <= now < until + UNHEARD_FOR


async def rerun(rt: Runtime, ce: str) -> Counts:
    """Obey wishes to rerun failed jobs where they are, and to release held ones."""
    found = await rt.read(queries.wished, ce, [Request.RERUN], rt.now(), BATCH)
    if not found:
        return Counts()
    now, end = rt.now(), await rt.ce(ce)
    waits = {a: Stay({"due_at": now + HEARD_SOON}) for a in found if unheard(a, now)}
    found = [a for a in found if a not in waits]
    asked = [
        a
        for a in found
        if (a.state in RESTARTED or asked_before(a)) and a.remote_id and not (a.released_at or too_late(a, now))
    ]
    refused = {a: Stay(reason=f"no rerun: it is {a.state}, closed, or too late", wish_done=True) for a in found}
    counts = await settle(rt, waits | {a: stay for a, stay in refused.items() if a not in asked}, "rerun")
    failed = {a: intent(a, now) for a in asked if a.state is CeState.FAILED}
    begun = await settled_attempts(rt, failed, "rerun")
    mine = begun + [attempt for attempt in asked if attempt not in failed]
    answers = await end.restart([a.remote_id for a in mine if a.remote_id]) if mine else {}
    return counts + await _settle(rt, ce, end.traits.kind, mine, answers)


async def _settle(
    rt: Runtime, ce: str, kind: str, asked: Sequence[Attempt], answers: Mapping[RemoteId, Accepted | Gone | Refused]
) -> Counts:
    now, tries, absence = rt.now(), rt.settings.arc.jobs.fetchtries, (await rt.site(ce)).patience
    decisions: dict[Attempt, Decision] = {}
    verdicts: dict[Attempt, Verdict] = {}
    for attempt in asked:
        refused = _refused(rt, kind, attempt)
        answer = answers.get(attempt.remote_id) if attempt.remote_id else None
        if attempt.state is CeState.HOLDING:
            decision = after_release(attempt, answer, now, tries, refused, absence)
        else:
            decision = after_restart(attempt, answer, now, tries, refused, absence)
        if decision:
            decisions[attempt] = decision
            if _refusal(attempt, decision) and refused.rule and refused.rule.name != attempt.rule:
                verdicts[attempt] = replace(refused, tell=False)
    stays = [one for one, decision in decisions.items() if isinstance(decision, Stay) and decision.wish_done]
    restarted = sum(one.state is CeState.SUBMITTED for one in stays)
    counts = await settle_judged(rt, ce, decisions, verdicts, "rerun")
    return counts + (Counts(submitted=restarted) if restarted else Counts())


def _refusal(attempt: Attempt, decision: Decision) -> bool:
    """Whether the CE has refused for good."""
    if isinstance(decision, Move):
        return decision.to is CeState.FAILED and decision.wish_done
    return attempt.state is CeState.HOLDING and decision.wish_done


def _refused(rt: Runtime, kind: str, attempt: Attempt) -> Verdict:
    """What the rules say of a job that its CE does not restart (any more)."""
    held = attempt.state is CeState.HOLDING
    decide, state = (after_hold, attempt.state) if held else (after_failure, CeState.FAILED)
    facts, allowed = Facts(error=attempt.error), Allowed(late=too_late(attempt, rt.now()))
    return decide(replace(attempt, request=None, state=state), facts, book(rt), kind, allowed)


def after_wish(attempt: Attempt, now: datetime) -> Decision | None:
    """A wish for a new attempt: granted once the old one is known to be dead (architecture rule 6)."""
    if attempt.released_at is not None:
        return Stay(reason="not resubmitted: its application has closed it", wish_done=True)
    if attempt.state in ENDED:
        late = too_late(attempt, now)
        words = "not resubmitted: its best-before has passed" if late else "resubmitted"
        return Move(CeState.DONEFAILED, words, wish_done=True, successor=not late)
    if attempt.state in _ONCE_MORE or _forced(attempt):
        if too_late(attempt, now):
            return Stay(reason="not resubmitted: its best-before has passed", wish_done=True)
        return Stay(reason="resubmitted", wish_done=True, successor=True)
    if attempt.state in FINAL:
        return Stay(reason=f"not resubmitted: {attempt.state} is not known to be dead", wish_done=True)
    return None  # living: `cancel` kills it first


def _forced(attempt: Attempt) -> bool:
    """Of a lost attempt, which nobody knows to be dead, only a wish with --force is taken down."""
    wished = attempt.request_at
    return attempt.state is CeState.LOST and wished is not None and wished >= attempt.state_since


async def resubmit(rt: Runtime, ce: str) -> Counts:
    """Obey wishes for new attempts."""
    now = rt.now()
    wished = await rt.read(queries.wished, ce, [Request.RESUBMIT], now, BATCH, ENDED | FINAL)
    wished += [a for a in await rt.read(queries.wished_unplaced, BATCH) if a.request is Request.RESUBMIT]
    return await settle(rt, {a: decision for a in wished if (decision := after_wish(a, now))}, "resubmit")
