"""When a heartbeat is due, and what PanDA's answers mean: pure rules, without servers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from act_core.atlas.heartbeat import after_report, escalated, spread
from act_core.atlas.reports import Outcome, UpdateAnswer, read_answer
from act_core.runtime import WRONG
from act_core.states import PandaState
from tests.atlas.house import BOOKED

P = PandaState
BEAT, TEN = timedelta(minutes=30), timedelta(seconds=10)
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize("panda_id", [1, 6_000_000_001, 2**62])
def test_heartbeats_are_spread_and_never_late(panda_id: int) -> None:
    assert BEAT * 0.8 <= spread(BEAT, panda_id) <= BEAT
    assert spread(BEAT, panda_id) == spread(BEAT, panda_id)
    assert len({spread(BEAT, panda_id + i) for i in range(20)}) > 15


@pytest.mark.parametrize("state", [P.SENT, P.RUNNING, P.TOVALIDATE, P.TOREPORT])
@pytest.mark.parametrize("outcome", [Outcome.LATER, Outcome.REFUSED])
def test_a_report_that_was_not_taken_is_sent_ever_more_rarely_but_never_given_up(
    state: PandaState, outcome: Outcome
) -> None:
    answer, pauses = UpdateAnswer(outcome, message="Argument error"), []
    for refused in (0, 1, 2, 7, 8, 1000):
        change = after_report(replace(BOOKED, state=state, report="{}", refused=refused), answer, NOW, BEAT)
        assert (change.to, change.columns["refused"], change.columns["error"]) == (None, refused + 1, "Argument error")
        assert "told" not in change.columns
        pauses.append((change.columns["heartbeat_due_at"] - NOW).total_seconds())
    assert pauses == [10, 20, 40, 1280, 1800, 1800]


def test_a_report_that_is_taken_ends_the_count_of_refusals() -> None:
    change = after_report(replace(BOOKED, refused=5), UpdateAnswer(Outcome.ACCEPTED), NOW, BEAT)
    assert (change.to, change.columns["refused"], change.columns["told"]) == (None, 0, "starting")


@pytest.mark.parametrize("command", ["tobekilled", "debug,tobekilled", "badattemptnr", "alreadydone"])
@pytest.mark.parametrize("state", [P.STARTING, P.RUNNING, P.TRANSFERRING, P.TOVALIDATE])
def test_a_command_is_looked_for_not_compared(state: PandaState, command: str) -> None:
    change = after_report(replace(BOOKED, state=state), UpdateAnswer(Outcome.ACCEPTED, command), NOW, BEAT)
    assert (change.to, change.columns["heartbeat_due_at"]) == (P.TOKILL, None)


@pytest.mark.parametrize("command", ["", "softkill", "debug", "debugoff", "ls -l"])
def test_other_commands_kill_nobody(command: str) -> None:
    change = after_report(replace(BOOKED, state=P.RUNNING), UpdateAnswer(Outcome.ACCEPTED, command), NOW, BEAT)
    assert (change.to, change.columns["told"]) == (None, "starting")


@pytest.mark.parametrize("command", ["", "tobekilled", "alreadydone", "badattemptnr"])
def test_a_final_report_is_done_when_panda_has_it_or_does_not_want_it(command: str) -> None:
    row = replace(BOOKED, state=P.TOREPORT, report='{"job_status": "failed"}')
    change = after_report(row, UpdateAnswer(Outcome.ACCEPTED, command), NOW, BEAT)
    assert (change.to, change.columns["told"], change.columns["heartbeat_due_at"]) == (P.CLOSED, "failed", None)


def test_an_answer_for_a_job_that_is_being_killed_moves_nothing() -> None:
    change = after_report(replace(BOOKED, state=P.TOKILL), UpdateAnswer(Outcome.ACCEPTED, "tobekilled"), NOW, BEAT)
    assert (change.to, change.columns) == (None, {"heartbeat_due_at": None})


@pytest.mark.parametrize("state", [P.RUNNING, P.TOREPORT])
def test_a_command_beside_a_timeout_of_the_database_is_for_later(state: PandaState) -> None:
    """Nothing is known then: the report is sent again, and what was meant is said again."""
    element = {"success": True, "message": "", "data": {"StatusCode": 10, "command": "tobekilled"}}
    change = after_report(replace(BOOKED, state=state, report="{}"), read_answer(element), NOW, BEAT)
    assert (change.to, change.columns["refused"], change.columns["heartbeat_due_at"]) == (None, 1, NOW + TEN)


def test_what_panda_does_not_take_is_one_red_line_for_all_jobs_alike(caplog: pytest.LogCaptureFixture) -> None:
    wrong = UpdateAnswer(Outcome.REFUSED, message="Invalid job status: done")
    short = UpdateAnswer(Outcome.ACCEPTED, left_out=("max_rss",))
    later = UpdateAnswer(Outcome.LATER, message="Timed out")
    answers = {9: wrong, 7: wrong, 5: short, 3: UpdateAnswer(Outcome.ACCEPTED), 1: later}
    assert escalated(answers) == {WRONG: 3}
    told = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert told == [
        "a bug of ours: reports of 1 PanDA jobs are told without max_rss; the first is 5",
        "a bug of ours: reports of 2 PanDA jobs are refused (Invalid job status: done); the first is 7",
    ]
    assert escalated({1: later}) == {}
