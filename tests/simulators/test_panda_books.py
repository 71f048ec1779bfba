"""PanDA's books without a network: time-outs, kills, the adder."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest

from act_core.simulators.panda_books import Books
from act_core.simulators.panda_jobs import JobOrder
from act_core.simulators.panda_records import Patience
from act_core.simulators.panda_states import Phase
from act_core.simulators.panda_waiting import Wish
from tests.simulators.panda_reports import MINUTE, NOW, P, good_report, one_job, put, report


def test_a_job_finishes_when_the_adder_has_read_its_report() -> None:
    books = Books()
    job = one_job(books, outputs=2)
    assert books.acquire("TEST_ARC", Wish(), 5, NOW, {}) == [job]
    report(books, job, "starting")
    report(books, job, "running")
    report(books, job, "finished", job_output_report=good_report(job))
    assert job.status == "holding"
    books.tick(NOW + timedelta(seconds=1))
    assert (job.status, job.phase, job.finals) == ("finished", P.ARCHIVED, 1)
    assert report(books, job, "finished", NOW + MINUTE) == "tobekilled"


def test_without_delay_the_adder_works_within_the_call() -> None:
    books = Books(Patience(adder=timedelta(0)))
    job = one_job(books)
    assert report(books, job, "finished", job_output_report=good_report(job)) == "NULL"
    assert job.status == "finished"


def test_ddm_keeps_a_finished_job_transferring_for_a_while() -> None:
    books = Books(Patience(ddm=MINUTE))
    job = one_job(books)
    report(books, job, "finished", job_output_report=good_report(job))
    books.tick(NOW + timedelta(seconds=2))
    assert job.phase is P.TRANSFERRING_ADDER
    books.tick(NOW + 2 * MINUTE)
    assert job.status == "finished"


def _without(lfn_part: str, report_text: str) -> str:
    return json.dumps({lfn: facts for lfn, facts in json.loads(report_text).items() if lfn_part not in lfn})


@pytest.mark.parametrize(
    ("spoil", "diag"),
    [
        (lambda text: _without("HITS", text), "expected output HITS"),
        (lambda text: _without("log", text), "expected output log"),
        (lambda text: "", "expected output HITS"),
        (lambda text: "{", "Could not get GUID"),
        (lambda text: "[]", "Could not get GUID"),
        (lambda text: text.replace("fsize", "size"), "Could not get GUID"),
        (lambda text: json.dumps(json.loads(text) | {"other.root": {}}), "unexpected output other.root"),
    ],
    ids=["no output", "no log", "no report", "no JSON", "no object", "no size", "unknown file"],
)
def test_the_adder_fails_a_finished_job_with_a_bad_report(spoil: Callable[[str], str], diag: str) -> None:
    books = Books(Patience(adder=timedelta(0)))
    job = one_job(books)
    report(books, job, "finished", job_output_report=spoil(good_report(job)))
    assert (job.status, job.columns["ddmErrorCode"]) == ("failed", 200)
    assert diag in str(job.columns["ddmErrorDiag"])


def test_a_failed_report_keeps_the_pilots_code_and_goes_to_the_archive_later() -> None:
    books = Books(Patience(adder=timedelta(0)))
    job = one_job(books)
    report(books, job, "failed", pilot_error_code=1305, pilot_error_diag="x" * 600)
    assert job.phase is P.FAILED
    assert (job.columns["pilotErrorCode"], job.columns["ddmErrorCode"]) == (1305, 200)
    assert len(str(job.columns["pilotErrorDiag"])) == 500
    assert report(books, job, "failed") == "alreadydone"
    books.tick(NOW + 2 * MINUTE)
    assert (job.status, report(books, job, "failed", NOW + 2 * MINUTE)) == ("failed", "tobekilled")


def test_a_silent_sent_job_fails_after_half_an_hour() -> None:
    books = Books()
    job = one_job(books)
    books.acquire("TEST_ARC", Wish(), 1, NOW, {})
    books.tick(NOW + 29 * MINUTE)
    assert job.status == "sent"
    books.tick(NOW + 30 * MINUTE)
    assert (job.status, job.columns["jobDispatcherErrorCode"]) == ("failed", 102)


def test_a_heartbeat_keeps_a_running_job_alive_and_silence_loses_it() -> None:
    books = Books()
    job = one_job(books)
    for minutes in range(0, 300, 30):
        assert report(books, job, "running", NOW + minutes * MINUTE) == "NULL"
    assert job.status == "running"
    books.tick(NOW + (270 + 119) * MINUTE)
    assert job.status == "running"
    books.tick(NOW + (270 + 120) * MINUTE)
    assert job.columns["jobDispatcherErrorDiag"] == "lost heartbeat : 2026-11-21 04:30:00"
    assert (job.status, job.columns["jobDispatcherErrorCode"]) == ("failed", 100)


def test_reports_that_are_not_applied_keep_nobody_alive() -> None:
    books = Books()
    job = one_job(books, priority=100, kind="analysis")
    report(books, job, "transferring")
    report(books, job, "running", NOW + 100 * MINUTE)
    books.tick(NOW + 121 * MINUTE)
    assert (job.status, job.columns["jobDispatcherErrorCode"]) == ("failed", 104)


def test_a_paused_queue_is_exempt_from_time_outs() -> None:
    books = Books()
    books.queue_status["TEST_ARC"] = "paused"
    job = one_job(books)
    report(books, job, "running")
    books.tick(NOW + 1000 * MINUTE)
    assert job.status == "running"


@pytest.mark.parametrize("phase", [Phase.ACTIVATED, Phase.SENT])
def test_a_job_nobody_works_on_is_cancelled_at_once(phase: Phase) -> None:
    books = Books()
    job = one_job(books)
    put(books, job, phase)
    assert books.kill([job.number, 5], None, NOW) == [True, False]
    assert job.status == "cancelled"
    assert report(books, job, "starting") == "tobekilled"
    assert books.acquire("TEST_ARC", Wish(), 1, NOW, {}) == []


def test_a_running_job_is_killed_by_the_pilots_own_word() -> None:
    books = Books(Patience(adder=timedelta(0)))
    job = one_job(books)
    report(books, job, "running")
    assert books.kill([job.number], None, NOW) == [True]
    assert (job.status, report(books, job, "running")) == ("running", "tobekilled")
    report(books, job, "failed", pilot_error_code=1144)
    assert job.status == "cancelled"


def test_a_killed_job_that_falls_silent_is_cancelled_too() -> None:
    books = Books()
    job = one_job(books)
    report(books, job, "running")
    books.kill([job.number], None, NOW)
    books.tick(NOW + 121 * MINUTE)
    assert job.status == "cancelled"


def test_a_forced_kill_asks_no_pilot() -> None:
    books = Books()
    job = one_job(books)
    report(books, job, "running")
    books.kill([job.number], 9, NOW)
    assert job.status == "cancelled"


def test_a_wrong_attempt_and_an_unknown_job_are_to_be_killed() -> None:
    books = Books()
    job = one_job(books, attempt=3)
    assert report(books, job, "running") == "tobekilled"
    assert job.status == "activated"
    assert report(books, job, "running", attempt_nr=3) == "NULL"
    assert books.update({"job_id": 1, "job_status": "running"}, NOW) == "tobekilled"
    assert books.unknown == {1: 1}


@pytest.mark.parametrize(
    ("first", "second", "command"),
    [
        ("ce/1", "slurm.7", "tobekilled"),
        ("ce/1", "ce/1", "NULL"),
        ("12", "slurm.7", "NULL"),
        ("ce/1", "7", "NULL"),
        ("ce/1", None, "NULL"),
    ],
)
def test_the_trap_of_the_batch_id(first: str, second: str | None, command: str) -> None:
    books = Books()
    job = one_job(books)
    report(books, job, "running", batch_id=first)
    assert report(books, job, "running", batch_id=second) == command
    assert job.columns.get("supErrorCode") == (1 if command == "tobekilled" else None)


def test_times_in_a_wrong_form_are_dropped_and_bytes_become_kilobytes() -> None:
    books = Books()
    job = one_job(books)
    report(books, job, "running", start_time="2026-11-21 00:00:07", end_time="1763683200.5", tot_rchar=2048)
    assert job.columns["startTime"] == "2026-11-21 00:00:07"
    assert "endTime" not in job.columns
    assert job.columns["totRCHAR"] == 2.0


@pytest.mark.parametrize(
    ("wish", "labels"),
    [
        (Wish(), {"managed", "prod_test"}),
        (Wish("managed"), {"managed", "prod_test"}),
        (Wish("user"), {"user"}),
        (Wish("unified"), {"managed", "prod_test", "user"}),
        (Wish("test"), set()),
        (Wish("test", computing_element="ce"), {"prod_test"}),
        (Wish("rc_test2"), {"rc_test2"}),
        (Wish("unified", resource_type="MCORE"), {"managed"}),
        (Wish("unified", memory_mb=1000), {"user"}),
        (Wish("unified", task=99), {"prod_test"}),
    ],
    ids=[
        "no label",
        "managed",
        "user",
        "unified",
        "test",
        "test of a CE",
        "exact label",
        "resource type",
        "memory",
        "task",
    ],
)
def test_what_is_acquired(wish: Wish, labels: set[str]) -> None:
    books = Books()
    one_job(books, cores=8, memory_mb=16000)
    one_job(books, kind="analysis", memory_mb=1000)
    one_job(books, kind="test", task=99)
    one_job(books, label="rc_test2")
    assert {job.order.source_label for job in books.acquire("TEST_ARC", wish, 10, NOW, {})} == labels


def test_a_hundred_thousand_jobs_go_through_the_books() -> None:
    books = Books(Patience(adder=timedelta(0)))
    books.create(JobOrder(queue="TEST_ARC", n=100_000, outputs=0))
    taken = {job.number for _ in range(20) for job in books.acquire("TEST_ARC", Wish(), 100, NOW, {})}
    assert len(taken) == 2000
    for number in taken:
        books.update({"job_id": number, "job_status": "failed"}, NOW)
    assert books.counts["TEST_ARC", "SCORE", "managed", "failed", False] == 2000
    assert books.counts["TEST_ARC", "SCORE", "managed", "activated", False] == 98_000
    assert sum(books.counts.values()) == 100_000
