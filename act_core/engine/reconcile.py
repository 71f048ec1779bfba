"""Answer the questions that lost answers left: adopt what arrived, void what never did (architecture rules 4-7)."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from act_core.ce.base import ComputingElement, Listing, RemoteId, SubmissionKey
from act_core.db import queries
from act_core.db.attempts import Attempt
from act_core.decisions import Decision, Move, Stay
from act_core.engine.settling import backoff, settle
from act_core.logs import log
from act_core.runtime import Counts, Runtime
from act_core.states import FINAL, CeState

logger = log(__name__)
BATCH = 1000


def after_listing(
    attempt: Attempt, arrived: RemoteId | None, complete: bool, now: datetime, grace: timedelta
) -> Decision | None:
    """What a listing of the CE means for a submission in doubt.

    Void only after two complete listings of a well CE, the second one a grace time after the send deadline.
    """
    if arrived is not None:
        return Move(CeState.SUBMITTED, f"adopted: found as {arrived}", {"remote_id": arrived, "due_at": now})
    if not complete or attempt.send_deadline is None:
        return None
    believed = attempt.send_deadline + grace
    if attempt.absent_since is None or now < believed:
        first = attempt.absent_since or now
        return Stay({"absent_since": first, "due_at": max(believed, now)})
    return Move(
        CeState.VOID,
        f"never arrived: in no listing since {attempt.absent_since:%H:%M:%S}",
        {"tries": attempt.tries + 1, "due_at": now + backoff(attempt.tries)},  # the successor waits so long
        successor=True,
        costs_attempt=False,
    )


async def reconcile(rt: Runtime, ce: str) -> Counts:
    """Look for submissions whose answer was lost; costs nothing when there are none."""
    doubtful = await rt.read(queries.in_doubt, ce, rt.now(), BATCH)
    return await _compare(rt, ce, doubtful) if doubtful else Counts()


async def reconcile_all(rt: Runtime, ce: str) -> Counts:
    """The CE's whole list against our rows, whether or not there is a question."""
    return await _compare(rt, ce, await rt.read(queries.in_doubt, ce, rt.now(), BATCH))


async def _compare(rt: Runtime, ce: str, doubtful: list[Attempt]) -> Counts:
    end, asked = await rt.ce(ce), rt.now()
    known = await rt.read(queries.known_ids, ce)
    listing = await end.list_mine(rt.tower, known)
    arrived = {key: job for job, key in listing.mine.items()}
    grace = rt.settings.arc.jobs.grace
    grace = end.traits.grace if grace is None else grace

    def proof(attempt: Attempt) -> bool:
        return listing.complete_since(attempt.state_since)  # when its intent was written

    decisions = {
        attempt: decision
        for attempt in doubtful
        if (decision := after_listing(attempt, arrived.get(attempt.key), proof(attempt), asked, grace))
    }
    counts = await settle(rt, decisions, "reconcile")
    adopted = {attempt.key for attempt in doubtful if attempt.key in arrived}
    return counts + await _strangers(rt, ce, end, listing, adopted)


async def _strangers(
    rt: Runtime, ce: str, end: ComputingElement, listing: Listing, adopted: set[SubmissionKey]
) -> Counts:
    """Jobs that carry our name and no row of ours: dead attempts are killed, unknown keys reported and left alone."""
    odd = {job: key for job, key in listing.mine.items() if key not in adopted}
    states: Mapping[SubmissionKey, CeState] = await rt.read(queries.by_keys, list(odd.values())) if odd else {}
    dead = [job for job, key in odd.items() if states.get(key) in FINAL]
    unknown = [key for key in odd.values() if key not in states]
    if unknown:
        logger.warning("ce=%s %d jobs carry our name and an unknown key, left alone: %s", ce, len(unknown), unknown[:3])
    if dead:
        logger.info("ce=%s killing %d jobs of attempts that are over: %s", ce, len(dead), dead[:3])
        await end.cancel(dead)
        await end.clean(dead)
    return Counts({word: n for word, n in (("orphans", len(dead)), ("unknown keys", len(unknown))) if n})
