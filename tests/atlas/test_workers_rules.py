"""How attempts become workers of PanDA, and what its answers mean: pure rules."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from act_core.atlas.logplaces import log_url
from act_core.atlas.reports import Worker
from act_core.atlas.workers import (
    AGAIN,
    REFUSED,
    STATUS,
    At,
    Job,
    after_telling,
    as_worker,
    digest,
    harvester_id,
    news_of,
)
from act_core.settings.app_model import AppSettings, JobLog
from act_core.settings.model import Settings
from act_core.simulators.panda_workers import FINAL as FINAL_STATUSES
from act_core.states import FINAL, CeState

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
JOB = Job(1, 77, 2, "Q", "managed", NOW - timedelta(days=1), NOW, None, None)
AT = At(
    id=11, app_job_id="77.2", state="running", ce="ce1/q", remote_id="r1", batch_id=None, node="wn7", cores_asked=8,
    native_state="RUNNING", error="it was held once", inputs_sent_at=NOW - timedelta(hours=2),
    started_at=NOW - timedelta(hours=1), ended_at=NOW,
)  # fmt: skip
HOSTS = {"ce1/q": "ce1.example.org"}
LOGS = JobLog(urlprefix="https://logs.example.org/act/")


def worker(**changes: object) -> Worker:
    return as_worker(JOB, replace(AT, **changes), HOSTS, LOGS)  # type: ignore[arg-type] # values of any column


def test_an_attempt_in_pandas_words() -> None:
    assert worker().body() == {
        "workerID": 11, "status": "running", "computingSite": "Q", "computingElement": "ce1.example.org",
        "batchID": "r1", "nCore": 8, "nodeID": "wn7", "submitTime": "datetime/2026-11-21 10:00:00.000000",
        "startTime": "datetime/2026-11-21 11:00:00.000000", "nativeStatus": "RUNNING",
        "stdOut": "https://logs.example.org/act/2026-11-20/Q/77.out",
        "batchLog": "https://logs.example.org/act/2026-11-20/Q/77.log", "pandaid_list": [77],
    }  # fmt: skip


def test_the_end_of_an_attempt_says_when_and_why() -> None:
    body = worker(state="donefailed", error="x" * 600 + "\udc80").body()
    assert (body["status"], body["endTime"]) == ("failed", "datetime/2026-11-21 12:00:00.000000")
    assert body["diagMessage"] == "x" * 500


def test_what_does_not_fit_is_cut_or_left_out() -> None:
    odd = as_worker(
        JOB,
        replace(AT, remote_id="r" * 255, node="n" * 255, ce="elsewhere"),
        {},
        JobLog(urlprefix="https://" + "l" * 250),
    )
    body = odd.body()
    assert (body["batchID"], body["nodeID"], body["computingElement"]) == ("r" * 80, "n" * 80, "elsewhere")
    assert not {"stdOut", "batchLog"} & body.keys()
    assert not {"stdOut", "batchLog"} & as_worker(JOB, AT, HOSTS, JobLog()).body().keys()


def test_the_logs_of_analysis_jobs_are_named_where_they_are_private() -> None:
    body = as_worker(replace(JOB, label="user"), AT, HOSTS, LOGS).body()
    assert body.get("stdOut") == log_url(LOGS, JOB.created, "Q", 77, "user")
    assert body.get("stdOut") != worker().body()["stdOut"]


@pytest.mark.parametrize("state", CeState)
def test_only_an_end_is_final(state: CeState) -> None:
    """A final status stays for hours, and a job that failed may begin again."""
    assert (STATUS[state] in FINAL_STATUSES) == (state in FINAL)


def test_news_are_told_once() -> None:
    (first,) = news_of(JOB, [AT], HOSTS, LOGS)
    told = replace(JOB, worker_id=11, worker_told=digest(first))
    assert news_of(told, [AT], HOSTS, LOGS) == []
    assert news_of(told, [replace(AT, native_state="OTHER", error="new", ended_at=None)], HOSTS, LOGS) == []
    for change in ({"state": "done"}, {"ce": "ce2"}, {"remote_id": "r2"}, {"batch_id": "4711"}, {"node": "wn8"}):
        (news,) = news_of(told, [replace(AT, **change)], HOSTS, LOGS)  # type: ignore[arg-type] # as above
        assert news.panda_ids == (77,)


def test_the_former_attempts_end_is_told_and_the_job_belongs_to_the_newest() -> None:
    told = replace(JOB, worker_id=11, worker_told=digest(worker()))
    before, next_one = replace(AT, id=5, state="lost"), replace(AT, id=12)
    news = news_of(told, [before, replace(AT, state="donefailed"), next_one], HOSTS, LOGS)
    assert [(one.worker_id, one.status, one.panda_ids) for one in news] == [(11, "failed", ()), (12, "running", (77,))]
    assert [one.worker_id for one in news_of(JOB, [before, next_one], HOSTS, LOGS)] == [5, 12]


TWO = (worker(state="donefailed"), worker(id=12))


@pytest.mark.parametrize(
    ("taken", "known", "due"),
    [
        pytest.param({11: True, 12: True}, 12, None, id="all"),
        pytest.param({11: True, 12: False}, 11, NOW + REFUSED, id="the second is refused"),
        pytest.param({11: True}, 11, NOW + AGAIN, id="no answer for the second"),
        pytest.param({11: False, 12: True}, None, NOW + REFUSED, id="the first is refused"),
        pytest.param({}, None, NOW + AGAIN, id="no answer"),
    ],
)
def test_what_panda_took_is_remembered(taken: dict[int, bool], known: int | None, due: datetime | None) -> None:
    columns = after_telling(JOB, TWO, taken, NOW)
    digests = {11: digest(TWO[0]), 12: digest(TWO[1]), None: None}
    assert columns == {"worker_id": known, "worker_told": digests[known], "worker_due_at": due}


def test_nothing_new_is_remembered_as_it_was() -> None:
    known = replace(JOB, worker_id=11, worker_told="abc")
    assert after_telling(known, [], {}, NOW) == {"worker_id": 11, "worker_told": "abc", "worker_due_at": None}


@pytest.mark.parametrize(
    ("panda", "mine"),
    [
        ({}, "act-tower001"),
        ({"schedulerid": "s" * 99}, "s" * 41 + "-tower001"),
        ({"harvesterid": "aCT-1"}, "aCT-1"),
    ],
)
def test_two_towers_do_not_share_a_harvester_id(panda: dict[str, str], mine: str, tmp_path: Path) -> None:
    app = AppSettings.model_validate({"panda": panda})
    assert harvester_id(Settings(state_dir=tmp_path, app=app), "tower001") == mine
    assert len(mine) <= 50
