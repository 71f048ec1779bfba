"""What is written before a submission, and what each answer to it means."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from act_core.ce.base import OutcomeLost, Refused, RemoteId, Traits
from act_core.db.attempts import Attempt
from act_core.decisions import Move, Stay
from act_core.engine.identity import Identity
from act_core.engine.submit import after_inputs, after_submit, intent, to_upload
from act_core.jobspec import COMMIT_FILE, InputFile, JobSpec
from act_core.states import CeState, Request

Make = Callable[..., Attempt]
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


@pytest.mark.parametrize(
    ("submit_before", "to"),
    [
        pytest.param(None, CeState.SUBMITTING, id="no best-before"),
        pytest.param(SECOND, CeState.SUBMITTING, id="a second before its best-before"),
        pytest.param(timedelta(0), CeState.CANCELLED, id="at its best-before"),
        pytest.param(-SECOND, CeState.CANCELLED, id="past its best-before"),
    ],
)
def test_intent(attempt: Make, now: datetime, submit_before: timedelta | None, to: CeState) -> None:
    waiting = attempt(CeState.TOSUBMIT, submit_before=None if submit_before is None else now + submit_before)
    decision = intent(waiting, "ce1", now, timedelta(seconds=30))
    assert isinstance(decision, Move)
    assert decision.to is to


def test_the_intent_names_ce_and_deadline_and_forgets_an_earlier_absence(attempt: Make, now: datetime) -> None:
    decision = intent(attempt(CeState.TOSUBMIT, tries=2, absent_since=now), "ce1", now, timedelta(seconds=30))
    deadline = now + timedelta(seconds=30)
    assert decision.columns == {
        "ce": "ce1",
        "send_deadline": deadline,
        "due_at": deadline,
        "absent_since": None,
        "tries": 2,
        "credential_id": None,
        "proxy_until": None,
    }


def test_the_intent_says_as_whom_and_how_long_the_jobs_proxy_lasts(attempt: Make, now: datetime) -> None:
    shown = Identity(7, "/CN=robot", now + 96 * HOUR, now + 84 * HOUR)
    for copied, until in ((False, None), (True, now + 84 * HOUR)):
        job = attempt(CeState.TOSUBMIT, proxy_copy=copied)
        decision = intent(job, "ce1", now, timedelta(seconds=30), shown)
        assert (decision.columns["credential_id"], decision.columns["proxy_until"]) == (7, until)


def test_accepted(attempt: Make, now: datetime) -> None:
    decision = after_submit(attempt(CeState.SUBMITTING), RemoteId("r1"), now)
    assert isinstance(decision, Move)
    assert decision.to is CeState.SUBMITTED
    assert decision.columns["remote_id"] == "r1"
    assert decision.columns["due_at"] == now  # its inputs are wanted at once


@pytest.mark.parametrize(
    "answer",
    [pytest.param(None, id="the answer does not speak of it"), pytest.param(OutcomeLost("cut off"), id="answer lost")],
)
def test_without_an_answer_the_question_stays(attempt: Make, now: datetime, answer: OutcomeLost | None) -> None:
    decision = after_submit(attempt(CeState.SUBMITTING, due_at=now), answer, now)
    assert isinstance(decision, Stay)
    assert "due_at" not in decision.columns  # reconcile asks after the send deadline
    assert not decision.successor


def test_refused_for_good(attempt: Make, now: datetime) -> None:
    decision = after_submit(attempt(CeState.SUBMITTING), Refused("no such queue", for_good=True), now)
    assert isinstance(decision, Move)
    assert decision.to is CeState.DONEFAILED
    assert decision.columns["error"] == "no such queue"


@pytest.mark.parametrize(("tries", "seconds"), [(0, 15), (1, 30), (3, 120), (12, 3600), (200, 3600)])
def test_refused_for_now_waits_longer_each_time(attempt: Make, now: datetime, tries: int, seconds: int) -> None:
    decision = after_submit(attempt(CeState.SUBMITTING, tries=tries), Refused("busy", for_good=False), now)
    assert isinstance(decision, Move)
    assert decision.to is CeState.TOSUBMIT
    assert decision.columns["due_at"] == now + timedelta(seconds=seconds)
    assert decision.columns["tries"] == tries + 1
    assert decision.columns["ce"] is None  # any candidate may take it
    assert decision.columns["send_deadline"] is None


INPUT = InputFile(name="a", content="1")
BY_CE = InputFile(name="b", source="https://host/b")


@pytest.mark.parametrize(
    ("inputs", "two_phase", "names"),
    [
        pytest.param((), True, [COMMIT_FILE], id="two phases, nothing to send: the tiny file"),
        pytest.param((BY_CE,), True, [COMMIT_FILE], id="two phases, the CE fetches all: the tiny file"),
        pytest.param((INPUT, BY_CE), True, ["a"], id="two phases: its own file is the commit"),
        pytest.param((), False, [], id="one phase, nothing to send"),
        pytest.param((INPUT,), False, ["a"], id="one phase, its own file"),
    ],
)
def test_what_the_tower_sends(inputs: tuple[InputFile, ...], two_phase: bool, names: list[str]) -> None:
    traits = Traits(kind="x", two_phase=two_phase, needs_credential=False)
    assert [file.name for file in to_upload(JobSpec(executable="x", inputs=inputs), traits)] == names


def test_inputs_sent(attempt: Make, now: datetime) -> None:
    decision = after_inputs(attempt(CeState.SUBMITTED, due_at=now), None, now)
    assert decision == Stay({"inputs_sent_at": now, "due_at": None, "tries": 0})


def test_inputs_that_cannot_be_had_end_the_job(attempt: Make, now: datetime) -> None:
    decision = after_inputs(attempt(CeState.SUBMITTED), Refused("a does not exist", for_good=True), now)
    assert isinstance(decision, Stay)
    assert decision.wish is Request.CANCEL
    assert decision.columns["error"] == "inputs: a does not exist"
    assert decision.columns["due_at"] is None


def test_inputs_refused_for_now_are_sent_again(attempt: Make, now: datetime) -> None:
    decision = after_inputs(attempt(CeState.SUBMITTED, tries=1), Refused("disk full", for_good=False), now)
    assert isinstance(decision, Stay)
    assert decision.wish is None
    assert decision.columns["due_at"] == now + timedelta(seconds=30)
    assert decision.columns["tries"] == 2
