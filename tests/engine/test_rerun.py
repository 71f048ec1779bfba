"""When a job begins again, where, and as what."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from act_core.ce.base import Accepted, Gone, Refused
from act_core.db.attempts import Attempt
from act_core.decisions import Move, Stay
from act_core.engine.rerun import after_restart, after_wish
from act_core.states import ENDED, FINAL, LIVING, CeState

Make = Callable[..., Attempt]
S = CeState


def test_restarted(attempt: Make) -> None:
    decision = after_restart(attempt(S.FAILED, reruns=1, error="bad", exit_code=3), Accepted())
    assert isinstance(decision, Move)
    assert decision.to is S.SUBMITTED
    assert decision.wish_done
    assert decision.columns == {"reruns": 2, "error": None, "exit_code": None}


def test_refused_stays_failed(attempt: Make) -> None:
    decision = after_restart(attempt(S.FAILED), Refused("no more restarts", for_good=True))
    assert isinstance(decision, Stay)
    assert decision.wish_done
    assert decision.columns["error"] == "no more restarts"


def test_gone_is_lost(attempt: Make) -> None:
    decision = after_restart(attempt(S.FAILED), Gone())
    assert isinstance(decision, Move)
    assert decision.to is S.LOST
    assert decision.wish_done


def test_no_answer_moves_nothing(attempt: Make) -> None:
    assert after_restart(attempt(S.FAILED), None) is None


@pytest.mark.parametrize("state", sorted(ENDED))
def test_an_ended_job_is_closed_and_succeeded(attempt: Make, now: datetime, state: CeState) -> None:
    decision = after_wish(attempt(state), now)
    assert isinstance(decision, Move)
    assert (decision.to, decision.wish_done, decision.successor) == (S.DONEFAILED, True, True)


@pytest.mark.parametrize("state", [S.DONE, S.DONEFAILED, S.CANCELLED, S.VOID])
def test_a_final_job_is_succeeded(attempt: Make, now: datetime, state: CeState) -> None:
    decision = after_wish(attempt(state), now)
    assert isinstance(decision, Stay)
    assert (decision.wish_done, decision.successor) == (True, True)


def test_an_abandoned_job_may_still_run(attempt: Make, now: datetime) -> None:
    decision = after_wish(attempt(S.ABANDONED), now)
    assert isinstance(decision, Stay)
    assert (decision.wish_done, decision.successor) == (True, False)


@pytest.mark.parametrize(
    ("seconds", "again"),
    [
        pytest.param(-1, False, id="wished while it lived"),
        pytest.param(0, True, id="wished when it was lost: with --force"),
        pytest.param(None, False, id="not wished"),
    ],
)
def test_a_lost_job_is_succeeded_when_that_was_wished_of_a_lost_job(
    attempt: Make, now: datetime, seconds: int | None, again: bool
) -> None:
    wished = None if seconds is None else now + timedelta(seconds=seconds)
    decision = after_wish(attempt(S.LOST, request_at=wished), now)
    assert isinstance(decision, Stay)
    assert (decision.wish_done, decision.successor) == (True, again)


@pytest.mark.parametrize("state", sorted(ENDED | FINAL))
def test_what_its_application_has_closed_is_not_run_again(attempt: Make, now: datetime, state: CeState) -> None:
    decision = after_wish(attempt(state, released_at=now, request_at=now), now)
    assert isinstance(decision, Stay)
    assert (decision.wish_done, decision.successor) == (True, False)


@pytest.mark.parametrize("state", sorted(LIVING | {S.SUBMITTING}))
def test_a_living_job_has_to_die_first(attempt: Make, now: datetime, state: CeState) -> None:
    assert after_wish(attempt(state), now) is None


@pytest.mark.parametrize("state", [S.FAILED, S.DONE, S.LOST])
@pytest.mark.parametrize("late", [timedelta(0), timedelta(seconds=1)])
def test_past_its_best_before_nothing_follows(attempt: Make, now: datetime, state: CeState, late: timedelta) -> None:
    decision = after_wish(attempt(state, submit_before=now - late), now)
    assert decision is not None
    assert (decision.wish_done, decision.successor) == (True, False)
