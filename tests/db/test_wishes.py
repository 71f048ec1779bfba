"""What somebody wants: the stronger wish stays, the newest attempt hears it."""

from datetime import timedelta
from typing import Any

import pytest

from act_core.db import wishes
from act_core.states import Request

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


def test_released_once(rows: Any) -> None:
    rows.add("a", "b")
    for seconds in (0, 5):
        rows.db.write(wishes.release, "manual", ["a"], rows.now + timedelta(seconds=seconds))
    assert rows.all("a")[0].released_at == rows.now
    assert rows.all("b")[0].released_at is None
