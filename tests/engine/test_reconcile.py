"""What a listing of the CE means for a submission whose answer was lost."""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from act_core.ce.base import RemoteId, SubmissionKey
from act_core.db.attempts import Attempt
from act_core.decisions import Move, Stay
from act_core.engine.reconcile import after_listing, reconcile
from act_core.states import CeState
from tests.engine.house import CE, House
from tests.walk.fake_ce import RemoteJob

Make = Callable[..., Attempt]
GRACE = timedelta(seconds=60)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize("complete", [True, False])
def test_found_is_adopted_and_gets_its_inputs(attempt: Make, now: datetime, complete: bool) -> None:
    doubtful = attempt(CeState.SUBMITTING, send_deadline=now)
    decision = after_listing(doubtful, RemoteId("r1"), complete, now, GRACE)
    assert isinstance(decision, Move)
    assert decision.to is CeState.SUBMITTED
    assert decision.columns == {"remote_id": "r1", "due_at": now, "absent_since": None}


@pytest.mark.parametrize(
    ("complete", "deadline"),
    [
        pytest.param(False, timedelta(0), id="a listing with nameless jobs proves nothing"),
        pytest.param(True, None, id="without a deadline nothing is believed"),
    ],
)
def test_what_is_no_proof(attempt: Make, now: datetime, complete: bool, deadline: timedelta | None) -> None:
    doubtful = attempt(CeState.SUBMITTING, send_deadline=None if deadline is None else now, absent_since=now)
    assert after_listing(doubtful, None, complete, now + 2 * GRACE, GRACE) is None


@pytest.mark.parametrize(
    ("absent_since", "after_deadline", "due"),
    [
        pytest.param(None, SECOND, GRACE, id="first listing: asked again a grace time after the deadline"),
        pytest.param(None, 2 * GRACE, 2 * GRACE, id="first listing, late: the second one may follow at once"),
        pytest.param(SECOND, 2 * SECOND, GRACE, id="second listing, within the grace time"),
    ],
)
def test_one_listing_is_not_enough(
    attempt: Make, now: datetime, absent_since: timedelta | None, after_deadline: timedelta, due: timedelta
) -> None:
    first = None if absent_since is None else now + absent_since
    doubtful = attempt(CeState.SUBMITTING, send_deadline=now, absent_since=first)
    decision = after_listing(doubtful, None, True, now + after_deadline, GRACE)
    assert decision == Stay({"absent_since": first or now + after_deadline, "due_at": now + due})


@pytest.mark.parametrize("grace", [timedelta(0), GRACE])
def test_two_listings_the_second_one_after_the_grace_time(attempt: Make, now: datetime, grace: timedelta) -> None:
    doubtful = attempt(CeState.SUBMITTING, send_deadline=now, absent_since=now + SECOND)
    decision = after_listing(doubtful, None, True, now + max(grace, SECOND), grace)
    assert isinstance(decision, Move)
    assert decision.to is CeState.VOID
    assert decision.successor
    assert not decision.costs_attempt


async def test_a_ce_that_loses_every_submission_gets_them_ever_more_slowly(house: House) -> None:
    await house.jobs(1, CeState.SUBMITTING)
    pauses: list[timedelta] = []
    while len(pauses) < 4:
        house.ahead += timedelta(hours=2)
        await reconcile(house, CE)
        newest = (await house.rows())[-1]
        if newest.state == CeState.TOSUBMIT:
            assert newest.due_at is not None
            assert newest.tries == len(pauses) + 1
            pauses.append(newest.due_at - newest.created)  # less what the reading took
            await house.sent()
    assert all(later > sooner * 1.5 for sooner, later in pairwise(pauses))
    assert len(await house.rows()) == 5


async def test_what_was_missed_once_and_found_is_not_missed_any_more(house: House) -> None:
    """A mark that stays would count for the brake, and would be the whole patience of the job's first 404."""
    await house.jobs(1, CeState.SUBMITTING)
    house.ahead += timedelta(minutes=1)
    await reconcile(house, CE)
    (row,) = await house.rows()
    assert row.absent_since is not None
    house.end.world.jobs[RemoteId("r1")] = RemoteJob(SubmissionKey(row.submission_key), "j0", house.now())
    house.ahead += timedelta(minutes=1)
    await reconcile(house, CE)
    (row,) = await house.rows()
    assert (row.state, row.absent_since) == ("submitted", None)


@pytest.mark.parametrize(
    ("older", "state"),
    [
        pytest.param(True, "void", id="a job without a name that was there before cannot be it"),
        pytest.param(False, "submitting", id="a job without a name that came later may be it"),
    ],
)
async def test_jobs_without_a_name(house: House, older: bool, state: str) -> None:
    before = house.now()
    await house.jobs(1, CeState.SUBMITTING)
    house.end.nameless = {RemoteId("odd"): before if older else house.now()}
    for _ in range(3):
        house.ahead += timedelta(minutes=10)
        await reconcile(house, CE)
    assert (await house.rows())[0].state == state
