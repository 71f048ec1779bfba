"""New jobs: one set of CEs is one placement, whoever names it and however often."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from act_core.db import arrivals, listing, queries
from act_core.db.models import CeJob, Description, Placement
from act_core.db.session import Database
from act_core.jobspec import JobSpec


def _count(db: Database, table: Any) -> int:
    return db.read(lambda session: session.execute(select(func.count()).select_from(table)).scalar_one())


def test_the_same_set_is_the_same_placement(rows: Any, db: Database) -> None:
    first = db.write(arrivals.placement, ["b", "a", "a"], rows.now)
    assert db.write(arrivals.placement, ["a", "b"], rows.now) == first
    assert db.write(arrivals.placement, ["a"], rows.now) != first
    assert db.read(listing.candidates, first) == ["a", "b"]
    assert _count(db, Placement) == 2


def test_names_that_join_to_the_same_text_are_not_the_same_set(rows: Any, db: Database) -> None:
    assert db.write(arrivals.placement, ["a", "b"], rows.now) != db.write(arrivals.placement, ["ab"], rows.now)


def test_a_set_that_many_name_at_once_is_made_once(rows: Any, db: Database) -> None:
    together = threading.Barrier(4)

    def name_it(_: int) -> int:
        together.wait(timeout=20)
        return db.write(arrivals.placement, ["x", "y", "z"], rows.now)

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(name_it, range(4)))
    assert len(set(found)) == 1
    assert _count(db, Placement) == 1


def test_jobs_wait_with_their_description(rows: Any, db: Database) -> None:
    spec = JobSpec(executable="run", arguments=("ä",), priority=70)
    job = arrivals.NewJob("manual", "a", spec, frozenset({"ce1"}), 3, "group", rows.now)
    keys = db.write(arrivals.add_jobs, rows.tower, [job], rows.now)
    (row,) = rows.all("a")
    assert keys == {"a": row.submission_key}
    assert (row.state, row.attempt, row.attempts_left, row.priority, row.share) == ("tosubmit", 1, 3, 70, "group")
    assert (row.submit_before, row.created, row.news, row.ce) == (rows.now, rows.now, False, None)
    assert db.read(queries.specs, [row.description_id]) == {row.description_id: spec}


def test_each_job_gets_its_own_description(rows: Any, db: Database) -> None:
    jobs = [
        arrivals.NewJob("manual", f"j{n}", JobSpec(executable="x", arguments=(f"{n}",)), frozenset({"ce1"}), 3)
        for n in range(50)
    ]
    db.write(arrivals.add_jobs, rows.tower, jobs, rows.now)
    picked = rows.pick(*(job.app_job_id for job in jobs))
    specs = db.read(queries.specs, [attempt.description_id for attempt in picked.values()])
    assert all(f"j{specs[a.description_id].arguments[0]}" == name for name, a in picked.items())


def test_a_job_that_is_there_already_stops_the_whole_batch(rows: Any, db: Database) -> None:
    rows.add("a")
    with pytest.raises(IntegrityError):
        rows.add("b", "a")
    assert (_count(db, CeJob), _count(db, Description)) == (1, 1)


def test_statements_do_not_grow_with_the_batch(
    rows: Any, statements: Callable[[], list[tuple[str, Any]]], database: str
) -> None:
    """But for SQLite's descriptions: it promises no order of the ids that one statement returns."""
    rows.add("first")
    counted = []
    for size in (2, 200):
        statements()
        rows.add(*(f"{size}-{n}" for n in range(size)))
        counted.append(len([text for text, _ in statements() if database == "mysql" or "job_descr" not in text]))
    assert counted[0] == counted[1] <= 5
