"""What the answer to a clean means."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from act_core.ce.base import Accepted, Gone, Refused
from act_core.db.attempts import Attempt
from act_core.decisions import Move, Stay
from act_core.engine.clean import after_clean
from act_core.states import ENDED, FINAL, CeState

Make = Callable[..., Attempt]


@pytest.mark.parametrize("answer", [Accepted(), Gone()], ids=["accepted", "gone"])
@pytest.mark.parametrize("state", sorted(FINAL))
def test_a_final_job_stays_what_it_is(attempt: Make, now: datetime, state: CeState, answer: Accepted | Gone) -> None:
    decision = after_clean(attempt(state), answer, now)
    assert isinstance(decision, Stay)
    assert decision.wish_done
    assert decision.columns == {"ce_clean_at": now, "due_at": None}


@pytest.mark.parametrize("answer", [Accepted(), Gone()], ids=["accepted", "gone"])
@pytest.mark.parametrize("state", sorted(ENDED))
def test_an_unfetched_job_ends_without_its_outputs(
    attempt: Make, now: datetime, state: CeState, answer: Accepted | Gone
) -> None:
    decision = after_clean(attempt(state), answer, now)
    assert isinstance(decision, Move)
    assert decision.to is CeState.DONEFAILED
    assert decision.wish_done
    assert decision.columns["ce_clean_at"] == now


def test_refused_is_asked_again(attempt: Make, now: datetime) -> None:
    decision = after_clean(attempt(CeState.DONE, tries=2), Refused("it runs", for_good=True), now)
    assert isinstance(decision, Stay)
    assert not decision.wish_done
    assert decision.columns == {"due_at": now + timedelta(seconds=60), "tries": 3}


def test_no_answer_moves_nothing(attempt: Make, now: datetime) -> None:
    assert after_clean(attempt(CeState.DONE), None, now) is None
