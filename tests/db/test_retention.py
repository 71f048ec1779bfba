"""What is over leaves the tables after its time; what is at work, and what open books need, stays."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Table, func, insert, select
from sqlalchemy.orm import Session

from act_core.db import retention
from act_core.db.models import CeJob, CeJobArchive, CeJobEvent, Description, HourlySlots, Run
from act_core.db.policy_models import AuditLine, LedgerLine
from act_core.db.session import Database
from act_core.states import FINAL, CeState
from tests.fixtures.plans import analyze, scans, sent

NOW = datetime(2026, 3, 1, tzinfo=UTC)
BEFORE = NOW - timedelta(days=30)
STATES = ("running", "tosubmit", "done", "donefailed", "lost")
ROWS = 2000
BIG = {"ce_jobs", "ce_jobs_archive", "ce_job_events", "ledger", "job_descriptions", "runs", "audit"}


def attempt(number: int, state: str, age: float, **more: object) -> dict[str, Any]:
    """The attempt of this number, last written so many days ago."""
    at = NOW - timedelta(days=age)
    times = dict.fromkeys(("state_since", "created", "modified"), at)
    what = {"id": number, "app": "manual", "app_job_id": f"j{number}", "attempt": 1, "attempts_left": 1}
    rest = {"submission_key": f"k{number}", "placement_id": 1, "description_id": number, "version": 0}
    return {**times, **what, **rest, "state": state, **more}


def event(job: int, age: float) -> dict[str, Any]:
    at = {"job_id": job, "at": NOW - timedelta(days=age), "attempt": 1, "from_state": "a", "to_state": "b"}
    return at | {"reason": "", "actor": "test"}


def line(job: int, age: float) -> dict[str, Any]:
    return {"job_id": job, "at": NOW - timedelta(days=age), "topic": "t", "code": "c", "n": 0, "facts": {}}


def put(db: Database, table: Any, rows: list[dict[str, Any]]) -> None:
    def write(session: Session) -> None:
        for start in range(0, len(rows), 500):
            session.execute(insert(table), rows[start : start + 500])

    db.write(write)


def all_of(db: Database, column: Any) -> list[Any]:
    return sorted(db.read(lambda session: session.scalars(select(column)).all()))


def purged(db: Database, purge: retention.Purge, before: datetime = BEFORE) -> int:
    """Until nothing is left; how many rows went."""
    total = 0
    while gone := db.write(purge, before):
        total += gone
    return total


@pytest.mark.parametrize("seed", range(3))
def test_no_event_of_what_moves_goes_and_no_other_old_one_stays(db: Database, seed: int) -> None:
    """A property, over attempts of every kind and age, with events of every age."""
    dice = random.Random(seed)
    hot = {n: attempt(n, dice.choice(STATES), dice.uniform(0, 60)) for n in range(1, 60)}
    rest = {n: attempt(n, "done", dice.uniform(0, 60)) for n in range(100, 160)}
    put(db, CeJob, list(hot.values()))
    put(db, CeJobArchive, list(rest.values()))
    happened = [event(dice.choice([*hot, *rest, 999]), dice.uniform(0, 90)) for _ in range(400)]
    put(db, CeJobEvent, happened)
    put(db, LedgerLine, [line(dice.choice([*hot, 0]), dice.uniform(0, 90)) for _ in range(400)])
    lines = db.read(lambda session: session.execute(select(LedgerLine.job_id, LedgerLine.at)).tuples().all())

    def moves(job: int) -> bool:
        row = hot.get(job) or rest.get(job)
        return row is not None and (CeState(row["state"]) not in FINAL or row["modified"] >= BEFORE)

    def works(job: int) -> bool:
        return job in hot and CeState(hot[job]["state"]) not in FINAL

    purged(db, retention.events)
    purged(db, retention.ledger)
    kept = [one["at"] for one in happened if one["at"] >= BEFORE or moves(one["job_id"])]
    assert all_of(db, CeJobEvent.at) == sorted(kept)
    assert all_of(db, LedgerLine.at) == sorted(at for job, at in lines if at >= BEFORE or works(job))
    assert len(all_of(db, CeJob.id)) == len(hot), "attempts that are not at rest are nobody's to remove"


def test_a_description_goes_with_the_last_attempt_of_its_job(db: Database) -> None:
    same = {"app_job_id": "j1", "description_id": 1}
    put(db, Description, [{"id": n, "spec": "{}", "created": NOW} for n in (1, 2, 3, 4)])
    put(db, CeJobArchive, [attempt(1, "donefailed", 50), attempt(2, "done", 50), attempt(3, "done", 20)])
    put(db, CeJobArchive, [attempt(4, "donefailed", 50)])
    put(db, CeJob, [attempt(5, "running", 0, **same, attempt=2)])
    put(db, CeJobArchive, [attempt(6, "done", 10, app_job_id="j4", description_id=4, attempt=2)])
    assert purged(db, retention.archive) == 3
    assert all_of(db, CeJobArchive.id) == [3, 6]
    assert all_of(db, Description.id) == [1, 3, 4]


def test_the_moment_itself_is_kept(db: Database) -> None:
    put(db, CeJobArchive, [attempt(1, "done", 30)])
    put(db, AuditLine, [_deed(30), _deed(30.001)])
    assert (purged(db, retention.archive), purged(db, retention.audit)) == (0, 1)


def test_hours_go_one_after_the_other(db: Database) -> None:
    hours = [f"2026-01-2{day}T{hour:02}" for day in (8, 9) for hour in range(24)] + ["2026-01-30T00"]
    common = dict.fromkeys(("samples", "queued", "running", "slots"), 1)
    put(db, HourlySlots, [common | {"hour": hour, "ce": ce} for hour in hours for ce in ("a", "b")])
    assert purged(db, retention.hourly) == 2 * 48
    assert all_of(db, HourlySlots.hour) == ["2026-01-30T00"] * 2


def _deed(age: float) -> dict[str, Any]:
    who = {"who": "x", "role": "admin", "via": "cli", "deed": "d", "subject": "s", "done": True, "facts": {}}
    return who | {"at": NOW - timedelta(days=age)}


def _run(age: float) -> dict[str, Any]:
    return {"flow_run": "f", "stage": "s", "holder": "h", "at": NOW - timedelta(days=age)}


def test_a_chunk_is_a_chunk_and_no_purge_reads_a_table_whole(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    ages = [n * 60 / ROWS for n in range(ROWS)]
    put(db, CeJob, [attempt(n + 1, "running" if n % 9 == 0 else "done", age) for n, age in enumerate(ages)])
    put(db, CeJobArchive, [attempt(n + 1 + ROWS, "done", age) for n, age in enumerate(ages)])
    put(db, Description, [{"id": n + 1 + ROWS, "spec": "{}", "created": NOW} for n in range(ROWS)])
    put(db, CeJobEvent, [event(n + 1, age) for n, age in enumerate(ages)])
    put(db, LedgerLine, [line(n + 1, age) for n, age in enumerate(ages)])
    put(db, Run, [_run(age) for age in ages])
    put(db, AuditLine, [_deed(age) for age in ages])
    if db.engine.dialect.name != "sqlite":
        analyze(db, BIG)
    monkeypatch.setattr(retention, "CHUNK", 50)
    for name, purge in retention.PURGES.items():
        ask: Callable[[Session], int] = lambda session, purge=purge: purge(session, BEFORE)  # type: ignore[misc]  # noqa: E731
        for statement, parameters in sent(db, ask):
            assert not BIG & scans(db.engine, statement, parameters), f"{name}: {statement}"
        assert db.write(purge, BEFORE) == (0 if name == "hourly" else 50), name
    assert _rows(db, CeJobEvent.__table__) == ROWS - 50


def _rows(db: Database, table: Any) -> int:
    assert isinstance(table, Table)
    return db.read(lambda session: session.scalar(select(func.count()).select_from(table)) or 0)
