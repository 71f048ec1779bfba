"""What a listing of the CE means for a submission whose answer was lost."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from act_core.ce.base import RemoteId
from act_core.db.attempts import Attempt
from act_core.decisions import Move, Stay
from act_core.engine.reconcile import after_listing
from act_core.states import CeState

Make = Callable[..., Attempt]
GRACE = timedelta(seconds=60)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize("complete", [True, False])
def test_found_is_adopted_and_gets_its_inputs(attempt: Make, now: datetime, complete: bool) -> None:
    doubtful = attempt(CeState.SUBMITTING, send_deadline=now)
    decision = after_listing(doubtful, RemoteId("r1"), complete, now, GRACE)
    assert isinstance(decision, Move)
    assert decision.to is CeState.SUBMITTED
    assert decision.columns == {"remote_id": "r1", "due_at": now}


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
