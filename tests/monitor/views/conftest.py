"""A tower with two CEs and a handful of jobs, of which every number is known."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.orm import Session

from act_core.atlas import counts
from act_core.db.day_models import DailySlots
from act_core.db.models import Ce, CeJob, CeJobArchive, CeJobEvent, DailyCount, Description, HourlySlots
from act_core.db.panda_models import PandaQueue, PandaRow
from act_core.db.session import Database
from act_core.engine.count import bring_up_to_date
from act_core.jobspec import InputFile, JobSpec
from tests.db.conftest import BEGINNING

NOW = BEGINNING
HOUR = timedelta(hours=1)
SERVER = "pandaserver.cern.ch:25443"
SPEC = JobSpec(
    name="a job",
    executable="run.sh",
    arguments=("--password=hunter2-of-old",),
    inputs=(InputFile(name="plain", content="CONTENT-OF-A-FILE"), InputFile(name="pilotjob", sealed=True)),
)


def attempt(n: int, **columns: Any) -> dict[str, Any]:
    """The row of job `<6000000000 + n>.1`."""
    return {
        "id": n,
        "app": "atlas",
        "app_job_id": f"{6_000_000_000 + n}.1",
        "attempt": 1,
        "attempts_left": 1,
        "submission_key": f"act-tower001-{n:026d}",
        "placement_id": 1,
        "ce": "ce1",
        "state": "running",
        "state_since": NOW - HOUR,
        "share": "QUEUE",
        "remote_id": f"r{n}",
        "description_id": 1,
        "created": NOW - 2 * HOUR,
        "modified": NOW - HOUR,
    } | columns


ATTEMPTS = (
    attempt(1, cores=8),
    attempt(2, cores_asked=4, state_since=NOW - 3 * HOUR),
    attempt(3, ce="ce2", state="submitted", share="OTHER"),
    attempt(4, ce=None, remote_id=None, state="tosubmit"),
    attempt(5, ce="ce2", state="done", ended_at=NOW - HOUR / 2, share="OTHER"),
    attempt(6, state="donefailed", ended_at=NOW - 2 * HOUR, error="vmem of 100% is <b>too much</b>", rule="memory"),
    attempt(7, state="lost", state_since=NOW - HOUR),
    attempt(8, state="done", ended_at=NOW - 30 * HOUR),
)


def panda_row(n: int, **columns: Any) -> dict[str, Any]:
    return {
        "server": SERVER,
        "panda_id": 6_000_000_000 + n,
        "attempt_nr": 1,
        "queue": "QUEUE",
        "label": "managed",
        "state": "running",
        "state_since": NOW - HOUR,
        "job": "{}",
        "created": NOW,
        "modified": NOW,
    } | columns


def ce_row(name: str, **columns: Any) -> Mapping[str, Any]:
    return {
        "name": name,
        "kind": "local",
        "maxjobs": 100,
        "modified": NOW,
        "endpoint": f"https://{name}/arex",
    } | columns


def fill(session: Session) -> None:
    resting = {"failures": 3, "retry_at": NOW + HOUR / 6, "trouble": "no route"}
    for row in (ce_row("ce1", last_seen=NOW), ce_row("ce2", **resting)):
        session.execute(insert(Ce), [dict(row)])
    session.execute(insert(Description), [{"id": 1, "spec": SPEC.model_dump_json(), "created": NOW}])
    for row in ATTEMPTS:
        session.execute(insert(CeJob), [row])
    old = attempt(20, state="done", ended_at=NOW - 48 * HOUR, ce_clean_at=NOW)
    session.execute(insert(CeJobArchive), [old])
    event = {"attempt": 1, "from_state": "submitted", "to_state": "running", "reason": "CE: R", "actor": "poll"}
    session.execute(insert(CeJobEvent), [event | {"job_id": 1, "at": NOW - HOUR, "ce": "ce1"}])
    session.execute(insert(PandaRow), [panda_row(1), panda_row(9, state="sent")])
    queue = {"server": SERVER, "name": "QUEUE", "served": True, "status": "online", "raw": "{}", "seen_at": NOW}
    parsed = {"type": "unified", "endpoints": [{"name": "ce1"}], "maxjobs": 7}
    session.execute(insert(PandaQueue), [queue | {"parsed": parsed, "modified": NOW}])
    day = {"app": "atlas", "ce": "ce1", "share": "QUEUE", "wall_s": 1, "cpu_s": 1}
    ended = [("2026-02-27", "done", 5), ("2026-02-27", "donefailed", 2), ("2026-03-01", "done", 3)]
    session.execute(insert(DailyCount), [day | {"day": on, "state": state, "n": n} for on, state, n in ended])
    held = {"ce": "ce1", "samples": 2, "queued": 4, "running": 6, "slots": 48}
    session.execute(insert(HourlySlots), [held | {"hour": "2026-03-01T11"}])
    session.execute(insert(HourlySlots), [held | {"hour": "2026-03-01T11", "ce": "ce2", "samples": 1, "slots": 10}])
    session.execute(insert(DailySlots), [held | {"day": "2026-03-01"}])
    session.execute(insert(DailySlots), [held | {"day": "2026-03-01", "ce": "ce2", "samples": 1, "slots": 10}])


def count(db: Database, now: datetime = NOW) -> None:
    db.write(bring_up_to_date, now, (counts.count,), timedelta(0))


@pytest.fixture
def tower(db: Database) -> Database:
    db.write(fill)
    count(db)
    return db
