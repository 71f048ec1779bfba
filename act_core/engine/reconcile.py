"""Answer the questions that lost answers left: adopt what arrived, void what never did (architecture rules 4-7)."""

from datetime import datetime, timedelta

from act_core.ce.base import Listing, RemoteId
from act_core.db import orphans, queries
from act_core.db.attempts import Attempt
from act_core.decisions import Decision, Move, Stay
from act_core.engine import witness
from act_core.engine.belief import LATER
from act_core.engine.orphans import look
from act_core.engine.settling import backoff, settle
from act_core.engine.witness import Asked
from act_core.logs import log
from act_core.runtime import Counts, Runtime
from act_core.states import CeState

logger = log(__name__)
BATCH = 1000


def after_listing(
    attempt: Attempt, arrived: RemoteId | None, complete: bool, now: datetime, grace: timedelta
) -> Decision | None:
    """What a listing of the CE means for a submission in doubt.

    Void only after two complete listings of a well CE, the second one a grace time after the send deadline.
    """
    if arrived is not None:
        columns = {"remote_id": arrived, "due_at": now, "absent_since": None}
        return Move(CeState.SUBMITTED, f"adopted: found as {arrived}", columns)
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
    return await _compare(rt, ce, doubtful, Asked()) if doubtful else Counts()


async def reconcile_all(rt: Runtime, ce: str) -> Counts:
    """The CE's whole list against our rows, whether or not there is a question; it is a brake's second witness."""
    doubtful = await rt.read(queries.in_doubt, ce, rt.now(), BATCH)
    return await _compare(rt, ce, doubtful, await witness.asked(rt, ce), tell=True)


def suspicious(listing: Listing, living: int) -> bool:
    """A list with nothing under our identity, although jobs of ours should be there, proves nothing."""
    return listing.total == 0 and living > 0


async def _compare(rt: Runtime, ce: str, doubtful: list[Attempt], asked: Asked, tell: bool = False) -> Counts:
    end, now = await rt.ce(ce), rt.now()
    living = await rt.read(orphans.living, ce)
    listing = await end.list_mine(rt.tower, asked.without(await rt.read(orphans.expected, ce)))
    await witness.hear(rt, ce, asked, listing)
    odd = suspicious(listing, living)
    if odd:
        logger.warning("ce=%s lists no job of this identity, and %d should be there: nothing is concluded", ce, living)
    arrived = {key: job for job, key in listing.mine.items()}
    grace = rt.settings.arc.jobs.grace
    grace = end.traits.grace if grace is None else grace

    def proof(attempt: Attempt) -> bool:
        return not odd and listing.complete_since(attempt.state_since)  # when its intent was written

    decisions: dict[Attempt, Decision] = {
        attempt: decision
        for attempt in doubtful
        if (decision := after_listing(attempt, arrived.get(attempt.key), proof(attempt), now, grace))
    }
    if odd:
        decisions |= {attempt: Stay({"due_at": now + LATER}) for attempt in doubtful if attempt not in decisions}
    counts = await settle(rt, decisions, "reconcile")
    if tell:
        words = {"listed": listing.total, "foreign": listing.foreign, "empty though living": living if odd else 0}
        counts += Counts({word: n for word, n in words.items() if n})
    adopted = {attempt.key for attempt in doubtful if attempt.key in arrived}
    mine = {job: key for job, key in listing.mine.items() if key not in adopted}
    return counts + await look(rt, ce, end, mine)
