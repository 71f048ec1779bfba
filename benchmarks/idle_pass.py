"""What a pass costs that finds nothing to do, in a database full of other CEs' jobs.

`python -m benchmarks.idle_pass --rows 100000 --database sqlite --json`. Half of the rows run, the others wait for CEs
that are full; the pass is that of `submit` for one more CE, `mine`, and for the full ones. Milliseconds, the median of
`--passes`; beside it what one claim costs at a CE that has `--on-ce` jobs.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from act_core.db.bootstrap import bootstrap
from act_core.db.models import CeJob, Placement, PlacementCe
from act_core.db.session import Database
from act_core.engine.claim import Terms, claim
from act_core.engine.fill import Limits
from act_core.runtime import Runtime
from act_core.settings.model import ArcSettings, Settings, Site
from act_core.stages import Tower, sweep
from benchmarks.tables import state_tables

CES, CHUNK = 50, 5000
FULL = [f"ce{n:02}" for n in range(CES)]


def waiting_or_running(n: int, ce: str | None, place: int, state: str, now: datetime) -> dict[str, Any]:
    return {
        "app": "bench",
        "app_job_id": str(n),
        "attempt": 1,
        "attempts_left": 0,
        "submission_key": f"act-bench000-{n:026d}",
        "placement_id": place,
        "ce": ce,
        "remote_id": f"r{n}" if ce else None,
        "state": state,
        "state_since": now,
        "share": f"share{n % 3}",
        "priority": n % 100,
        "description_id": 1,
        "created": now,
        "modified": now,
    }


def fill_tables(session: Session, rows: int, on_ce: int, now: datetime) -> None:
    names = [*FULL, "mine", "large"]
    session.execute(insert(Placement), [{"id": n + 1, "digest": name} for n, name in enumerate(names)])
    session.execute(insert(PlacementCe), [{"placement_id": n + 1, "ce": name} for n, name in enumerate(names)])
    made = [
        waiting_or_running(n, FULL[n % CES] if n % 2 else None, n % CES + 1, "running" if n % 2 else "tosubmit", now)
        for n in range(rows)
    ]
    made += [
        waiting_or_running(rows + n, "large", CES + 2, "submitted" if n % 5 else "running", now) for n in range(on_ce)
    ]
    made += [waiting_or_running(rows + on_ce + n, None, CES + 2, "tosubmit", now) for n in range(100)]
    for start in range(0, len(made), CHUNK):
        session.execute(insert(CeJob), made[start : start + CHUNK])


async def _median(passes: int, one: Callable[[], Awaitable[Any]]) -> float:
    seconds = []
    for _ in range(passes):
        began = time.perf_counter()
        await one()
        seconds.append(time.perf_counter() - began)
    return round(1000 * statistics.median(seconds), 2)


async def measure(settings: Settings, passes: int) -> dict[str, float]:
    terms = Terms(Limits(0, b=100), timedelta(0), timedelta(seconds=30))
    async with Runtime.open(settings) as rt:
        tower = Tower(rt, apps=())
        await sweep(tower, "submit")  # the full ones are found to be full

        async def claimed() -> None:
            await rt.write(claim, "large", terms, rt.now())

        async def looked() -> None:
            for name in rt.remembered():  # else a pause of 5 s ends in the middle of the measurement
                rt.memory(name).paused["sending"] = rt.now() + timedelta(minutes=1)
            await sweep(tower, "submit")

        return {"idle_pass_ms": await _median(passes, looked), "claim_ms": await _median(passes, claimed)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--on-ce", type=int, default=50_000, help="jobs on the CE of the claim")
    parser.add_argument("--passes", type=int, default=21)
    parser.add_argument("--database", default="sqlite", help="sqlite, or mysql://user:password@host:port")
    parser.add_argument("--json", action="store_true", help="for programs")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="act-idle-") as directory, state_tables(asked.database) as db:
        sites = {name: Site(kind="local", maxjobs=0) for name in FULL}
        sites |= {name: Site(kind="local") for name in ("mine", "large")}
        settings = Settings(state_dir=Path(directory), arc=ArcSettings(db=db, sites=sites))
        with closing(Database(settings)) as made:
            now = made.clock()
            bootstrap(made, now)
            made.write(fill_tables, asked.rows, asked.on_ce, now)
            with made.engine.begin() as connection:
                connection.execute(text("ANALYZE" if db.type == "sqlite" else "ANALYZE TABLE ce_jobs"))
        found = {"rows": asked.rows, "on_ce": asked.on_ce} | asyncio.run(measure(settings, asked.passes))
    sys.stdout.write(f"{json.dumps(found)}\n" if asked.json else "".join(f"{k:14} {v}\n" for k, v in found.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
