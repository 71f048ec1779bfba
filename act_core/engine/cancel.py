"""Kill what somebody does not want; a kill is believed when the CE confirms it."""

from datetime import datetime, timedelta

from act_core.ce.base import Accepted, Gone, Refused
from act_core.db import queries
from act_core.db.attempts import Attempt
from act_core.decisions import Decision, Move, Stay
from act_core.engine.settling import after_gone, backoff, settle
from act_core.runtime import Counts, Runtime
from act_core.states import ENDED, FINAL, LIVING, CeState, Request

BATCH = 1000


def after_cancel(
    attempt: Attempt, answer: Accepted | Gone | Refused | None, now: datetime, patience: timedelta, absence: timedelta
) -> Decision | None:
    """What the CE's answer to a kill means. The wish stays until the job is over, so that a kill is sent again.

    `patience` with the kill, `absence` with a CE that does not know the job. Only after a kill that it accepted, a 404
    confirms it.
    """
    done = attempt.request is Request.CANCEL
    if answer is None:
        return None
    if isinstance(answer, Refused):
        return Stay({"due_at": now + backoff(attempt.tries), "tries": attempt.tries + 1, "error": answer.why})
    if isinstance(answer, Gone):
        if attempt.state is not CeState.CANCELLING:
            return after_gone(attempt, now, absence)
        return Move(CeState.CANCELLED, "the CE does not know it any more", wish_done=done)
    if attempt.state is CeState.CANCELLING:
        return Stay({"due_at": now + patience}, reason="killed again: the CE has not confirmed its end")
    return Move(CeState.CANCELLING, "kill accepted", {"due_at": now + patience})


def without_call(attempt: Attempt) -> Decision | None:
    """What becomes of a cancelled attempt of which no CE has to be told."""
    done = attempt.request is Request.CANCEL
    if attempt.state is CeState.TOSUBMIT and attempt.request in (Request.CANCEL, Request.CLEAN):
        return Move(CeState.CANCELLED, "cancelled before it was sent", wish_done=done)
    if attempt.state is CeState.TOSUBMIT:
        return Stay(reason=f"{attempt.request}: it was not sent yet", wish_done=True)
    if done and attempt.state in ENDED | FINAL:
        return Stay(reason="nothing to cancel: it is over", wish_done=True)
    if attempt.request is Request.CLEAN and attempt.remote_id is None and attempt.state in FINAL:
        return Stay({"ce_clean_at": attempt.state_since}, wish_done=True)
    if attempt.remote_id is None and attempt.state in FINAL and attempt.request in (Request.FETCH, Request.RERUN):
        return Stay(reason=f"no {attempt.request}: no CE has it", wish_done=True)
    return None


async def cancel(rt: Runtime, ce: str) -> Counts:
    """Obey wishes to cancel, and the kill that a `clean` or `resubmit` of a living job begins with."""
    now, patience = rt.now(), rt.settings.arc.jobs.maxtimecancelling
    unplaced = await rt.read(queries.wished_unplaced, BATCH)
    over = await rt.read(queries.wished, ce, [Request.CANCEL], now, BATCH, ENDED | FINAL)
    decisions = {a: decision for a in [*unplaced, *over] if (decision := without_call(a))}
    counts = await settle(rt, decisions, "cancel")
    wishes = [Request.CANCEL, Request.CLEAN, Request.RESUBMIT]
    killed = await rt.read(queries.wished, ce, wishes, now, BATCH, LIVING)
    if not killed:
        return counts
    end = await rt.ce(ce)
    answers = await end.cancel([attempt.remote_id for attempt in killed if attempt.remote_id])
    now, absence = rt.now(), (await rt.site(ce)).patience
    told = {
        a: decision
        for a in killed
        if a.remote_id and (decision := after_cancel(a, answers.get(a.remote_id), now, patience, absence))
    }
    return counts + await settle(rt, told, "cancel")
