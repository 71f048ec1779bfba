"""What a job's whole life costs the engine: from its insertion until it is finished, fetched and cleaned.

`python -m benchmarks.sweep_life --jobs 500 --database sqlite --json`. The stages run as in `act sweep all`, against one
simulated ARC CE: a process of its own, over TLS, whose jobs run at once. Exit 1 if a job did not run exactly once, did
not come home, or was left on the CE.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table
from sqlalchemy import event, func, select

from act_core import manual
from act_core.cli.sweep import ORDER
from act_core.db import listing
from act_core.db.arrivals import NewJob, add_jobs
from act_core.db.bootstrap import bootstrap
from act_core.db.models import CeJob
from act_core.db.session import Database
from act_core.jobspec import InputFile, JobSpec, OutputFile
from act_core.runtime import Counts, Runtime
from act_core.settings.model import ArcSettings, Db, Jobs, Settings, Site
from act_core.settings.policy import Voms
from act_core.simulators.arc import ArcOptions, serve_arc
from act_core.simulators.arc_pace import Pace
from act_core.simulators.arc_payload import PayloadJob, PayloadResult
from act_core.simulators.pki import TestPki
from act_core.simulators.serve import Running, run_forever
from act_core.simulators.witness import count
from act_core.stages import Tower, sweep
from act_core.states import CeState
from benchmarks.servers import in_a_process
from benchmarks.tables import state_tables
from benchmarks.wire import Wire, counted

KB = 1000
FILES = 2
CALL_S = 60.0
PATIENCE_S, PATIENCE_A_JOB_S = 60.0, 1.0  # what is not over by then never will be
QUICK = Pace(slots=1000, run_s=(0.0, 0.0), step_s=0.0, kill_s=0.0, info_period=0.0)


@dataclass(frozen=True, slots=True)
class Result:
    """What was measured. CPU is that of this process, the tower's; the CE's is not in it."""

    database: str
    jobs: int
    seconds: float
    jobs_per_s: float
    statements_per_job: float
    commits_per_job: float
    cpu_ms_per_job: float
    requests_per_job: float
    kb_sent_per_job: float | None = None  # over the wire, TLS included; None: not measured
    kb_received_per_job: float | None = None


class Tally:
    """Statements and commits of an engine, from any thread."""

    def __init__(self, db: Database) -> None:
        self.statements = self.commits = 0
        self._lock = threading.Lock()
        event.listen(db.engine, "before_cursor_execute", self._statement)
        event.listen(db.engine, "commit", self._commit)

    def _statement(self, *_: object) -> None:
        with self._lock:
            self.statements += 1

    def _commit(self, _: object) -> None:
        with self._lock:
            self.commits += 1


# --- the CE -----------------------------------------------------------------------------------------------------------


async def kilobytes(job: PayloadJob) -> PayloadResult:
    """A payload that needs no time: every declared output, 1 kB each."""
    return PayloadResult(files={name: b"o" * KB for name in job.outputs}, wall_s=0.0)


def serve(pki: Path, witness: Path, ready: Path) -> None:
    """The CE's process, until its parent ends it."""
    options = ArcOptions(pki, name="ce", pace=QUICK, payload=kilobytes, witness=witness)
    asyncio.run(run_forever(lambda: serve_arc(options), ready))


def tower_settings(root: Path, db: Db, pki: TestPki, url: str) -> Settings:
    arc = ArcSettings(
        db=db,
        sites={"ce": Site(endpoint=f"{url}/arex", poll="1 s")},
        jobs=Jobs(checkinterval="1 s", checkmintime="0", queueoffset=1_000_000),  # the queue limit is not measured
        voms=Voms(proxypath=pki.proxy("bench", timedelta(hours=96)), cacertdir=pki.ca_dir),
    )
    return Settings(state_dir=root / "state", arc=arc)


# --- the measurement --------------------------------------------------------------------------------------------------


def new_jobs(number: int) -> list[NewJob]:
    inputs = tuple(InputFile(name=f"in{n}", content="i" * KB) for n in range(FILES))
    outputs = tuple(OutputFile(name=f"out{n}") for n in range(FILES))
    streams: dict[str, Any] = {"stdout": None, "stderr": None}
    return [
        NewJob(
            manual.NAME,
            name,
            JobSpec(name=name, executable="/bin/true", inputs=inputs, outputs=outputs, **streams),
            frozenset({"ce"}),
            attempts_left=0,
        )
        for name in (f"bench{n:06d}" for n in range(number))
    ]


