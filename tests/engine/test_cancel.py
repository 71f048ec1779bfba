"""What a kill's answer means, and which wishes need no call."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from act_core.ce.base import Accepted, Gone, Refused
from act_core.db.attempts import Attempt
from act_core.decisions import Move, Stay
from act_core.engine.cancel import after_cancel, without_call
from act_core.engine.rerun import after_wish
from act_core.states import FINAL, HEEDED, LIVING, CeState, Request

Make = Callable[..., Attempt]
S, R = CeState, Request
PATIENCE = timedelta(hours=1)
ABSENCE = timedelta(hours=2)
KILLING = [R.CANCEL, R.CLEAN, R.RESUBMIT]


@pytest.mark.parametrize("wish", KILLING)
@pytest.mark.parametrize("state", sorted(LIVING - {S.CANCELLING}))
def test_accepted_means_wait_for_the_end(attempt: Make, now: datetime, state: CeState, wish: Request) -> None:
    decision = after_cancel(attempt(state, request=wish), Accepted(), now, PATIENCE, ABSENCE)
    assert isinstance(decision, Move)
    assert decision.to is S.CANCELLING
    assert decision.columns["due_at"] == now + PATIENCE  # then the kill is sent again
    assert not decision.wish_done


def test_accepted_again(attempt: Make, now: datetime) -> None:
    decision = after_cancel(attempt(S.CANCELLING, request=R.CANCEL), Accepted(), now, PATIENCE, ABSENCE)
    assert isinstance(decision, Stay)
    assert decision.columns == {"due_at": now + PATIENCE}


@pytest.mark.parametrize("wish", KILLING)
def test_gone_after_a_kill_that_was_accepted_is_dead(attempt: Make, now: datetime, wish: Request) -> None:
    decision = after_cancel(attempt(S.CANCELLING, request=wish), Gone(), now, PATIENCE, ABSENCE)
    assert isinstance(decision, Move)
    assert decision.to is S.CANCELLED
    assert decision.wish_done is (wish is R.CANCEL)


@pytest.mark.parametrize("state", sorted(LIVING - {S.CANCELLING}))
@pytest.mark.parametrize("wish", KILLING)
def test_gone_at_the_first_kill_is_one_witness(attempt: Make, now: datetime, state: CeState, wish: Request) -> None:
    """It may run on unseen: the kill is sent again, and the poll counts for how long nobody has seen the job."""
    again = now + ABSENCE / 4
    first = after_cancel(attempt(state, request=wish), Gone(), now, PATIENCE, ABSENCE)
    assert first == Stay({"absent_since": now, "due_at": again})
    missed = attempt(state, request=wish, absent_since=now - 2 * ABSENCE, due_at=now)
    assert after_cancel(missed, Gone(), now, PATIENCE, ABSENCE) == Stay({"due_at": again})


def test_refused_is_asked_again(attempt: Make, now: datetime) -> None:
    decision = after_cancel(
        attempt(S.RUNNING, request=R.CANCEL, tries=1), Refused("no", for_good=True), now, PATIENCE, ABSENCE
    )
    assert decision == Stay({"due_at": now + timedelta(seconds=30), "tries": 2, "error": "no"})


def test_no_answer_moves_nothing(attempt: Make, now: datetime) -> None:
    assert after_cancel(attempt(S.RUNNING, request=R.CANCEL), None, now, PATIENCE, ABSENCE) is None


@pytest.mark.parametrize(
    ("state", "wish", "remote_id", "to", "done"),
    [
        pytest.param(S.TOSUBMIT, R.CANCEL, None, S.CANCELLED, True, id="cancelled before it was sent"),
        pytest.param(S.TOSUBMIT, R.CLEAN, None, S.CANCELLED, False, id="cleaned before it was sent: the clean goes on"),
        pytest.param(S.TOSUBMIT, R.FETCH, None, None, True, id="nothing to fetch before it was sent"),
        pytest.param(S.TOSUBMIT, R.RESUBMIT, None, None, True, id="nothing to resubmit before it was sent"),
        pytest.param(S.DONE, R.CANCEL, "r", None, True, id="nothing to cancel in a job that is done"),
        pytest.param(S.FINISHED, R.CANCEL, "r", None, True, id="nothing to cancel in a job that has ended"),
        pytest.param(S.CANCELLED, R.CLEAN, None, None, True, id="nothing to clean of a job that was never sent"),
        pytest.param(S.CANCELLED, R.FETCH, None, None, True, id="nothing to fetch of a job that was never sent"),
        pytest.param(S.CANCELLED, R.RERUN, None, None, True, id="nothing to rerun of a job that was never sent"),
    ],
)
def test_wishes_that_need_no_call(
    attempt: Make, state: CeState, wish: Request, remote_id: str | None, to: CeState | None, done: bool
) -> None:
    decision = without_call(attempt(state, request=wish, remote_id=remote_id))
    assert decision is not None
    assert (decision.to if isinstance(decision, Move) else None) is to
    assert decision.wish_done is done
    assert decision.reason or decision.columns


@pytest.mark.parametrize(
    ("state", "wish", "remote_id"),
    [
        pytest.param(S.RUNNING, R.CANCEL, "r", id="a living job is killed by a call"),
        pytest.param(S.DONE, R.CLEAN, "r", id="what is on a CE is cleaned by a call"),
        pytest.param(S.CANCELLED, R.RESUBMIT, None, id="resubmit is rerun.py's"),
    ],
)
def test_wishes_of_others(attempt: Make, state: CeState, wish: Request, remote_id: str | None) -> None:
    assert without_call(attempt(state, request=wish, remote_id=remote_id)) is None


@pytest.mark.parametrize("state", list(CeState))
def test_pages_offer_a_cancel_where_there_is_something_to_cancel(attempt: Make, state: CeState) -> None:
    words = without_call(attempt(state, request=Request.CANCEL, remote_id="x"))
    moot = state is CeState.CANCELLING or (isinstance(words, Stay) and words.wish_done)
    assert (state in HEEDED[Request.CANCEL]) is not moot


@pytest.mark.parametrize("state", sorted(FINAL))
def test_pages_offer_a_new_attempt_where_one_is_made(attempt: Make, now: datetime, state: CeState) -> None:
    decision = after_wish(attempt(state, request=Request.RESUBMIT), now)
    assert (state in HEEDED[Request.RESUBMIT]) is bool(isinstance(decision, Stay) and decision.successor)
