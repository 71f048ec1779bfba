"""What a status sweep costs a tower that is full: 100,000 living jobs on 100 CEs, a million at rest.

`python -m benchmarks.sweep --live 5000 --ces 10 --archived 10000 --database sqlite`. The jobs run on simulated ARC
CEs over TLS, entered on both sides without a submission. Two sweeps of all CEs that find nothing changed, one while a
few do not answer; then passes of each stage that find nothing due.
"""

import asyncio
import statistics
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import func, insert, select, text
from sqlalchemy.orm import Session

from act_core import manual
from act_core.cli.sweep import ORDER
from act_core.db.bootstrap import bootstrap
from act_core.db.bulk import chunks
from act_core.db.models import CeJob, CeJobArchive, Placement, PlacementCe
from act_core.db.session import Database
from act_core.errors import VERDICTS
from act_core.runtime import Runtime
from act_core.settings.model import ArcSettings, Db, Jobs, Settings, Site
from act_core.settings.policy import Voms
from act_core.simulators.arc_pace import Pace
from act_core.simulators.pki import TestPki
from act_core.stages import Tower, sweep
from act_core.states import CeState
from benchmarks.figures import Figure, figures_of
from benchmarks.one_case import Parser, finish
from benchmarks.places import place
from benchmarks.processes import cpu_s, peak_memory
from benchmarks.servers import CePlan, Grid, grid
from benchmarks.tables import server_process, state_tables
from benchmarks.wire import Wire, counted

LONG = 1e6  # seconds: nothing ends while it is looked at
RUNNING = Pace(slots=1_000_000, run_s=(LONG, LONG), step_s=0.0, info_period=0.0)
DEADLINE_S = 30  # of one call, so that a CE which hangs is given up within this measurement
PASSES, CHUNK, HANGING = 21, 5000, 0.05
SHARES = 20
WANTED = {
    "one sweep, the first": 60.0,
    "one sweep, warm": 60.0,
    "job rows written by it": 0.0,
} | {f"idle pass of {stage}, median": 10.0 for stage in ORDER}


@dataclass(frozen=True, slots=True)
class Full:
    """A tower that is full, and the CEs of its jobs."""

    root: Path
    db: Db
    pki: TestPki
    ces: Grid
    wire: Wire

    def settings(self, checkinterval: str) -> Settings:
        ends = dict(zip(self.ces.ces, self.wire.ports, strict=True))
        site = {"deadline": f"{DEADLINE_S} s", "patience": "1 d"}
        arc = ArcSettings(
            db=self.db,
            sites={name: Site(endpoint=f"https://127.0.0.1:{port}/arex", **site) for name, port in ends.items()},
            jobs=Jobs(checkinterval=checkinterval, checkmintime=checkinterval),
            voms=Voms(proxypath=self.pki.proxy("bench", timedelta(hours=96)), cacertdir=self.pki.ca_dir),
        )
        return Settings(state_dir=self.root / "state", arc=arc)


def row(n: int, ce: str, place: int, remote: str, now: datetime) -> dict[str, Any]:
    """A job that runs there, as the last poll left it."""
    return {
        "app": manual.NAME,
        "app_job_id": f"bench{n}",
        "attempt": 1,
        "attempts_left": 0,
        "submission_key": f"act-bench000-{n:026d}",
        "placement_id": place,
        "ce": ce,
        "remote_id": remote,
        "state": CeState.RUNNING.value,
        "native_state": "RUNNING",
        "native_since": now,
        "state_since": now,
        "inputs_sent_at": now,
        "share": f"share{n % SHARES}",
        "description_id": 1,
        "created": now,
        "modified": now,
    }


def enter(db: Database, ces: Grid, owner: str, live: int) -> None:
    """The same jobs on the CEs and in the tables."""
    now, numbers = db.clock(), count(1)
    each = live // len(ces.ces)
    for number, name in enumerate(ces.ces, 1):
        ids = ces.call(name, "/submit", {"owner": owner, "count": each})["ids"]
        db.write(_enter, name, number, [row(next(numbers), name, number, remote, now) for remote in ids])
    for name in ces.ces:
        ces.await_jobs(name, each, "RUNNING")


def _enter(session: Session, name: str, place: int, rows: list[dict[str, Any]]) -> None:
    session.execute(insert(Placement), [{"id": place, "digest": name}])
    session.execute(insert(PlacementCe), [{"placement_id": place, "ce": name}])
    for some in chunks(rows, CHUNK):
        session.execute(insert(CeJob), some)


def fill_archive(db: Database, wanted: int) -> int:
    """Rows at rest out of the living ones, doubled by the database until there are so many; returns how many."""
    columns = [column.name for column in CeJobArchive.__table__.columns]
    sqlite = db.engine.dialect.name == "sqlite"
    key = "printf('act-bench001-%026d', {0})" if sqlite else "concat('act-bench001-', lpad({0}, 26, '0'))"
    made = {"submission_key": key, "app_job_id": "{0}", "remote_id": "{0}", "state": "'done'", "id": "{0}"}

    def copied(table: str, beyond: int, limit: int) -> str:
        chosen = ", ".join(made.get(name, name).format(f"id + {beyond}") for name in columns)
        source = f"SELECT {chosen} FROM {table} ORDER BY id LIMIT {limit}"  # noqa: S608 - our names
        return f"INSERT INTO ce_jobs_archive ({', '.join(columns)}) {source}"

    n, table = 0, "ce_jobs"
    while n < wanted:
        with db.engine.begin() as connection:
            connection.execute(text(copied(table, n, wanted - n)))
        n, table = db.read(_archived), "ce_jobs_archive"
    tables = "" if sqlite else " TABLE ce_jobs, ce_jobs_archive"
    with db.engine.begin() as connection:
        connection.execute(text(f"ANALYZE{tables}"))
    return n