async def whole_life(db: Database, settings: Settings, jobs: list[NewJob]) -> Result:
    """Insert, then pass after pass of every stage until nothing is left to do."""
    async with Runtime.open(settings, db) as rt:
        tower, tally = Tower(rt, apps=(manual.APP,)), Tally(db)
        began, cpu = time.monotonic(), time.process_time()
        end = began + PATIENCE_S + PATIENCE_A_JOB_S * len(jobs)
        await rt.write(add_jobs, rt.tower, jobs, rt.now())
        while await rt.read(listing.unsettled) and time.monotonic() < end:
            done = Counts()
            for stage in ORDER:
                done += await sweep(tower, stage)
            if not done:
                await asyncio.sleep(0.02)
        seconds, cpu_s = time.monotonic() - began, time.process_time() - cpu
    return Result(
        database=settings.arc.db.type,
        jobs=len(jobs),
        seconds=round(seconds, 3),
        jobs_per_s=round(len(jobs) / seconds, 2),
        statements_per_job=round(tally.statements / len(jobs), 2),
        commits_per_job=round(tally.commits / len(jobs), 2),
        cpu_ms_per_job=round(1000 * cpu_s / len(jobs), 2),
        requests_per_job=0.0,
    )


def measure(settings: Settings, number: int) -> tuple[Result, Mapping[str, int]]:
    """The result, and the states of the attempts that were cleaned."""
    db = Database(settings)
    try:
        bootstrap(db, datetime.now(UTC))
        result = asyncio.run(whole_life(db, settings, new_jobs(number)))
        cleaned = select(CeJob.state, func.count()).where(CeJob.ce_clean_at.is_not(None)).group_by(CeJob.state)
        return result, db.read(lambda session: {state: n for state, n in session.execute(cleaned)})
    finally:
        db.close()


def complaints(root: Path, ce: Running, number: int, ends: Mapping[str, int]) -> list[str]:
    """What is wrong, by the word of the witness, the CE and the files that came home."""
    found = []
    ran = Counter(count(root / "witness").values())
    if ran != {1: number}:
        found.append(f"not every job ran exactly once: {dict(ran)} (executions: jobs), {number} jobs")
    with urllib.request.urlopen(f"{ce.control}/jobs/summary", timeout=CALL_S) as answer:  # noqa: S310 - our own server
        summary = json.load(answer)
    if summary["present"]:
        found.append(f"left on the CE: {summary['by_state']}")
    if ends != {CeState.DONE.value: number}:
        found.append(f"not every job is done and cleaned: {dict(ends)}")
    home = [path for path in (root / "state" / "results").rglob("out*") if path.stat().st_size == KB]
    if len(home) != FILES * number:
        found.append(f"{len(home)} outputs of 1 kB came home instead of {FILES * number}")
    return found


def with_traffic(result: Result, ce: Running, wire: Wire | None) -> Result:
    """The result, and what the CE and the wire counted."""
    with urllib.request.urlopen(f"{ce.control}/stats", timeout=CALL_S) as answer:  # noqa: S310 - our own server
        requests = sum(n for answers in json.load(answer)["requests"].values() for n in answers.values())
    found = replace(result, requests_per_job=round(requests / result.jobs, 2))
    if wire is None:
        return found
    sent, received = (round(total.value / KB / result.jobs, 2) for total in (wire.sent, wire.received))
    return replace(found, kb_sent_per_job=sent, kb_received_per_job=received)


@contextlib.contextmanager
def address(ce: Running, wanted: bool) -> Iterator[tuple[str, Wire | None]]:
    """Where the tower finds the CE: behind a wire that counts, if that is wanted."""
    if not wanted:
        yield ce.url, None
        return
    at = urlsplit(ce.url)
    assert at.port is not None
    with counted(at.port) as wire:
        yield f"{at.scheme}://{at.hostname}:{wire.port}", wire


def tell(result: Result, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(asdict(result)) + "\n")
        return
    table = Table(title="one job's life, from insertion to cleaning")
    for name in asdict(result):
        table.add_column(name.replace("_", " "), justify="right")
    table.add_row(*map(str, asdict(result).values()))
    Console().print(table)


def main() -> int:
    parser = argparse.ArgumentParser(description="What a job's whole life costs the engine.")
    parser.add_argument("--jobs", type=int, default=500, metavar="N")
    parser.add_argument("--database", default="sqlite", help="sqlite, or mysql://user:password@host:port of a server")
    parser.add_argument("--wire", action="store_true", help="count bytes, too; costs some speed")
    parser.add_argument("--json", action="store_true", help="for programs")
    wanted = parser.parse_args()
    if wanted.jobs < 1 or not (wanted.database == "sqlite" or wanted.database.startswith("mysql://")):
        parser.error("--jobs takes a number from 1 on, --database `sqlite` or a URL mysql://…")
    with tempfile.TemporaryDirectory(prefix="act-bench-") as directory:
        root = Path(directory)
        pki = TestPki(root / "pki")
        with (
            state_tables(wanted.database) as db,
            in_a_process(serve, pki.root, root / "witness", ready=root / "ce.json") as ce,
            address(ce, wanted.wire) as (url, wire),
        ):
            result, ends = measure(tower_settings(root, db, pki, url), wanted.jobs)
            result = with_traffic(result, ce, wire)
            wrong = complaints(root, ce, wanted.jobs, ends)
    tell(result, wanted.json)
    for words in wrong:
        sys.stderr.write(f"{words}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
