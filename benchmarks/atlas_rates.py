"""What the ATLAS part costs: jobs taken and translated, heartbeats, final reports; against a simulated PanDA over TLS.

`python -m benchmarks.atlas_rates --jobs 2000 --database sqlite --json`. PanDA is a process of its own; its
books say at the end what it was told: exit 1 if a job is missing there. CPU and statements are the tower's alone.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from act_core.atlas.app import APP
from act_core.db.bootstrap import bootstrap
from act_core.db.models import CeJob
from act_core.db.panda_models import PandaRow
from act_core.db.session import Database
from act_core.runtime import Runtime
from act_core.settings.app_model import AppSettings
from act_core.settings.model import ArcSettings, Db, Settings, Site
from act_core.settings.policy import Voms
from act_core.simulators.cric_queues import CeDescription, QueueDescription, entry_of
from act_core.simulators.panda import PandaOptions, serve_panda
from act_core.simulators.panda_records import Patience
from act_core.simulators.pki import TestPki, server_context
from act_core.simulators.serve import run_forever
from act_core.stages import Tower, sweep
from act_core.states import PandaState
from benchmarks.servers import in_a_process
from benchmarks.tables import state_tables
from benchmarks.tally import Tally

QUEUE, CE = "BENCH", "ce"
CALL_S, PATIENCE_S = 120.0, 600.0


@dataclass(frozen=True, slots=True)
class Rate:
    """One kind of work over all jobs."""

    what: str
    jobs: int
    seconds: float
    per_s: float
    cpu_ms_per_job: float
    statements_per_job: float


def serve(pki: Path, ready: Path) -> None:
    """PanDA's process, until its parent ends it."""
    made = TestPki(pki)
    options = PandaOptions(Patience(adder=timedelta(0)), tls=server_context(made.host, made.ca_dir))
    asyncio.run(run_forever(lambda: serve_panda(options), ready))


def call(url: str, body: object = None) -> object:
    """PanDA's control port."""
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310 - our own server
    with urllib.request.urlopen(asked, timeout=CALL_S) as answer:  # noqa: S310 - our own server
        return json.load(answer)


def tower_settings(root: Path, db: Db, pki: TestPki, url: str, jobs: int) -> Settings:
    feed = root / "cric-feed.json"
    ce = CeDescription(name=CE, endpoint="localhost", flavour="LOCAL-CE")
    feed.write_text(json.dumps({QUEUE: entry_of(QueueDescription(name=QUEUE, ces=(ce,)))}))
    app = AppSettings.model_validate(
        {
            "modules": {"app": ["atlas"]},
            "panda": {"server": url, "minjobs": jobs, "getjobs": 1000, "fetchpause": "0"},
            "cric": {"server": str(feed)},
        }
    )
    voms = Voms(proxypath=pki.proxy("bench", timedelta(hours=96)), cacertdir=pki.ca_dir)
    return Settings(
        state_dir=root / "state", app=app, arc=ArcSettings(db=db, sites={CE: Site(kind="local")}, voms=voms)
    )


class Bench:
    """A tower, and passes of its stages that are measured."""

    def __init__(self, tower: Tower, tally: Tally, jobs: int) -> None:
        self.tower, self.jobs, self._tally = tower, jobs, tally

    async def rate(self, what: str, over: Callable[[], Awaitable[bool]], *stages: str) -> Rate:
        """Pass after pass until all jobs have been through. Raises RuntimeError if they never are."""
        statements, began, cpu = self._tally.statements, time.perf_counter(), time.process_time()
        while not await over():
            if time.perf_counter() - began > PATIENCE_S:
                raise RuntimeError(f"{what}: not over after {PATIENCE_S:.0f} s")
            for stage in stages:
                await sweep(self.tower, stage)
        seconds, used = time.perf_counter() - began, time.process_time() - cpu
        each = (self._tally.statements - statements) / self.jobs
        per_s = round(self.jobs / seconds, 1)
        return Rate(what, self.jobs, round(seconds, 3), per_s, round(1000 * used / self.jobs, 3), round(each, 3))

    async def count(self, *where: object) -> int:
        question = select(func.count()).select_from(PandaRow).where(*where)  # type: ignore[arg-type]
        return await self.tower.rt.read(lambda session: session.execute(question).scalar_one())

    async def none(self, *where: object) -> bool:
        return await self.count(*where) == 0


async def measured(settings: Settings, db: Database, jobs: int) -> list[Rate]:
    async with Tower(Runtime.open(settings, db), apps=(APP,)) as tower:
        bench, rt = Bench(tower, Tally(db), jobs), tower.rt
        await sweep(tower, "refresh-queues")
        bound = PandaRow.state == PandaState.STARTING.value

        async def all_bound() -> bool:
            return await bench.count(bound) == jobs

        async def nothing_due() -> bool:
            return await bench.none(PandaRow.heartbeat_due_at <= rt.now())

        async def all_closed() -> bool:
            return await bench.none(PandaRow.state != PandaState.CLOSED.value)

        rates = [await bench.rate("taken and translated", all_bound, "fetch-jobs", "translate")]
        await rt.write(_all_due, rt.now())
        rates.append(await bench.rate("heartbeats", nothing_due, "heartbeat"))
        await rt.write(_all_ended)
        rates.append(await bench.rate("final reports", all_closed, "sweep-status", "heartbeat"))
        return rates


def _all_due(session: Session, now: datetime) -> None:
    session.execute(update(PandaRow).values(heartbeat_due_at=now, version=PandaRow.version + 1))


def _all_ended(session: Session) -> None:
    """As if every CE job had failed without a word of its pilot."""
    values = {"state": "donefailed", "news": True, "error": "it broke", "version": CeJob.version + 1}
    session.execute(update(CeJob).values(**values))


def complaints(control: str, jobs: int) -> list[str]:
    """What is wrong, by PanDA's books."""
    told = call(f"{control}/books/summary")
    failed = told.get("jobs") if isinstance(told, dict) else None
    found = call(f"{control}/books?status=failed&limit=1000000")
    ended = len(found["jobs"]) if isinstance(found, dict) else 0
    return [] if ended == jobs else [f"PanDA has {failed} jobs, {ended} of {jobs} are reported as failed"]


def main() -> int:
    parser = argparse.ArgumentParser(description="What the ATLAS part costs.")
    parser.add_argument("--jobs", type=int, default=2000, metavar="N")
    parser.add_argument("--database", default="sqlite", help="sqlite, or mysql://user:password@host:port of a server")
    parser.add_argument("--json", action="store_true", help="for programs")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="act-bench-") as directory:
        root = Path(directory)
        pki = TestPki(root / "pki")
        with state_tables(wanted.database) as of, in_a_process(serve, pki.root, ready=root / "panda.json") as panda:
            call(f"{panda.control}/jobs", {"queue": QUEUE, "n": wanted.jobs})
            settings = tower_settings(root, of, pki, panda.url, wanted.jobs)
            db = Database(settings)
            try:
                bootstrap(db, datetime.now(UTC))
                rates = asyncio.run(measured(settings, db, wanted.jobs))
            finally:
                db.close()
            wrong = complaints(panda.control, wanted.jobs)
    _tell(rates, wanted.json)
    sys.stderr.writelines(f"{words}\n" for words in wrong)
    return 1 if wrong else 0


def _tell(rates: list[Rate], as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps([asdict(rate) for rate in rates]) + "\n")
        return
    table = Table(title="the ATLAS part")
    for name in asdict(rates[0]):
        table.add_column(name.replace("_", " "), justify="left" if name == "what" else "right")
    for rate in rates:
        table.add_row(*map(str, asdict(rate).values()))
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
