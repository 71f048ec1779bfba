"""What a look at the past costs: `act status --at` over many attempts with eight events each.

`python -m benchmarks.the_past --live 100000 --archived 900000 --database mysql://root@127.0.0.1 --json`. Jobs live for
eight hours; those at rest were made over the last `--days`. Seconds of one look, the best and the worst of three.
"""

import argparse
import json
import sys
import tempfile
import time
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert, literal, null, select, text
from sqlalchemy.orm import Session

from act_core.db.bootstrap import bootstrap
from act_core.db.ledger import Line, note
from act_core.db.models import CeJob, CeJobArchive, CeJobEvent, Placement, PlacementCe
from act_core.db.session import Database
from act_core.monitor import past
from act_core.reasons import Reason, Topic
from act_core.settings.model import ArcSettings, Settings
from benchmarks.tables import state_tables

CES, CHUNK = 100, 5000
LIFE = timedelta(hours=8)
# From, to, and the column of the attempt that says when.
STEPS = (
    ("tosubmit", "submitting", "created"),
    ("submitting", "submitted", "created"),
    ("submitted", "submitted", "created"),
    ("submitted", "running", "started_at"),
    ("running", "running", "started_at"),
    ("running", "finishing", "ended_at"),
    ("finishing", "finished", "ended_at"),
    ("finished", "done", "state_since"),
)


def attempt(n: int, made: datetime, now: datetime) -> dict[str, Any]:
    """One that queues for two hours, runs for five and is fetched an hour later."""
    started, ended, done = (made + LIFE * part for part in (0.25, 0.875, 1.0))
    steps = (("done", done), ("finished", ended), ("running", started), ("submitted", made))
    state, since = next((word, at) for word, at in steps if at <= now)
    return {
        "id": n + 1,
        "app": "bench",
        "app_job_id": str(n),
        "attempt": 1,
        "attempts_left": 0,
        "submission_key": f"act-bench000-{n:026d}",
        "placement_id": n % CES + 1,
        "ce": f"ce{n % CES:03}",
        "remote_id": f"r{n}",
        "state": state,
        "state_since": since,
        "share": f"share{n % 3}",
        "description_id": 1,
        "started_at": started if started <= now else None,
        "ended_at": ended if ended <= now else None,
        "created": made,
        "modified": since,
    }


def fill(db: Database, live: int, archived: int, days: float, now: datetime, ledger: int) -> None:
    def places(session: Session) -> None:
        session.execute(insert(Placement), [{"id": n + 1, "digest": str(n)} for n in range(CES)])
        session.execute(insert(PlacementCe), [{"placement_id": n + 1, "ce": f"ce{n:03}"} for n in range(CES)])

    db.write(places)
    for table, first, n, begin, end in (
        (CeJobArchive, 0, archived, now - timedelta(days=days), now - LIFE),
        (CeJob, archived, live, now - LIFE, now),
    ):
        for start in range(0, n, CHUNK):
            some = range(start, min(start + CHUNK, n))
            rows = [attempt(first + one, begin + (end - begin) * one / n, now) for one in some]
            db.write(enter, table, rows)
        for step in STEPS:
            db.write(happen, table, *step)
    for start in range(0, ledger, 500):
        db.write(decide, start, now - timedelta(days=days) * (1 - start / ledger))
    with db.engine.begin() as connection:
        tables = " TABLE ce_jobs, ce_jobs_archive, ce_job_events, ledger" if db.engine.dialect.name != "sqlite" else ""
        connection.execute(text(f"ANALYZE{tables}"))


def enter(session: Session, table: Any, rows: list[dict[str, Any]]) -> None:
    session.execute(insert(table), rows)


def happen(session: Session, table: Any, old: str, new: str, column: str) -> None:
    at = getattr(table, column)
    names = ("job_id", "attempt", "at", "from_state", "to_state", "reason", "actor", "ce", "run_id")
    values = (
        table.id,
        literal(1),
        at,
        literal(old),
        literal(new),
        literal("CE: as it goes"),
        literal("poll"),
        table.ce,
    )
    where = (at.is_not(None), *((table.state == "done",) if new == "done" else ()))
    session.execute(insert(CeJobEvent).from_select(names, select(*values, null()).where(*where)))


def decide(session: Session, start: int, at: datetime) -> None:
    reasons = Reason.FULL, Reason.QUEUE_FULL
    note(
        session,
        [
            Line(Topic.SUBMIT, reasons[(n // 500) % 2], f"ce{n % CES:03}", f"share{n % 5}")
            for n in range(start, start + 500)
        ],
        at,
    )


def looks(db: Database, ago: timedelta, now: datetime) -> dict[str, Any]:
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        counts = db.read(past.counts_at, now - ago)
        taken.append(time.perf_counter() - began)
    there = sum(n for ce in counts.ces for n in ce.jobs.values()) + counts.waiting
    return {"hours_ago": ago / timedelta(hours=1), "there": there, "best_s": min(taken), "worst_s": max(taken)}


def main(argv: list[str] | None = None) -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--live", type=int, default=100_000)
    arguments.add_argument("--archived", type=int, default=900_000)
    arguments.add_argument("--days", type=float, default=3)
    arguments.add_argument("--database", default="sqlite", help="sqlite, or mysql://USER:PASSWORD@HOST:PORT")
    arguments.add_argument("--json", action="store_true")
    asked = arguments.parse_args(argv)
    with tempfile.TemporaryDirectory() as directory, state_tables(asked.database) as tables:
        settings = Settings(state_dir=Path(directory), arc=ArcSettings(db=tables))
        with closing(Database(settings)) as db:
            now = db.clock()
            bootstrap(db, now)
            began = time.perf_counter()
            fill(db, asked.live, asked.archived, asked.days, now, 20_000)
            filled = time.perf_counter() - began
            found = [looks(db, timedelta(hours=hours), now) for hours in (0.1, 2, 12, 24, 48)]
    if asked.json:
        sys.stdout.write(json.dumps({"filled_s": filled, "looks": found}, indent=2) + "\n")
        return 0
    for one in found:
        words = "{hours_ago:g} h ago: {there} attempts, {best_s:.2f} s to {worst_s:.2f} s\n"
        sys.stdout.write(words.format(**one))
    return 0


if __name__ == "__main__":
    sys.exit(main())
