"""What somebody wants: the stronger wish stays, the newest attempt hears it."""

from datetime import timedelta
from typing import Any

import pytest

from act_core.db import wishes
from act_core.states import Request
from tests.db.conftest import Rows

ORDER = [Request.FETCH, Request.RERUN, Request.RESUBMIT, Request.CANCEL, Request.CLEAN]  # weakest first


@pytest.mark.parametrize("first", ORDER)
@pytest.mark.parametrize("second", ORDER)
def test_a_weaker_wish_never_replaces_a_stronger_one(rows: Any, first: Request, second: Request) -> None:
    rows.add("a")
    rows.db.write(wishes.wish, "manual", ["a"], first, rows.now)
    answers = rows.db.write(wishes.wish, "manual", ["a"], second, rows.now + timedelta(seconds=1))
    kept = ORDER.index(second) < ORDER.index(first)
    assert answers == {"a": f"kept: {first}" if kept else second.value}
    row = rows.all("a")[0]
    assert row.request == (first if kept else second).value
    assert row.request_at == rows.now + timedelta(seconds=0 if kept else 1)
    assert row.version == 0  # a wish is no change of the facts: what was picked is not stale


def test_unknown_jobs_and_those_of_others(rows: Any) -> None:
    rows.add("a")
    assert rows.db.write(wishes.wish, "manual", ["a", "b"], Request.CANCEL, rows.now) == {
        "a": "cancel",
        "b": "unknown",
    }
    assert rows.db.write(wishes.wish, "other", ["a"], Request.CLEAN, rows.now) == {"a": "unknown"}


def test_the_newest_attempt_hears_it(rows: Any) -> None:
    rows.add("a")
    rows.put("a", superseded_by="act-x", attempt=7)
    rows.add("a")
    rows.db.write(wishes.wish, "manual", ["a"], Request.CANCEL, rows.now)
    assert {row.attempt: row.request for row in rows.all("a")} == {7: None, 1: "cancel"}


@pytest.mark.parametrize(
    ("state", "soon"),
    [
        pytest.param("running", True, id="a living job is not kept waiting by an earlier back-off"),
        pytest.param("finished", True, id="nor is an ended one"),
        pytest.param("submitting", False, id="a submission in doubt keeps its deadline"),
    ],
)
def test_a_wish_is_heard_at_once(rows: Any, state: str, soon: bool) -> None:
    rows.add("a")
    later = rows.now + timedelta(hours=1)
    rows.put("a", state=state, ce="ce1", remote_id="r", due_at=later)
    rows.db.write(wishes.wish, "manual", ["a"], Request.CANCEL, rows.now)
    assert rows.all("a")[0].due_at == (rows.now if soon else later)


def test_a_wish_leaves_rows_alone_that_wait_for_nothing(rows: Any) -> None:
    rows.add("a")
    rows.put("a", state="running", ce="ce1", remote_id="r", due_at=None)
    rows.db.write(wishes.wish, "manual", ["a"], Request.FETCH, rows.now)
    assert rows.all("a")[0].due_at is None


@pytest.mark.parametrize("request_", [Request.RESUBMIT, Request.RERUN])
@pytest.mark.parametrize("force", [False, True])
def test_a_job_that_its_application_has_closed_is_not_run_again(rows: Any, request_: Request, force: bool) -> None:
    rows.add("closed", "open")
    rows.put("closed", "open", state="failed", ce="ce1", remote_id="r")
    rows.db.write(wishes.release, "manual", ["closed"], rows.now)
    answers = rows.db.write(wishes.wish, "manual", ["closed", "open"], request_, rows.now, force=force)
    assert answers["closed"].startswith("refused: its application has closed it")
    assert answers["open"] == request_.value
    assert rows.all("closed")[0].request is None


@pytest.mark.parametrize("request_", [Request.FETCH, Request.CANCEL, Request.CLEAN])
def test_the_rest_may_still_be_wished_of_it(rows: Any, request_: Request) -> None:
    rows.add("a")
    rows.db.write(wishes.release, "manual", ["a"], rows.now)
    assert rows.db.write(wishes.wish, "manual", ["a"], request_, rows.now) == {"a": request_.value}


@pytest.mark.parametrize(
    ("state", "force", "answer"),
    [
        pytest.param("lost", False, "refused: nobody knows that the lost attempt is dead", id="lost"),
        pytest.param("lost", True, "resubmit", id="lost, and the risk is taken"),
        pytest.param("abandoned", True, "refused: its CE may still run it", id="abandoned"),
        pytest.param("running", False, "resubmit", id="living: it is killed first"),
        pytest.param("cancelled", False, "resubmit", id="dead"),
    ],
)
def test_what_may_still_run_is_run_again_at_somebodys_risk(rows: Any, state: str, force: bool, answer: str) -> None:
    rows.add("a")
    rows.put("a", state=state, ce="ce1", remote_id="r")
    answers = rows.db.write(wishes.wish, "manual", ["a"], Request.RESUBMIT, rows.now, force=force)
    assert answers["a"].startswith(answer)
    assert rows.all("a")[0].request == (None if "refused" in answer else "resubmit")


@pytest.mark.parametrize("first", ORDER)
@pytest.mark.parametrize("second", ORDER)
def test_a_wish_of_an_attempt_never_replaces_a_stronger_one(rows: Any, first: Request, second: Request) -> None:
    rows.add("a")
    for wish in (first, second):
        rows.db.write(wishes.wish_of, [rows.pick("a")["a"].id], wish, rows.now)
    assert rows.all("a")[0].request == max(first, second, key=ORDER.index).value


def test_a_wish_of_an_attempt_never_falls_on_the_next_one(rows: Any) -> None:
    rows.add("a")
    old = rows.pick("a")["a"]
    rows.put("a", superseded_by="act-x", attempt=7)
    rows.add("a")
    rows.db.write(wishes.wish_of, [old.id], Request.CLEAN, rows.now)
    assert {row.attempt: row.request for row in rows.all("a")} == {7: "clean", 1: None}


def test_released_once(rows: Any) -> None:
    rows.add("a", "b")
    for seconds in (0, 5):
        rows.db.write(wishes.release, "manual", ["a"], rows.now + timedelta(seconds=seconds))
    assert rows.all("a")[0].released_at == rows.now
    assert rows.all("b")[0].released_at is None


@pytest.mark.parametrize(("waits", "answer"), [(60, "resubmit"), (-60, "kept: clean")], ids=["it stays", "it goes"])
def test_of_a_failed_job_that_stays_on_its_ce_all_may_be_wished(rows: Rows, waits: int, answer: str) -> None:
    rows.add("j")
    rows.put("j", state="donefailed", request="clean", due_at=rows.now + timedelta(seconds=waits))
    assert rows.db.write(wishes.wish, "manual", ["j"], Request.RESUBMIT, rows.now) == {"j": answer}


def test_by_hand_a_clean_is_due_at_once(rows: Rows) -> None:
    rows.add("j")
    rows.put("j", state="donefailed", due_at=None)
    rows.db.write(wishes.wish, "manual", ["j"], Request.CLEAN, rows.now)
    assert rows.pick("j")["j"].due_at == rows.now
