"""What operators wait for, over a tower's life of some weeks: views, pages, the API, metrics, `act report`, counting.

`python -m benchmarks.pages --database mysql://root@127.0.0.1:3306` makes a database, fills it (`--live`, `--archived`),
measures and drops it; `--configured` measures the one of the configuration, and fills it first if it has no jobs.
Milliseconds: the first call, then the least, the median and the worst of `--calls`. Exit 1 if a median is above
its limit.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from rich.console import Console
from sqlalchemy import select
from sqlalchemy.orm import Session

from act_core.atlas import counts
from act_core.cli import report
from act_core.db.models import CeJob, CeJobArchive
from act_core.db.session import Database
from act_core.engine.count import bring_up_to_date
from act_core.monitor import past
from act_core.monitor.metrics import FRESH_S, StateMetrics
from act_core.monitor.metrics_page import PATH, MetricsPage
from act_core.monitor.views.ces import ce, ces
from act_core.monitor.views.job import job
from act_core.monitor.views.jobs import Wanted, jobs
from act_core.monitor.views.json import as_json
from act_core.monitor.views.overview import overview
from act_core.monitor.views.queues import queue, queues
from act_core.monitor.views.search import search
from act_core.settings import Settings, load_settings
from act_core.settings.model import ArcSettings
from act_core.states import CeState
from benchmarks.costs import Call, Cost, cost, told
from benchmarks.fill import asked_plan, fill_tables, filled, plan_of
from benchmarks.page_requests import requests
from benchmarks.tables import state_tables

LIMIT_MS, METRICS_MS, COUNT_MS, PROCESS_MS = 300.0, 200.0, 500.0, 1000.0
AGO = timedelta(hours=2)
FILE = "aCTConfigARC.yaml"


@dataclass(frozen=True, slots=True)
class Example:
    """Jobs and names to ask for."""

    ce: str
    share: str
    live: CeJob
    old: CeJobArchive


def example(session: Session) -> Example:
    """The newest running job, and the oldest of the archive."""
    live = session.scalars(select(CeJob).where(CeJob.state == CeState.RUNNING.value).limit(1)).first()
    old = session.scalars(select(CeJobArchive).where(CeJobArchive.ce.is_not(None)).limit(1)).first()
    if live is None or live.ce is None or old is None:
        raise SystemExit("no jobs to ask for: fill the tables first (benchmarks.fill)")
    return Example(live.ce, live.share, live, old)


def views(db: Database, held: Settings, now: datetime) -> Mapping[str, Call]:
    """What is measured, by name. A page is added here as one more call."""
    asked = db.read(example)
    states = (CeState.FAILED, CeState.DONEFAILED)
    pages = {
        "everything": Wanted(),
        "of a CE, running": Wanted(ces=(asked.ce,), states=(CeState.RUNNING,)),
        "of a queue": Wanted(share=asked.share),
        "failed, by a word of the error": Wanted(states=states, error="vmem 77"),
        "by words that are nowhere": Wanted(error="no such words"),
        "by rule": Wanted(rule="walltime"),
        "at rest, by rule": Wanted(rule="walltime", archived=True),
        "at rest, by words that are nowhere": Wanted(error="no such words", archived=True),
    }
    texts = {
        "a PandaID": asked.live.app_job_id.partition(".")[0],
        "a PandaID at rest": asked.old.app_job_id.partition(".")[0],
        "a submission key": asked.live.submission_key,
        "an address on a CE": f"https://ce/arex/rest/1.0/jobs/{asked.live.remote_id}",
        "an id on a CE, at rest": str(asked.old.remote_id),
        "a CE's name": asked.ce,
        "nothing that there is": "nothing-that-there-is",
    }
    return {
        "overview": lambda: db.read(overview, held, now),
        "overview, as JSON": lambda: as_json(db.read(overview, held, now)),
        "ces": lambda: db.read(ces, held, now),
        "ce": lambda: db.read(ce, held, asked.ce, now),
        "queues": lambda: db.read(queues, held, now),
        "queue": lambda: db.read(queue, held, asked.share, now),
        **{f"jobs: {name}": partial(db.read, jobs, wanted, now) for name, wanted in pages.items()},
        "job": lambda: db.read(job, held, asked.live.app_job_id, now),
        "job at rest": lambda: db.read(job, held, asked.old.app_job_id, now),
        **{f"search: {name}": partial(db.read, search, held, text) for name, text in texts.items()},
    }


def measured(held: Settings, calls: int, only: str = "") -> Iterator[Cost]:
    """Each view, each page, then what commands and Prometheus ask. Counts are fresh, as those of a tower that is up."""
    with closing(Database(held)) as db:
        now = db.clock()
        count: Call = partial(db.write, bring_up_to_date, now, (counts.count,), timedelta(0))
        count()
        asked = db.read(example)
        jobs = [(one.app, one.app_job_id) for one in (asked.live, asked.old)]
        with requests(held, asked.ce, asked.share, jobs) as pages, metrics(held) as scrape:
            told: list[tuple[str, Call, float]] = [
                *((f"view {what}", call, LIMIT_MS) for what, call in views(db, held, now).items()),
                *((what, call, LIMIT_MS) for what, call in pages.items()),
                ("/metrics, read anew", scrape, METRICS_MS),
                ("act report, its tables", partial(report.read, db, held), LIMIT_MS),
                ("act report, the whole process", partial(_command, held, "report"), PROCESS_MS),
                ("act status --at: counts two hours ago", partial(db.read, past.counts_at, now - AGO), LIMIT_MS),
                ("counting", count, COUNT_MS),
            ]
            for what, call, limit in told:
                if only in what:
                    yield cost(what, call, calls, limit)


@contextmanager
def metrics(held: Settings) -> Iterator[Call]:
    """Ask the port that Prometheus asks, each time when the last answer is no longer fresh."""
    ahead = [0.0]
    page = MetricsPage("127.0.0.1", 0, StateMetrics(held, lambda: time.monotonic() + ahead[0]))
    asked = urllib.request.Request(f"http://127.0.0.1:{page.port}{PATH}", headers={"Accept-Encoding": "gzip"})

    def scrape() -> bytes:
        ahead[0] += FRESH_S
        with urllib.request.urlopen(asked, timeout=60) as answer:  # noqa: S310 - our own page
            said: bytes = answer.read()
            return said

    try:
        yield scrape
    finally:
        page.close()


def _command(held: Settings, *words: str) -> None:
    """`act`, with the configuration that is measured."""
    file = held.state_dir / FILE
    place = {"ACT_STATE_DIR": str(held.state_dir)} | ({"ACTCONFIGARC": str(file)} if file.exists() else {})
    command = [sys.executable, "-m", "act_core.cli", *words]
    subprocess.run(command, env=os.environ | place, stdout=subprocess.DEVNULL, check=True)  # noqa: S603 - our own


@contextmanager
def tables(asked: argparse.Namespace) -> Iterator[Settings]:
    """Tables that are full."""
    if asked.configured:
        held = load_settings().settings
        if not filled(held):
            fill_tables(held, plan_of(asked))
        yield held
        return
    with tempfile.TemporaryDirectory(prefix="act-pages-") as directory, state_tables(asked.database) as db:
        held = Settings(state_dir=Path(directory), arc=ArcSettings(db=db))
        said = {"db": db.model_dump(mode="json", exclude_defaults=True) | {"password": db.password.get_secret_value()}}
        (Path(directory) / FILE).write_text(json.dumps(said))  # YAML, too; a directory of ours alone
        fill_tables(held, plan_of(asked))
        yield held


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", default="sqlite", help="sqlite, or mysql://user:password@host:port")
    parser.add_argument("--configured", action="store_true", help="measure the configured tables, filled if empty")
    parser.add_argument("--calls", type=int, default=20, help="of each view; default: 20")
    parser.add_argument("--only", default="", help="measure what has these words in its name")
    parser.add_argument("--json", action="store_true", help="for programs")
    asked_plan(parser)
    asked = parser.parse_args()
    with tables(asked) as held:
        costs = list(measured(held, asked.calls, asked.only))
    if asked.json:
        sys.stdout.write(f"{json.dumps([asdict(one) for one in costs])}\n")
    else:
        Console(width=160).print(told(costs))
    return 0 if all(one.good for one in costs) else 1


if __name__ == "__main__":
    sys.exit(main())
