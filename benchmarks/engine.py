"""What a job's whole life costs the engine: submitted, polled four times, listed, its three files fetched, cleaned.

`python -m benchmarks.engine --jobs 500 --database sqlite --two-phase on`. The stages run as in `act sweep`, each
until it has nothing left, against one simulated ARC CE: a process of its own, over TLS. Its jobs move between our polls
and at no other time: they wait in the batch queue at the first, run at the second and third, and have ended at the
fourth. Exit 1: a job did not run exactly once, its files did not come home, or it was left on the CE.
"""

import argparse
import asyncio
import contextlib
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from act_core import garbage, manual
from act_core.db.arrivals import NewJob, add_jobs
from act_core.db.bootstrap import bootstrap
from act_core.db.models import CeJob
from act_core.db.session import Database
from act_core.jobspec import JobSpec, OutputFile
from act_core.runtime import Runtime
from act_core.settings.model import ArcSettings, Db, Jobs, Settings, Site
from act_core.settings.policy import Voms
from act_core.simulators.arc_pace import Pace
from act_core.simulators.pki import TestPki
from act_core.simulators.witness import count
from act_core.stages import Tower, sweep
from act_core.states import CeState
from benchmarks.figures import Figure, figures_of
from benchmarks.one_case import Parser, finish
from benchmarks.places import place
from benchmarks.processes import cpu_s, peak_memory
from benchmarks.servers import KB, CePlan, Grid, grid
from benchmarks.tables import rows_read, server_process, state_tables
from benchmarks.tally import Tally
from benchmarks.wire import Wire, counted
from benchmarks.workers import LOOP, Spent, Watched, watching

CE, FILES = "ce", 3
PATIENCE_S, PATIENCE_A_JOB_S = 60.0, 0.2  # of one stage; what is not over by then never will be
WAITING = Pace(slots=0, run_s=(0.0, 0.0), step_s=0.0, kill_s=0.0, info_period=0.0)
WANTED = {
    "CPU per job": 2.0,
    "statements per job": 1.0,
    "commits per job": 0.2,
}


def tower_settings(root: Path, db: Db, pki: TestPki, url: str, two_phase: bool) -> Settings:
    arc = ArcSettings(
        db=db,
        sites={CE: Site(endpoint=f"{url}/arex", two_phase=two_phase)},
        jobs=Jobs(checkinterval="0", checkmintime="0", queueoffset=1_000_000),  # the queue limit is not measured
        voms=Voms(proxypath=pki.proxy("bench", timedelta(hours=96)), cacertdir=pki.ca_dir),
    )
    return Settings(state_dir=root / "state", arc=arc)


def new_jobs(number: int, ces: frozenset[str], tag: str = "") -> list[NewJob]:
    """Jobs of the application `manual` that leave three files of 1 kB; their names are like no others."""
    outputs = tuple(OutputFile(name=f"out{n}") for n in range(FILES))
    streams: dict[str, Any] = {"stdout": None, "stderr": None}
    stamp = time.time_ns()
    return [
        NewJob(
            manual.NAME,
            name,
            JobSpec(name=name, executable="/bin/true", outputs=outputs, **streams),
            ces,
            attempts_left=0,
        )
        for name in (f"{tag}b{stamp}n{n:06d}" for n in range(number))
    ]


def _of(session: Session, *where: Any) -> int:
    return session.execute(select(func.count()).select_from(CeJob).where(*where)).scalar_one()


@dataclass
class Life:
    """Drives the stages, and keeps what each part of a life cost. `watch`: other connections than the tower's."""

    tower: Tower
    watch: Database
    ce: Grid
    jobs: list[NewJob]
    spent: dict[str, tuple[float, float]] = field(default_factory=dict)  # part → CPU and wall seconds
    by: Spent = field(default_factory=Spent)
    said: list[str] = field(default_factory=list)

    async def run(self) -> None:
        n = len(self.jobs)
        with self._spends("insertion"):
            await self.tower.rt.write(add_jobs, self.tower.rt.tower, self.jobs, self.tower.rt.now())
        with self._spends("submission"):
            await self._until("submit", CeJob.state == CeState.SUBMITTED.value, CeJob.inputs_sent_at.is_not(None))
        self._await("QUEUING")
        await self._poll(CeState.SUBMITTED)
        self.ce.call(CE, "/pace", {"slots": n})
        self._await("RUNNING")
        await self._poll(CeState.RUNNING)
        await self._poll(CeState.RUNNING)
        with self._spends("reconciliation"):
            await sweep(self.tower, "reconcile-ces")
        self.ce.end_all()
        self._await("FINISHED")
        await self._poll(CeState.FINISHED)
        with self._spends("fetch"):
            await self._until("fetch-validate", CeJob.state == CeState.DONE.value)
        with self._spends("news"):
            while await self.tower.news():
                pass
        with self._spends("cleaning"):
            await self._until("clean", CeJob.ce_clean_at.is_not(None))

    @contextlib.contextmanager
    def _spends(self, part: str) -> Iterator[None]:
        cpu, began = time.process_time(), time.monotonic()
        with self.by.by(LOOP):
            yield
        before = self.spent.get(part, (0.0, 0.0))
        self.spent[part] = (before[0] + time.process_time() - cpu, before[1] + time.monotonic() - began)

    async def _poll(self, then: CeState) -> None:
        with self._spends("four polls"):
            await sweep(self.tower, "sweep-status")
        if (found := self.watch.read(_of, CeJob.state == then.value)) != len(self.jobs):
            self.said.append(f"{found} of {len(self.jobs)} jobs are {then.value} after the poll that should say so")

    def _await(self, state: str) -> None:
        self.ce.await_jobs(CE, len(self.jobs), state)

    async def _until(self, stage: str, *where: Any) -> None:
        """Passes of a stage until all jobs are so."""
        end = time.monotonic() + PATIENCE_S + PATIENCE_A_JOB_S * len(self.jobs)
        while time.monotonic() < end:
            if await sweep(self.tower, stage):
                continue
            if self.watch.read(_of, *where) == len(self.jobs):
                return
            await asyncio.sleep(0.02)
        self.said.append(f"{stage}: only {self.watch.read(_of, *where)} of {len(self.jobs)} jobs came through")


