"""What waits for a CE: the first of each share, however many shares there are and however long their lines."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, insert, update
from sqlalchemy.orm import Session

from act_core.db import backlog, filling
from act_core.db.models import CeJob, Placement, PlacementCe
from act_core.db.session import Database

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def _fill(db: Database, jobs: Sequence[tuple[str, int]], placements: Sequence[int] = (1,)) -> None:
    """Jobs (share, priority) with the ids 1, 2, …, in turn at these placements, each of the one CE `ce`."""
    rows = [
        {
            "id": n,
            "app": "manual",
            "app_job_id": f"j{n}",
            "attempt": 1,
            "attempts_left": 3,
            "submission_key": f"act-tower001-{n:026d}",
            "placement_id": placements[n % len(placements)],
            "state": "tosubmit",
            "state_since": NOW,
            "priority": priority,
            "share": share,
            "description_id": 1,
            "created": NOW,
            "modified": NOW,
        }
        for n, (share, priority) in enumerate(jobs, 1)
    ]

    def write(session: Session) -> None:
        session.execute(insert(Placement), [{"id": place, "digest": str(place)} for place in placements])
        session.execute(insert(PlacementCe), [{"placement_id": place, "ce": "ce"} for place in placements])
        session.execute(insert(CeJob), rows)

    db.write(write)


def _first(db: Database, limit: int) -> list[int]:
    return [one.id for one in db.read(backlog.waiting, "ce", NOW, limit, timedelta(0))]


@pytest.mark.parametrize(
    ("priorities", "limit", "ids"),
    [
        pytest.param([5, 9, 5, 9, 9], 2, [2, 4], id="the oldest of the highest priority"),
        pytest.param([5, 9, 5, 9, 5], 3, [2, 4, 1], id="all of one priority, and the oldest of the next"),
        pytest.param([1, 2, 3, 4, 5], 5, [5, 4, 3, 2, 1], id="just as many as are asked for"),
        pytest.param([1, 2, 1], 5, [2, 1, 3], id="fewer than are asked for"),
        pytest.param([7, 7, 7], 1, [1], id="one"),
    ],
)
def test_priority_then_age(db: Database, priorities: list[int], limit: int, ids: list[int]) -> None:
    _fill(db, [("s", priority) for priority in priorities])
    assert _first(db, limit) == ids


def test_each_share_shows_its_first_whatever_the_others_have(db: Database) -> None:
    _fill(db, [("high", 90)] * 6 + [("", 10)] * 2 + [("low", 1)] * 3, placements=(1, 2))
    assert _first(db, 2) == [1, 2, 7, 8, 9, 10]


def test_more_shares_than_sqlite_takes_selects_in_one_statement(db: Database) -> None:
    _fill(db, [(f"s{n}", 50) for n in range(510)])
    assert _first(db, 3) == list(range(1, 511))
    assert len(db.read(backlog.shares, "ce")) == 510


def _plans(db: Database, ask: Callable[[Session], Any]) -> str:
    asked: list[tuple[str, Any]] = []

    def heard(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "ce_jobs" in statement:
            asked.append((statement, parameters))

    event.listen(db.engine, "before_cursor_execute", heard)
    db.read(ask)
    event.remove(db.engine, "before_cursor_execute", heard)
    with db.engine.connect() as connection:
        plans = [connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {one}", given).all() for one, given in asked]
    return str(plans)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_no_claim_sorts_all_that_waits(db: Database) -> None:
    _fill(db, [("s", n % 3) for n in range(9)])
    assert "ORDER BY" not in _plans(db, lambda s: backlog.waiting(s, "ce", NOW, 2, timedelta(0)))
    assert "DISTINCT" not in _plans(db, lambda s: backlog.shares(s, "ce"))


def test_what_is_late(db: Database) -> None:
    _fill(db, [("s", 50)] * 3)
    _put(db, 1, NOW)
    _put(db, 2, NOW + timedelta(seconds=1))
    assert [one.id for one in db.read(filling.late, NOW, 10)] == [1]


def _put(db: Database, job: int, submit_before: datetime) -> None:
    db.write(lambda s: s.execute(update(CeJob).where(CeJob.id == job).values(submit_before=submit_before)) and None)
