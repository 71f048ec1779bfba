"""The named questions: who is next, and which CE has work."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from act_core.db import backlog, ces, filling, queries
from act_core.db.due import due_ces
from act_core.db.models import Ce
from act_core.db.queries import Task
from act_core.db.session import Database
from act_core.settings.model import Site
from act_core.states import ENDED, FINAL, ON_CE, CeState

HOUR = timedelta(hours=1)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOW + HOUR


def _waiting(rows: Any, ce: str = "ce1", limit: int = 100, spread: timedelta = timedelta(0)) -> list[str]:
    found = rows.db.read(backlog.waiting, ce, rows.now, limit, spread)
    attempts = rows.db.read(filling.picked, [one.id for one in found])
    return [attempts[one.id].app_job_id for one in found]


def test_priority_first_then_age_whatever_the_share_or_placement(rows: Any) -> None:
    rows.add("old", "older still waiting", priority=50)
    rows.add("high, other share", share="b", priority=80)
    rows.add("high, other placement", ces=("ce1", "ce2"), priority=80)
    rows.add("low", share="b", priority=10)
    rows.add("elsewhere", ces=("ce2",), priority=90)
    order = ["high, other share", "high, other placement", "old", "older still waiting", "low"]
    assert _waiting(rows) == order
    assert _waiting(rows, limit=1) == order[:2]  # of each share
    assert _waiting(rows, "ce2") == ["elsewhere", "high, other placement"]
    assert _waiting(rows, "ce3") == []


def test_candidates_share_what_is_new_and_help_with_what_is_old(rows: Any) -> None:
    names = [f"j{n}" for n in range(10)]
    rows.add(*names, ces=("ce1", "ce2"))
    mine, others = _waiting(rows, "ce1", spread=HOUR), _waiting(rows, "ce2", spread=HOUR)
    assert (len(mine), sorted(mine + others)) == (5, names)
    rows.put(*names, state_since=rows.now - HOUR)
    assert _waiting(rows, "ce1", spread=HOUR) == _waiting(rows, "ce2", spread=HOUR) == names


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param({"due_at": "later"}, id="not due"),
        pytest.param({"request": "cancel"}, id="unwanted"),
        pytest.param({"state": "submitting", "ce": "ce1"}, id="in the air"),
    ],
)
def test_who_does_not_wait(rows: Any, columns: dict[str, Any]) -> None:
    rows.add("a", "b")
    rows.put("a", **{key: rows.now + HOUR if value == "later" else value for key, value in columns.items()})
    assert _waiting(rows) == ["b"]


def test_what_counts_against_maxjobs(rows: Any) -> None:
    for state in CeState:
        rows.add(state.value)
        rows.put(state.value, state=state.value, ce="ce1")
    rows.add("elsewhere")
    rows.put("elsewhere", state="running", ce="ce2")
    stands = rows.db.read(filling.standing, "ce1")
    assert {one.state: one.jobs for one in stands} == dict.fromkeys(ON_CE, 1)


def test_ended_jobs_that_are_to_be_fetched(rows: Any) -> None:
    for state in (*ENDED, *FINAL):
        rows.add(state.value, f"{state.value} wished")
        rows.put(state.value, f"{state.value} wished", state=state.value, ce="ce1", remote_id="r")
        rows.put(f"{state.value} wished", request="fetch")
    found = [attempt.app_job_id for attempt in rows.db.read(queries.to_fetch, "ce1", rows.now, 100)]
    wished = {f"{state.value} wished" for state in (*ENDED, *FINAL)}
    assert set(found) == {"finished"} | wished
    assert len(found) == len(set(found))


def test_inputs_are_sent_once_and_not_for_the_unwanted(rows: Any) -> None:
    names = ("new", "held", "sent", "running", "to be killed", "to be fetched", "waits a little")
    rows.add(*names)
    rows.put(*names, state="submitted", ce="ce1", remote_id="r", due_at=rows.now)
    rows.put("held", state="holding")
    rows.put("sent", inputs_sent_at=rows.now, due_at=None)
    rows.put("running", state="running")
    rows.put("to be killed", request="cancel")
    rows.put("to be fetched", request="fetch")
    rows.put("waits a little", due_at=rows.now + HOUR)
    found = rows.db.read(queries.awaiting_inputs, "ce1", rows.now, 100)
    assert [attempt.app_job_id for attempt in found] == ["new", "held", "to be fetched"]


STAGES = ("submit", "sweep-status", "fetch-validate", "clean")
WORK = [
    # what a job at ce1 looks like, and the stages that have work for it
    pytest.param({"state": "tosubmit", "ce": None}, {"submit"}, id="waiting"),
    pytest.param({"state": "tosubmit", "ce": None, "due_at": HOUR}, set(), id="waiting for a while"),
    pytest.param({"state": "submitting", "due_at": -HOUR}, {"submit"}, id="in doubt"),
    pytest.param({"state": "submitting", "due_at": HOUR}, set(), id="in the air"),
    pytest.param({"state": "submitted", "due_at": -HOUR}, {"submit", "sweep-status"}, id="its inputs are wanted"),
    pytest.param({"state": "submitted"}, {"sweep-status"}, id="queued"),
    pytest.param({"state": "running"}, {"sweep-status"}, id="running"),
    pytest.param({"state": "running", "request": "cancel"}, {"submit", "sweep-status"}, id="to be killed"),
    pytest.param({"state": "running", "request": "clean"}, {"submit", "sweep-status"}, id="to be killed and cleaned"),
    pytest.param({"state": "running", "request": "fetch"}, {"sweep-status"}, id="to be fetched when it is over"),
    pytest.param({"state": "cancelling", "request": "cancel", "due_at": HOUR}, {"sweep-status"}, id="dying"),
    pytest.param({"state": "finished"}, {"fetch-validate"}, id="finished"),
    pytest.param({"state": "finished", "due_at": HOUR}, set(), id="finished, fetched later"),
    pytest.param({"state": "failed"}, set(), id="failed, nobody said what to do"),
    pytest.param({"state": "failed", "request": "fetch"}, {"fetch-validate"}, id="failed, logs are wanted"),
    pytest.param({"state": "failed", "request": "rerun"}, {"submit"}, id="to be rerun"),
    pytest.param({"state": "failed", "request": "resubmit"}, {"submit"}, id="to be resubmitted"),
    pytest.param({"state": "done"}, set(), id="at rest"),
    pytest.param({"state": "done", "request": "clean"}, {"clean"}, id="to be cleaned"),
    pytest.param({"state": "cancelled", "ce": None, "request": "resubmit"}, {"submit"}, id="never sent, once more"),
]


def _sites(db: Database, now: datetime, **columns: Any) -> None:
    db.write(ces.sync_ces, {"ce1": Site(), "ce2": Site()}, "config", now)
    if columns:
        db.write(lambda session: session.execute(update(Ce).values(**columns)) and None)


def _due(rows: Any) -> set[str]:
    return {stage for stage in STAGES if "ce1" in rows.db.read(due_ces, stage, rows.now)}


@pytest.mark.parametrize(("columns", "stages"), WORK)
def test_which_stages_have_work(rows: Any, columns: dict[str, Any], stages: set[str]) -> None:
    _sites(rows.db, rows.now)
    rows.add("a")
    due = columns.get("due_at")
    rows.put("a", **({"ce": "ce1"} | columns | ({"due_at": rows.now + due} if due else {})))
    assert _due(rows) == stages
    if columns.get("ce", "ce1"):
        assert not any("ce2" in rows.db.read(due_ces, stage, rows.now) for stage in STAGES)


@pytest.mark.parametrize(
    ("columns", "stages"),
    [
        pytest.param({"mode": "on"}, set(STAGES), id="on"),
        pytest.param({"mode": "drain"}, set(STAGES) - {"submit"}, id="drain: no new jobs"),
        pytest.param({"mode": "offline"}, set(), id="offline"),
        pytest.param({"retry_at": HOUR}, set(), id="the breaker is open"),
        pytest.param({"retry_at": -HOUR}, set(STAGES), id="the breaker lets a probe through"),
        pytest.param({"next_look_at": HOUR}, set(STAGES) - {"sweep-status"}, id="looked at just now"),
    ],
)
def test_how_a_ce_stands(rows: Any, columns: dict[str, Any], stages: set[str]) -> None:
    moments = {key: rows.now + value if isinstance(value, timedelta) else value for key, value in columns.items()}
    _sites(rows.db, rows.now, **moments)
    rows.add("waiting", "running", "finished", "done")
    for state in ("running", "finished", "done"):
        rows.put(state, state=state, ce="ce1", remote_id=state)
    rows.put("done", request="clean")
    assert _due(rows) == stages


def test_living_jobs_of_one_ce(rows: Any) -> None:
    rows.add("a", "b", "c")
    rows.put("a", state="running", ce="ce1", remote_id="r1")
    rows.put("b", state="done", ce="ce1", remote_id="r2")
    rows.put("c", state="running", ce="ce2", remote_id="r3")
    assert [attempt.app_job_id for attempt in rows.db.read(queries.living, "ce1")] == ["a"]
    among = rows.db.read(queries.living_among, "ce1", ["r1", "r2", "r3", "r4"])
    assert [attempt.app_job_id for attempt in among] == ["a"]


@pytest.mark.parametrize(
    ("columns", "tasks"),
    [
        pytest.param({"state": "running"}, set(), id="a job that runs"),
        pytest.param({"state": "running", "request": "cancel"}, {Task.CANCEL}, id="a cancel"),
        pytest.param({"state": "done", "request": "cancel"}, {Task.CANCEL}, id="a cancel of what is over"),
        pytest.param({"state": "running", "request": "cancel", "due_at": LATER}, set(), id="a cancel that waits"),
        pytest.param({"state": "running", "request": "clean"}, {Task.KILL_AND_CLEAN}, id="a clean of what lives"),
        pytest.param({"state": "done", "request": "clean"}, set(), id="a clean of what is over is another stage's"),
        pytest.param({"state": "failed", "request": "rerun"}, {Task.RERUN}, id="a rerun"),
        pytest.param({"state": "failed", "request": "resubmit"}, {Task.RESUBMIT}, id="a resubmission"),
        pytest.param({"state": "submitting", "due_at": NOW}, {Task.DOUBT}, id="a submission in doubt"),
        pytest.param({"state": "submitting", "due_at": LATER}, set(), id="a submission in the air"),
        pytest.param({"ce": None, "request": "cancel"}, {Task.UNPLACED}, id="a cancel of what is nowhere"),
        pytest.param({"ce": "ce2", "state": "failed", "request": "rerun"}, set(), id="another CE's"),
    ],
)
def test_what_there_is_to_do_at_a_ce(rows: Any, columns: dict[str, Any], tasks: set[Task]) -> None:
    rows.add("a")
    rows.put("a", **{"ce": "ce1", "remote_id": "r", **columns})
    assert rows.db.read(queries.tasks, "ce1", NOW) == tasks
