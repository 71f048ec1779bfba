"""How soon a tower that is up is through with jobs, and what its processes use meanwhile.

`python -m benchmarks.tower --ces 2 --jobs 20 --insertions 2`. `act up` with Prefect, in a directory and on ports of
its own; jobs of the application `manual` on simulated ARC CEs over TLS, which run for some seconds, so that each is
polled about twice while it lives. The insertions are spread over the minute, since the windows begin with it.
"""

import statistics
import sys
import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from act_core.db.arrivals import add_jobs
from act_core.db.bootstrap import tower_id
from act_core.db.models import CeJob
from act_core.settings.model import Db
from act_core.simulators.arc_pace import Pace
from act_core.simulators.pki import TestPki
from act_core.simulators.witness import count
from act_core.states import CeState
from benchmarks.engine import new_jobs
from benchmarks.figures import Figure, figures_of
from benchmarks.one_case import Parser, finish
from benchmarks.places import place
from benchmarks.servers import CePlan, Grid, grid
from benchmarks.standing import DATABASE, PREFECT, Standing, tables_environment, tower, write_configuration
from benchmarks.tables import state_tables

POLL_S, RUN_S, INFO_S = 3, (5.0, 6.0), 1.0
PATIENCE_S, LOOK_S, MINUTE = 300.0, 0.2, 60.0
FULL_SIZE = (10, 200)  # CEs, jobs each: the size of which a time is wanted


@dataclass(slots=True)
class Came:
    """Seconds from each insertion until the outputs of all its jobs are home, and until all are cleaned.

    `used`: CPU seconds of each process meanwhile, summed.
    """

    home: list[float] = field(default_factory=list)
    cleaned: list[float] = field(default_factory=list)
    used: dict[str, float] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)


def configuration(ces: Grid, pki: TestPki) -> dict[str, Any]:
    sites = {name: {"endpoint": f"{at.url}/arex", "poll": f"{POLL_S} s"} for name, at in ces.ces.items()}
    return {
        "sites": sites,
        "jobs": {"queueoffset": 1_000_000},  # the queue limit is not measured
        "voms": {"proxypath": str(pki.proxy("bench", timedelta(hours=96))), "cacertdir": str(pki.ca_dir)},
        "disk": {"fetchjobs": 0, "downloads": 0},
    }


def _counts(session: Session) -> tuple[int, int]:
    """Attempts whose outputs are home, and those of which the CE has nothing any more."""
    home = select(func.count()).where(CeJob.state == CeState.DONE.value)
    return session.scalar(home) or 0, session.scalar(home.where(CeJob.ce_clean_at.is_not(None))) or 0


def insert(up: Standing, ces: list[str], each: int, came: Came) -> None:
    """Jobs for each CE, awaited until all of them are cleaned."""
    before = up.db.read(_counts)
    jobs = [job for name in ces for job in new_jobs(each, frozenset({name}), tag=name)]
    began = time.monotonic()
    up.db.write(add_jobs, up.db.read(tower_id), jobs, up.db.clock())
    home = False
    while (passed := time.monotonic() - began) < PATIENCE_S:
        done, cleaned = (now - then for now, then in zip(up.db.read(_counts), before, strict=True))
        if done >= len(jobs) and not home:
            came.home.append(passed)
            home = True
        if cleaned >= len(jobs):
            came.cleaned.append(passed)
            return
        time.sleep(LOOK_S)
    came.said.append(f"only {cleaned} of {len(jobs)} jobs were through after {PATIENCE_S:.0f} s")


def spread(insertions: int) -> list[float]:
    """Seconds of the minute."""
    return [MINUTE * n / insertions for n in range(insertions)]


def insert_all(up: Standing, ces: list[str], each: int, insertions: int) -> Came:
    """One after the other, each at a second of the minute of its own: next is always the one that comes next."""
    came, left = Came(), spread(insertions)
    while left and not came.said:
        now = time.time() % MINUTE
        chosen = min(left, key=lambda second: (second - now) % MINUTE)
        left.remove(chosen)
        time.sleep((chosen - now) % MINUTE)
        before = up.cpu_s()
        insert(up, ces, each, came)
        for name, cpu in up.cpu_s().items():
            came.used[name] = came.used.get(name, 0.0) + cpu - before.get(name, 0.0)
    return came


def figures(case: str, came: Came, up: Standing, insertions: int) -> list[Figure]:
    memory = up.memory()
    rows: list[tuple[str, float, str]] = []
    for what, seconds in (("all are cleaned", came.cleaned), ("all outputs are home", came.home)):
        if seconds:
            rows.append((f"until {what}, median", statistics.median(seconds), "s"))
            rows.append((f"until {what}, worst", max(seconds), "s"))
    rows += [(f"CPU of {name}, an insertion", cpu / insertions, "s") for name, cpu in came.used.items()]
    rows += [(f"memory of {name}", size / 1e6, "MB") for name, size in memory.items()]
    ours = sum(size for name, size in memory.items() if name not in (PREFECT, DATABASE))
    rows += [("memory of the tower without Prefect's server", ours / 1e6, "MB"), ("processes", up.number(), "")]
    wanted = {"memory of the tower without Prefect's server": 600.0}
    if case.startswith("{} CEs with {} jobs".format(*FULL_SIZE)):
        wanted |= {"until all are cleaned, median": 31.0, "until all are cleaned, worst": 31.0}
    return figures_of("tower", case, rows, wanted)


def measured(root: Path, db: Db, names: list[str], each: int, insertions: int) -> tuple[list[Figure], list[str]]:
    pki, pace = TestPki(root / "pki"), Pace(slots=100_000, run_s=RUN_S, step_s=0.01, info_period=INFO_S)
    case = f"{len(names)} CEs with {each} jobs each, {insertions} insertions"
    jobs = len(names) * each * insertions
    with grid(CePlan(pki.root, tuple(names), pace, root / "witness"), root / "ces.json") as ces:
        app = {"modules": {"app": ["manual"]}}
        environment = write_configuration(root, configuration(ces, pki), app) | tables_environment(db)
        with tower(root, environment) as up:
            came = insert_all(up, names, each, insertions)
            found = figures(case, came, up, insertions)
        ran = count(root / "witness")
    if not came.said and (len(ran) != jobs or set(ran.values()) != {1}):
        came.said.append(f"{len(ran)} jobs ran, {sum(n > 1 for n in ran.values())} of them twice, instead of {jobs}")
    return found, came.said


def main() -> int:
    parser = Parser(__doc__)
    parser.database()
    parser.add_argument("--ces", type=parser.number, default=10, metavar="N")
    parser.add_argument("--jobs", type=parser.number, default=200, metavar="N", help="of each CE")
    parser.add_argument("--insertions", type=parser.number, default=5, metavar="N")
    asked = parser.parse_args()
    with place("act-tower-") as root, state_tables(asked.database) as db:
        names = [f"ce{n:02}" for n in range(asked.ces)]
        found, said = measured(root, db, names, asked.jobs, asked.insertions)
    return finish(found, said, asked.json)


if __name__ == "__main__":
    sys.exit(main())