def _archived(session: Session) -> int:
    return session.execute(select(func.count()).select_from(CeJobArchive)).scalar_one()


def _written(session: Session) -> int:
    """Grows by one with each writing of a job's row."""
    return int(session.execute(select(func.sum(CeJob.version))).scalar_one())


async def sweeps(full: Full, watch: Database, found: list[tuple[str, float, str]], said: list[str]) -> None:
    """The first one, with connections to make; a warm one; one while some CEs do not answer."""
    server = server_process(full.db) if full.db.type == "mysql" else None
    async with Runtime.open(full.settings("0")) as rt:
        tower, written = Tower(rt, apps=(manual.APP,)), watch.read(_written)
        for which in ("the first", "warm"):
            sent, got, cpu = full.wire.sent.value, full.wire.received.value, time.process_time()
            theirs, began = cpu_s(server) if server else 0.0, time.monotonic()
            counts = await sweep(tower, "sweep-status")
            found.append((f"one sweep, {which}", time.monotonic() - began, "s"))
            found.append((f"CPU of ours by one sweep, {which}", time.process_time() - cpu, "s"))
            if counts["errors"] or not counts["polled"]:
                said.append(f"one sweep, {which}: {dict(counts)}")
        found += [
            ("jobs polled by it", counts["polled"], ""),
            ("bytes sent by it", full.wire.sent.value - sent, "B"),
            ("bytes received by it", full.wire.received.value - got, "B"),
            ("job rows written by it", watch.read(_written) - written, ""),
        ]
        if server:
            found.append(("CPU of the database by it", cpu_s(server) - theirs, "s"))
        await _hanging(full, tower, found, said)


async def _hanging(full: Full, tower: Tower, found: list[tuple[str, float, str]], said: list[str]) -> None:
    names = list(full.ces.ces)
    hung = set(names[:: max(1, round(1 / HANGING))])
    for name in hung:
        await asyncio.to_thread(full.ces.call, name, "/faults", {"kind": "hang"})
    began, over = time.monotonic(), {}

    async def one(part: Any, key: str) -> None:
        try:
            await tower.round(part, key)
        except VERDICTS:
            over[key] = time.monotonic() - began, False
        else:
            over[key] = time.monotonic() - began, True

    await asyncio.gather(*[one(part, key) for part, key in await tower.due("sweep-status")])
    for name in hung:
        await asyncio.to_thread(full.ces.clear, name)
    well = [seconds for key, (seconds, good) in over.items() if good and key not in hung]
    if len(well) != len(names) - len(hung):
        said.append(f"{len(well)} of {len(names) - len(hung)} CEs that answer were polled")
    found += [
        (f"{len(hung)} CEs hang: the others are polled", max(well, default=0.0), "s"),
        (
            f"{len(hung)} CEs hang: they are given up (deadline {DEADLINE_S} s)",
            max((over[n][0] for n in hung & over.keys()), default=0.0),
            "s",
        ),
    ]


async def idle(full: Full, found: list[tuple[str, float, str]]) -> None:
    """Passes of each stage while nothing is due."""
    async with Runtime.open(full.settings("1 d")) as rt:
        tower = Tower(rt, apps=(manual.APP,))
        for stage in ORDER:
            await sweep(tower, stage)
        for stage in ORDER:
            took, cpu = [], time.process_time()
            for _ in range(PASSES):
                began = time.perf_counter()
                await sweep(tower, stage)
                took.append(1000 * (time.perf_counter() - began))
            found.append((f"idle pass of {stage}, median", statistics.median(took), "ms"))
            spent = 1000 * (time.process_time() - cpu) / PASSES
            found.append((f"idle pass of {stage}, CPU of ours", spent, "ms"))
            found.append((f"idle pass of {stage}, worst", max(took), "ms"))


def measured(full: Full, live: int, archived: int) -> tuple[list[tuple[str, float, str]], list[str]]:
    found: list[tuple[str, float, str]] = []
    said: list[str] = []
    with closing(Database(full.settings("0"))) as db:
        bootstrap(db, db.clock())
        enter(db, full.ces, full.pki.user("bench").dn, live)
        asyncio.run(sweeps(full, db, found, said))
        found.append(("attempts at rest", fill_archive(db, archived), ""))
        asyncio.run(idle(full, found))
    found.append(("peak memory", peak_memory() / 1e6, "MB"))
    return found, said


def figures(case: str, found: list[tuple[str, float, str]]) -> list[Figure]:
    return figures_of("sweep", case, found, WANTED)


def main() -> int:
    parser = Parser(__doc__)
    parser.database()
    parser.add_argument("--live", type=parser.number, default=100_000, metavar="N", help="jobs that run")
    parser.add_argument("--ces", type=parser.number, default=100, metavar="N")
    parser.add_argument("--archived", type=parser.number, default=1_000_000, metavar="N", help="attempts at rest")
    asked = parser.parse_args()
    names = tuple(f"ce{n:03}" for n in range(asked.ces))
    where = "SQLite" if asked.database == "sqlite" else "MariaDB"
    with place("act-sweep-") as root:
        pki = TestPki(root / "pki")
        with (
            state_tables(asked.database) as db,
            grid(CePlan(pki.root, names, RUNNING), root / "ces.json") as ces,
            counted(*ces.ports) as wire,
        ):
            found, said = measured(Full(root, db, pki, ces, wire), asked.live, asked.archived)
    return finish(figures(f"{where}, {asked.live} jobs on {asked.ces} CEs", found), said, asked.json)


if __name__ == "__main__":
    sys.exit(main())
