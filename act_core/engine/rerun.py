"""Begin again: at the CE from the state in which it failed, or as a new attempt."""

from datetime import datetime

from act_core.ce.base import Accepted, Gone, Refused
from act_core.db import queries
from act_core.db.attempts import Attempt
from act_core.decisions import Decision, Move, Stay
from act_core.engine.settling import settle
from act_core.runtime import Counts, Runtime
from act_core.states import ENDED, FINAL, CeState, Request

BATCH = 500
_ONCE_MORE = {CeState.DONE, CeState.DONEFAILED, CeState.CANCELLED, CeState.VOID}


def after_restart(attempt: Attempt, answer: Accepted | Gone | Refused | None) -> Decision | None:
    """What the CE's answer to a restart means."""
    if answer is None:
        return None
    if isinstance(answer, Refused):
        return Stay({"error": answer.why}, reason=f"rerun refused: {answer.why}", wish_done=True)
    if isinstance(answer, Gone):
        return Move(CeState.LOST, "the CE does not know it any more", wish_done=True)
    columns = {"reruns": attempt.reruns + 1, "error": None, "exit_code": None}
    return Move(CeState.SUBMITTED, "restarted by the CE", columns, wish_done=True)


def too_late(attempt: Attempt, now: datetime) -> bool:
    return attempt.submit_before is not None and now >= attempt.submit_before


async def rerun(rt: Runtime, ce: str) -> Counts:
    """Obey wishes to rerun failed jobs where they are."""
    wished = await rt.read(queries.wished, ce, [Request.RERUN], rt.now(), BATCH)
    if not wished:
        return Counts()
    now = rt.now()
    decisions: dict[Attempt, Decision] = {}
    asked = [a for a in wished if a.state is CeState.FAILED and a.remote_id and not (a.released_at or too_late(a, now))]
    for attempt in wished:
        if attempt not in asked:
            decisions[attempt] = Stay(reason=f"no rerun: it is {attempt.state}, closed, or too late", wish_done=True)
    answers = await (await rt.ce(ce)).restart([a.remote_id for a in asked if a.remote_id]) if asked else {}
    for attempt in asked:
        if attempt.remote_id and (decision := after_restart(attempt, answers.get(attempt.remote_id))):
            decisions[attempt] = decision
    return await settle(rt, decisions, "rerun")


def after_wish(attempt: Attempt, now: datetime) -> Decision | None:
    """A wish for a new attempt: granted once the old one is known to be dead (architecture rule 6)."""
    if attempt.released_at is not None:
        return Stay(reason="not resubmitted: its application has closed it", wish_done=True)
    if attempt.state in ENDED:
        return Move(CeState.DONEFAILED, "resubmitted", wish_done=True, successor=not too_late(attempt, now))
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