def measured(settings: Settings, ce: Grid, number: int) -> tuple[Life, dict[str, float]]:
    """The life as it went, and what it cost a job."""
    served = settings.arc.db.type == "mysql"
    server = server_process(settings.arc.db) if served else None
    spent = Spent()
    with watching(spent), closing(Watched(settings)) as db, closing(Database(settings)) as watch:
        db.spent = spent
        bootstrap(db, datetime.now(UTC))

        async def play() -> tuple[Life, Tally]:
            async with Runtime.open(settings, db) as rt:
                life, tally = (
                    Life(Tower(rt, apps=(manual.APP,)), watch, ce, new_jobs(number, frozenset({CE})), by=spent),
                    Tally(db),
                )
                await life.run()
                return life, tally

        theirs, read = cpu_s(server) if server else 0.0, rows_read(settings.arc.db) if served else 0
        life, tally = asyncio.run(play())
        found: dict[str, float] = {"statements per job": tally.statements, "commits per job": tally.commits}
        if server:
            found["CPU of the database per job"] = 1000 * (cpu_s(server) - theirs)
        if served:
            found["rows read per job"] = rows_read(settings.arc.db) - read
    return life, {what: value / number for what, value in found.items()}


def figures(case: str, life: Life, found: dict[str, float], wire: Wire | None) -> list[Figure]:
    """All of a case. SQLite works in our own process: what it uses is part of ours."""
    n = len(life.jobs)
    own = sum(cpu for cpu, _ in life.spent.values())
    seconds = sum(wall for _, wall in life.spent.values())
    database = found.get("CPU of the database per job")
    rows: list[tuple[str, float, str]] = [
        ("CPU per job", 1000 * own / n + (database or 0), "ms"),
        ("CPU of ours per job", 1000 * own / n, "ms"),
    ]
    if database is not None:
        rows.append(("CPU of the database per job", database, "ms"))
    rows += [(f"CPU of ours per job: {part}", 1000 * cpu / n, "ms") for part, (cpu, _) in life.spent.items()]
    rows += [(f"CPU of ours per job, by {who}", 1000 * cpu / n, "ms") for who, cpu in life.by.told().items()]
    rows += [("jobs per second", n / seconds, "1/s"), ("seconds", seconds, "s")]
    rows += [(what, found[what], "") for what in ("statements per job", "commits per job")]
    if "rows read per job" in found:
        rows.append(("rows read per job", found["rows read per job"], ""))
    rows.append(("HTTP requests per job", life.ce.requests() / n, ""))
    if wire:
        rows += [
            ("bytes sent per job", wire.sent.value / n, "B"),
            ("bytes received per job", wire.received.value / n, "B"),
        ]
    rows.append(("peak memory", peak_memory() / 1e6, "MB"))
    return figures_of("engine", case, rows, WANTED)


def complaints(root: Path, life: Life) -> list[str]:
    """What is wrong, by the word of the witness, the CE and the files that came home."""
    n, found = len(life.jobs), list(life.said)
    ran = Counter(count(root / "witness").values())
    if ran != {1: n}:
        found.append(f"not every job ran exactly once: {dict(ran)} (executions: jobs), {n} jobs")
    summary = life.ce.call(CE, "/jobs/summary")
    if summary["present"]:
        found.append(f"left on the CE: {summary['by_state']}")
    home = [path for path in (root / "state" / "results").rglob("out*") if path.stat().st_size == KB]
    if len(home) != FILES * n:
        found.append(f"{len(home)} outputs of 1 kB came home instead of {FILES * n}")
    return found


@contextlib.contextmanager
def address(url: str, wanted: bool) -> Iterator[tuple[str, Wire | None]]:
    """Where the tower finds the CE: behind a wire that counts, if that is wanted."""
    if not wanted:
        yield url, None
        return
    at = urlsplit(url)
    assert at.port is not None
    with counted(at.port) as wire:
        yield f"{at.scheme}://{at.hostname}:{wire.ports[0]}", wire


def main() -> int:
    parser = Parser(__doc__)
    parser.database()
    parser.add_argument("--jobs", type=parser.number, default=500, metavar="N")
    parser.add_argument("--two-phase", choices=("on", "off"), default="on")
    parser.add_argument("--wire", action=argparse.BooleanOptionalAction, help="count bytes, too; costs some speed")
    asked = parser.parse_args()
    phases = "two phases" if asked.two_phase == "on" else "one phase"
    case = f"{'SQLite' if asked.database == 'sqlite' else 'MariaDB'}, {phases}, {asked.jobs} jobs"
    with place("act-bench-") as root:
        pki = TestPki(root / "pki")
        plan = CePlan(pki.root, (CE,), WAITING, root / "witness", held=True)
        with (
            state_tables(asked.database) as db,
            grid(plan, root / "ces.json") as ce,
            address(ce.ces[CE].url, bool(asked.wire)) as (url, wire),
        ):
            garbage.calm()
            settings = tower_settings(root, db, pki, url, asked.two_phase == "on")
            life, found = measured(settings, ce, asked.jobs)
            said = complaints(root, life)
            return finish(figures(case, life, found, wire), said, asked.json)


if __name__ == "__main__":
    sys.exit(main())
