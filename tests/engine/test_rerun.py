"""When a job begins again, where, and as what."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from act_core.ce.base import Accepted, Gone, Refused
from act_core.db.attempts import Attempt
from act_core.decisions import Move, Stay
from act_core.engine.rerun import after_release, after_restart, after_wish, asked_before, intent
from act_core.engine.rules import NOTHING, ErrorRule, Verdict
from act_core.states import ENDED, FINAL, LIVING, CeState, Request

Make = Callable[..., Attempt]
S = CeState


TRIES = 8
ABSENCE = timedelta(hours=2)
RULE = ErrorRule("r", re.compile("x"), "x", "resubmit", "*", "", "here")


def test_the_intent_of_a_restart(attempt: Make, now: datetime) -> None:
    decision = intent(attempt(S.FAILED, reruns=1, error="bad", exit_code=3, inputs_sent_at=now, tries=2), now)
    assert (decision.to, decision.wish_done) == (S.SUBMITTED, False)
    assert {"reruns": 2, "tries": 2, "due_at": None, "native_since": None}.items() <= decision.columns.items()
    assert "error" not in decision.columns


def test_inputs_that_may_never_have_come_are_sent_again(attempt: Make, now: datetime) -> None:
    assert intent(attempt(S.FAILED), now).columns["due_at"] == now


@pytest.mark.parametrize(
    "answer", [Accepted(), Refused("505 Job has not failed", for_good=True)], ids=["accepted", "accepted before"]
)
def test_restarted(attempt: Make, now: datetime, answer: Accepted | Refused) -> None:
    decision = after_restart(attempt(S.SUBMITTED, reruns=2, error="bad"), answer, now, TRIES, NOTHING, ABSENCE)
    assert isinstance(decision, Stay)
    assert decision.wish_done
    assert decision.columns == {"error": None, "exit_code": None, "rule": None, "tries": 0}


def test_without_an_answer_it_is_asked_again(attempt: Make, now: datetime) -> None:
    asked = attempt(S.SUBMITTED, reruns=1, request=Request.RERUN)
    assert after_restart(asked, None, now, TRIES, NOTHING, ABSENCE) is None
    assert asked_before(asked)
    assert not asked_before(attempt(S.SUBMITTED, reruns=1, native_state="QUEUING"))
    gone = after_restart(asked, Gone(), now, TRIES, NOTHING, ABSENCE)
    assert gone == Stay({"absent_since": now, "due_at": now + ABSENCE / 4})


@pytest.mark.parametrize(
    ("verdict", "wish"),
    [(NOTHING, None), (Verdict(RULE, Request.RESUBMIT), Request.RESUBMIT)],
    ids=["stays failed", "begins again"],
)
def test_when_no_restart_is_allowed_the_rules_decide(
    attempt: Make, now: datetime, verdict: Verdict, wish: Request | None
) -> None:
    refused = Refused("505 No more restarts allowed", for_good=True)
    asked = attempt(S.SUBMITTED, error="Data upload failed", reruns=1)
    decision = after_restart(asked, refused, now, TRIES, verdict, ABSENCE)
    assert isinstance(decision, Move)
    assert (decision.to, decision.wish, decision.news) == (S.FAILED, wish, True)
    assert {"error": "Data upload failed", "reruns": 0}.items() <= decision.columns.items()
    assert decision.reason.startswith("rerun refused: 505 No more restarts allowed")


@pytest.mark.parametrize(("tries", "over"), [(0, False), (TRIES - 2, False), (TRIES - 1, True)])
def test_a_passing_refusal_is_asked_again_so_often(attempt: Make, now: datetime, tries: int, over: bool) -> None:
    busy = Refused("busy", for_good=False)
    decision = after_restart(attempt(S.SUBMITTED, tries=tries, reruns=1), busy, now, TRIES, NOTHING, ABSENCE)
    assert isinstance(decision, Move)
    assert (decision.to, decision.wish_done) == (S.FAILED, over)
    assert decision.columns.get("tries", 0) == (0 if over else tries + 1)
    held = after_release(attempt(S.HOLDING, tries=tries), busy, now, TRIES, NOTHING, ABSENCE)
    assert isinstance(held, Stay)
    assert (held.wish_done, held.columns["tries"]) == (over, 0 if over else tries + 1)


@pytest.mark.parametrize(
    ("answer", "words"),
    [(Accepted(), "released"), (Refused("Job is not held", for_good=True), "it goes on: Job is not held")],
    ids=["released", "released before"],
)
def test_a_released_job_waits_again(attempt: Make, now: datetime, answer: Accepted | Refused, words: str) -> None:
    held = attempt(S.HOLDING, inputs_sent_at=now)
    decision = after_release(held, answer, now, TRIES, Verdict(RULE, Request.RESUBMIT), ABSENCE)
    assert isinstance(decision, Move)
    assert (decision.to, decision.reason, decision.columns["reruns"]) == (S.SUBMITTED, words, 1)
    assert decision.wish_done


def test_a_held_job_that_is_gone_is_asked_for_again_and_the_polls_tell_its_end(attempt: Make, now: datetime) -> None:
    for absent in (None, now - 2 * ABSENCE):
        missed = attempt(S.HOLDING, request=Request.RERUN, absent_since=absent, due_at=now)
        decision = after_release(missed, Gone(), now, TRIES, NOTHING, ABSENCE)
        assert isinstance(decision, Stay)
        assert decision.columns["due_at"] == now + ABSENCE / 4


def test_no_answer_for_a_held_job_moves_nothing(attempt: Make, now: datetime) -> None:
    assert after_release(attempt(S.HOLDING), None, now, TRIES, NOTHING, ABSENCE) is None


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
