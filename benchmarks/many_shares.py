"""What a pass of `submit` costs where work of many shares waits for many CEs that are full.

`python -m benchmarks.many_shares --shares 1000 --ces 50 --database sqlite --json`. With `--everywhere` each job may go
to every CE, else each share has one CE of its own. Milliseconds, the least of `--passes`: the pass in which each CE is
looked at anew, and beside it one claim of 100 jobs.
"""

import argparse
import asyncio
import json
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
from act_core.db.models import Ce, CeJob, Placement, PlacementCe
from act_core.db.session import Database
from act_core.engine.claim import Terms, claim
from act_core.engine.fill import Limits
from act_core.runtime import Runtime
from act_core.settings.model import ArcSettings, Settings, Site
from act_core.stages import Tower, sweep
from benchmarks.idle_pass import CHUNK, waiting_or_running
from benchmarks.tables import state_tables

RUNNING = 200  # at each CE, and no more than that may be


def fill_tables(session: Session, names: list[str], shares: int, jobs: int, everywhere: bool, now: datetime) -> None:
    places = [names] if everywhere else [[name] for name in names]
    session.execute(insert(Placement), [{"id": n, "digest": str(n)} for n in range(1, len(places) + 1)])
    members = [{"placement_id": n, "ce": name} for n, some in enumerate(places, 1) for name in some]
    session.execute(insert(PlacementCe), members)
    made = [
        waiting_or_running(n, None, n % shares % len(places) + 1, "tosubmit", now) | {"share": f"share{n % shares:04}"}
        for n in range(shares * jobs)
    ]
    running = range(len(made), len(made) + RUNNING * len(names))
    made += [waiting_or_running(n, names[n % len(names)], n % len(places) + 1, "running", now) for n in running]
    for start in range(0, len(made), CHUNK):
        session.execute(insert(CeJob), made[start : start + CHUNK])


async def _least(passes: int, one: Callable[[], Awaitable[Any]]) -> float:
    seconds = []
    for _ in range(passes):
        began = time.perf_counter()
        await one()
        seconds.append(time.perf_counter() - began)
    return round(1000 * min(seconds), 2)


async def measure(settings: Settings, names: list[str], passes: int) -> dict[str, float]:
    terms = Terms(Limits(0, b=1_000_000), timedelta(0), timedelta(seconds=30))
    async with Runtime.open(settings) as rt:
        tower, left = Tower(rt, apps=()), iter(names * passes)

        async def looked() -> None:
            for name in rt.remembered():
                rt.memory(name).paused.pop("sending", None)
            await sweep(tower, "submit")

        async def claimed() -> None:
            await rt.write(claim, next(left), terms, rt.now())

        await looked()  # why jobs wait is written once
        found = {"full_pass_ms": await _least(passes, looked)}
        await rt.write(lambda session: session.query(Ce).update({"maxjobs": 1000}) and None)
        return found | {"claim_ms": await _least(passes, claimed)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shares", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=20, help="that wait in each share")
    parser.add_argument("--ces", type=int, default=50)
    parser.add_argument("--everywhere", action="store_true", help="each job may go to every CE")
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--database", default="sqlite", help="sqlite, or mysql://user:password@host:port")
    parser.add_argument("--json", action="store_true", help="for programs")
    asked = parser.parse_args()
    names = [f"ce{n:02}" for n in range(asked.ces)]
    with tempfile.TemporaryDirectory(prefix="act-shares-") as directory, state_tables(asked.database) as db:
        sites = {name: Site(kind="local", maxjobs=RUNNING) for name in names}
        settings = Settings(state_dir=Path(directory), arc=ArcSettings(db=db, sites=sites))
        with closing(Database(settings)) as made:
            now = made.clock()
            bootstrap(made, now)
            made.write(fill_tables, names, asked.shares, asked.jobs, asked.everywhere, now)
            with made.engine.begin() as connection:
                connection.execute(text("ANALYZE" if db.type == "sqlite" else "ANALYZE TABLE ce_jobs"))
        found = {"shares": asked.shares, "ces": asked.ces} | asyncio.run(measure(settings, names, asked.passes))
    sys.stdout.write(f"{json.dumps(found)}\n" if asked.json else "".join(f"{k:14} {v}\n" for k, v in found.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
