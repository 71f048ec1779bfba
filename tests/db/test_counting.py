"""Counts are brought up to date by one, at most once in ten seconds, and say of when they are."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from act_core.db import counting
from act_core.db.models import JobCount
from act_core.db.session import Database
from act_core.engine.count import bring_up_to_date
from tests.db.conftest import Rows

NOW = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)


def count(db: Database, seconds: float = 0, every: timedelta = counting.EVERY) -> dict[str, int]:
    return dict(db.write(bring_up_to_date, NOW + timedelta(seconds=seconds), (), every))


def counted(db: Database) -> dict[tuple[str, str], tuple[int, int]]:
    found = db.read(lambda session: session.scalars(select(JobCount)).all())
    return {(row.ce, row.state): (row.n, row.cores) for row in found}


def hour(db: Database) -> dict[str, tuple[int, int, int, int]]:
    found = db.read(counting.hours, "2026-03-01T12", "2026-03-01T12")
    return {row.ce: (row.samples, row.queued, row.running, row.slots) for row in found}


def fill(rows: Rows) -> None:
    rows.add("1", "2", "3")
    rows.put("1", state="running", ce="ce1", cores=8)
    rows.put("2", "3", state="submitted", ce="ce2", cores_asked=4)


def test_counts_follow_the_jobs(db: Database, rows: Rows) -> None:
    fill(rows)
    assert count(db) == {"running": 1, "submitted": 2}
    assert counted(db) == {("ce1", "running"): (1, 8), ("ce2", "submitted"): (2, 8)}
    assert db.read(counting.counted_at) == NOW
    rows.put("1", "2", "3", state="finished", ce="ce1")
    count(db, 10)
    assert counted(db) == {("ce1", "finished"): (3, 16)}
    assert db.read(counting.counted_at) == NOW + timedelta(seconds=10)


def test_who_waited_for_another_that_counted_counts_nothing_again(db: Database, rows: Rows) -> None:
    """Two workers ask in one moment: the one that comes second has the earlier time."""
    fill(rows)
    count(db, 30.1)
    assert count(db, 29.9) == {}
    assert count(db, 29.9, every=timedelta(0)) == {"running": 1, "submitted": 2}
    assert hour(db)["ce1"][0] == 1
    count(db, -3600)
    assert db.read(counting.counted_at) == NOW - timedelta(hours=1), "the clock was set back"


def test_nobody_counts_again_so_soon(db: Database, rows: Rows) -> None:
    count(db)
    rows.add("1")
    assert count(db, 6) == {}
    assert counted(db) == {}
    assert count(db, 6, timedelta(0)) == {"tosubmit": 1}


def test_unchanged_counts_are_not_written(
    db: Database, rows: Rows, statements: Callable[[], list[tuple[str, Any]]]
) -> None:
    fill(rows)
    count(db)
    statements()
    count(db, 10)
    written = [words.split()[:2] for words, _ in statements() if not words.startswith(("SELECT", "BEGIN"))]
    assert written == [["UPDATE", "tower"]]


def test_an_hour_is_sampled_once_a_minute(db: Database, rows: Rows) -> None:
    fill(rows)
    for seconds in (0, 10, 20, 30, 40):  # of two minutes
        count(db, seconds)
    assert hour(db) == {"ce1": (2, 0, 2, 16), "ce2": (2, 4, 0, 0)}
    rows.put("1", "2", "3", state="done")
    count(db, 90)
    assert hour(db)["ce1"] == (3, 0, 2, 16)  # it holds nothing now: the mean of the hour goes down
