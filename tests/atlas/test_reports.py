"""Updates as PanDA's new API takes them, and its answers."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import ValidationError

from act_core.atlas.reports import Outcome, Update, UpdateAnswer, Worker, as_text, fits, offending, read_answer
from act_core.simulators.panda_fields import UPDATE_JOB, bind


def test_our_allow_list_is_within_the_servers() -> None:
    assert set(Update.model_fields) <= set(UPDATE_JOB.parameters)
    assert "batch_id" not in Update.model_fields


def test_every_field_passes_the_servers_type_check() -> None:
    samples: dict[str, object] = {}
    for name in Update.model_fields:
        kinds = UPDATE_JOB.parameters[name].kinds
        samples[name] = 1 if int in kinds else "2026-11-21 00:00:00" if name.endswith("_time") else "x"
    update = Update.model_validate(samples | {"job_status": "finished"})
    assert set(update.body()) == set(Update.model_fields)
    bind(UPDATE_JOB, update.body(), query=False)


@pytest.mark.parametrize(
    "wrong",
    [
        {"job_id": "2"},
        {"job_id": 0},
        {"job_status": "cancelled"},
        {"cpu_consumption_time": 1.5},
        {"core_count": True},
        {"node": 7},
        {"max_rss": "1"},
        {"start_time": "2026-11-21T00:00:00"},
        {"batch_id": "x"},
        {"foo": 1},
    ],
    ids=str,
)
def test_what_the_server_would_refuse_or_drop_is_not_built(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Update.model_validate({"job_id": 1, "job_status": "running"} | wrong)


def test_texts_are_cut_to_their_columns() -> None:
    update = Update(job_id=1, job_status="failed", pilot_error_diag="\x00" + "x" * 600, meta_data="m" * 10_000)
    assert update.pilot_error_diag == "x" * 500
    assert len(update.meta_data or "") == 10_000


def test_what_is_not_said_is_not_sent() -> None:
    assert Update(job_id=1, job_status="running").body() == {"job_id": 1, "job_status": "running"}


def test_times_are_utc_text() -> None:
    assert as_text(datetime(2026, 11, 21, 1, tzinfo=timezone(timedelta(hours=2)))) == "2026-11-20 23:00:00"
    assert as_text(datetime(2026, 11, 21, 1, 2, 3, 999, tzinfo=UTC)) == "2026-11-21 01:02:03"
    assert as_text(None) is None


def element(success: bool = True, message: str = "", **data: object) -> dict[str, object]:
    return {"success": success, "message": message, "data": data or None}


ARGUMENT = "Argument error: got an unexpected keyword argument 'bogus'"


@pytest.mark.parametrize(
    ("answer", "outcome", "settled"),
    [
        (element(StatusCode=0, command="NULL"), Outcome.ACCEPTED, True),
        (element(StatusCode=0, command=None), Outcome.ACCEPTED, True),
        (element(StatusCode=0, command="tobekilled"), Outcome.ACCEPTED, True),
        (element(StatusCode=0, command="alreadydone"), Outcome.ACCEPTED, True),
        (element(StatusCode=10, command="NULL"), Outcome.LATER, False),
        (element(StatusCode=10, command="tobekilled"), Outcome.LATER, False),
        (element(StatusCode=20, command="alreadydone"), Outcome.LATER, False),
        (element(False, "locked", StatusCode=0, command="tobekilled"), Outcome.LATER, False),
        (element(False, "Timed out", StatusCode=10), Outcome.LATER, False),
        (element(False, StatusCode=50), Outcome.REFUSED, False),
        (element(StatusCode=50, command="tobekilled"), Outcome.REFUSED, False),
        (element(StatusCode=60), Outcome.LATER, False),
        (element(StatusCode=999), Outcome.LATER, False),
        (element(StatusCode=30), Outcome.LATER, False),
        (element(), Outcome.LATER, False),
        (element(command="NULL"), Outcome.LATER, False),
        (element(False, ARGUMENT), Outcome.REFUSED, False),
        (element(False, "Type error: 'job_id' must be of type int, got str."), Outcome.REFUSED, False),
        (element(False, "Invalid job status: done", StatusCode=50), Outcome.REFUSED, False),
        (element(False, "Database error"), Outcome.LATER, False),
        (element(False), Outcome.LATER, False),
        ({"success": "true", "data": {"StatusCode": 0}}, Outcome.LATER, False),
        ({"success": True, "data": {"StatusCode": "0"}}, Outcome.LATER, False),
        (None, Outcome.LATER, False),
        ("StatusCode=0", Outcome.LATER, False),
        ([], Outcome.LATER, False),
    ],
    ids=lambda value: str(value)[:60],
)
def test_only_a_clear_yes_counts(answer: object, outcome: Outcome, settled: bool) -> None:
    said = read_answer(answer)
    assert (said.outcome, said.settled) == (outcome, settled)
    assert settled or not (said.kill or said.already_done)  # a command comes with a yes, or is said again


@pytest.mark.parametrize(
    ("command", "kill", "done"),
    [
        ("tobekilled", True, False),
        ("debug,tobekilled", True, False),
        ("badattemptnr", True, False),
        ("alreadydone", False, True),
        ("debugoff,alreadydone", False, True),
        ("softkill", False, False),
        ("tail pilotlog.txt", False, False),
        ("", False, False),
    ],
)
def test_commands_are_looked_for_and_not_compared(command: str, kill: bool, done: bool) -> None:
    answer = UpdateAnswer(Outcome.ACCEPTED, command)
    assert (answer.kill, answer.already_done) == (kill, done)


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("Argument error: got an unexpected keyword argument 'cpu_architecture_level'", "cpu_architecture_level"),
        ("Type error: 'max_rss' must be of type int | float, got str.", "max_rss"),
        ("Type error: 'job_id' must be of type int, got str.", None),
        ("Type error: 'job_output_report' must be of type str, got dict.", None),
        ("Argument error: got an unexpected keyword argument 'bogus'", None),
        ("Argument error: missing a required argument: 'node'", None),
        ("Invalid job status: 'node'", None),
        ("Type error: none named", None),
        ("", None),
    ],
)
def test_the_field_that_a_report_can_do_without(message: str, name: str | None) -> None:
    assert offending(message) == name


@pytest.mark.parametrize(
    ("name", "value", "good"),
    [
        ("max_rss", 0, True),
        ("max_rss", 4 * 10**9, True),
        ("max_rss", 1e300, False),
        ("avg_pss", -1, False),
        ("tot_rbytes", 10**14, True),
        ("rate_wchar", float("nan"), False),
        ("n_events", float("inf"), False),
        ("trans_exit_code", -9, True),
        ("exe_error_code", 10**6, False),
        ("job_metrics", "x" * 10**4, True),
    ],
)
def test_what_a_column_can_hold(name: str, value: object, good: bool) -> None:
    assert fits(name, value) == good


def test_every_number_has_its_limits() -> None:
    numbers = [name for name in Update.model_fields if int in UPDATE_JOB.parameters[name].kinds]
    assert [name for name in numbers if fits(name, 10**18)] == ["job_id", "attempt_nr"]


def test_a_worker_has_the_names_of_the_wire() -> None:
    worker = Worker(worker_id=1, status="running", queue="Q", ce="ce", panda_ids=(1, 2))
    assert worker.body() == {
        "workerID": 1, "status": "running", "computingSite": "Q", "computingElement": "ce", "pandaid_list": [1, 2],
    }  # fmt: skip
