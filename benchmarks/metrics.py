"""What it costs to ask for the metrics: the whole way over HTTP, from the tables.

`python -m benchmarks.metrics --json` asks over the tables that the configuration names, which it only reads. With
`--database sqlite`, or mysql://user:password@host:port, it makes tables of its own, in which `--ces` CEs have jobs of
`--queues` queues each in all states, and `--late` reports are overdue. Each answer is read anew. Milliseconds;
`cpu_ms` is of this process, which asks, too, and does not grow with the load of the machine.
"""

import argparse
import gzip
import json
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert, update
from sqlalchemy.orm import Session

from act_core import meters
from act_core.db.bootstrap import bootstrap
from act_core.db.models import Ce, JobCount, Tower
from act_core.db.panda_models import PandaCount, PandaRow
from act_core.db.session import Database
from act_core.monitor.metrics import FRESH_S, StateMetrics
from act_core.monitor.metrics_page import PATH, MetricsPage
from act_core.settings import load_settings
from act_core.settings.app_model import AppSettings, Modules
from act_core.settings.model import ArcSettings, Settings
from act_core.states import CeState, PandaState
from benchmarks.idle_pass import CHUNK
from benchmarks.tables import state_tables

VERBS = ("cancel", "submit", "poll", "fetch", "clean", "reconcile")
CALLS = 12  # kinds of calls to a CE


def fill_tables(session: Session, ces: int, queues: int, late: int, now: datetime) -> None:
    session.execute(update(Tower).values(counted_at=now))
    names = [f"ce{n:03}" for n in range(ces)]
    known = {"kind": "local", "maxjobs": 1000, "modified": now, "last_seen": now, "next_poll_at": now}
    session.execute(insert(Ce), [known | {"name": name, "endpoint": f"https://{name}/arex"} for name in names])
    counts = [
        {"app": "atlas", "ce": name, "share": f"QUEUE{q:03}", "state": state.value, "n": 9, "cores": 9, "oldest": now}
        for name in names
        for q in range(queues)
        for state in CeState
    ]
    panda = [
        {"server": "panda", "queue": f"QUEUE{q:03}", "state": state.value, "told": "running", "n": 9, "cores": 9}
        | {"oldest": now}
        for q in range(ces)
        for state in PandaState
    ]
    times = {"state_since": now, "created": now, "modified": now, "heartbeat_due_at": now - timedelta(minutes=1)}
    job = {
        "server": "panda",
        "attempt_nr": 1,
        "queue": "Q",
        "label": "managed",
        "state": "running",
        "job": "{}",
    } | times
    rows = [job | {"panda_id": n} for n in range(late)]
    for table, every in ((JobCount, counts), (PandaCount, panda), (PandaRow, rows)):
        for start in range(0, len(every), CHUNK):
            session.execute(insert(table), every[start : start + CHUNK])


def work(ces: int) -> None:
    """What a worker has measured that was at each CE."""
    for n in range(ces):
        for verb in VERBS:
            with meters.in_round("submit", verb, f"ce{n:03}"):
                pass
        for call in range(CALLS):
            with meters.ce_call(f"ce{n:03}", f"POST {call}"):
                pass


@contextmanager
def tables(asked: argparse.Namespace) -> Iterator[Settings]:
    """The configuration's, or some of our own."""
    if asked.database is None:
        yield load_settings().settings
        return
    with tempfile.TemporaryDirectory(prefix="act-metrics-") as directory, state_tables(asked.database) as db:
        app = AppSettings(modules=Modules(app=("atlas",)))
        settings = Settings(state_dir=Path(directory), arc=ArcSettings(db=db), app=app)
        with closing(Database(settings)) as made:
            now = made.clock()
            bootstrap(made, now)
            made.write(fill_tables, asked.ces, asked.queues, asked.late, now)
        yield settings


def measure(settings: Settings, passes: int) -> dict[str, Any]:
    """Each pass waits until nobody's last answer is fresh any more, by a clock that is set forward."""
    ahead = [0.0]
    page = MetricsPage("127.0.0.1", 0, StateMetrics(settings, lambda: time.monotonic() + ahead[0]))
    asked = urllib.request.Request(f"http://127.0.0.1:{page.port}{PATH}", headers={"Accept-Encoding": "gzip"})
    times, text, cpu = [], b"", 0.0
    try:
        for _ in range(passes + 1):
            ahead[0] += FRESH_S
            began, spent = time.perf_counter(), time.process_time()
            with urllib.request.urlopen(asked, timeout=60) as answer:  # noqa: S310 - our own page
                text = answer.read()
            times.append(1000 * (time.perf_counter() - began))
            cpu += 1000 * (time.process_time() - spent) / (passes + 1)
    finally:
        page.close()
    sent, text = len(text), gzip.decompress(text)
    first, rest = times[0], sorted(times[1:])
    found: dict[str, Any] = {
        "first_ms": first,
        "median_ms": statistics.median(rest),
        "longest_ms": rest[-1],
        "cpu_ms": cpu,
    }
    lines = [line for line in text.decode().splitlines() if not line.startswith("#")]
    up = "act_database_up 1.0" in lines
    read = next((line.split()[1] for line in lines if line.startswith("act_database_read_seconds")), "nan")
    found = {name: round(value, 1) for name, value in found.items()} | {"read_ms": round(1000 * float(read), 1)}
    return found | {"lines": len(lines), "kilobytes": len(text) // 1024, "sent_kb": sent // 1024, "database_up": up}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", help="sqlite, or mysql://user:password@host:port; default: the configuration's")
    parser.add_argument("--ces", type=int, default=100)
    parser.add_argument("--queues", type=int, default=4, help="that have jobs at each CE")
    parser.add_argument("--late", type=int, default=0, help="reports that are overdue")
    parser.add_argument("--passes", type=int, default=100)
    parser.add_argument("--json", action="store_true", help="for programs")
    asked = parser.parse_args()
    with tables(asked) as settings:
        work(asked.ces)
        found = measure(settings, asked.passes)
    sys.stdout.write(f"{json.dumps(found)}\n" if asked.json else "".join(f"{k:14} {v}\n" for k, v in found.items()))
    return 0 if found["database_up"] else 1


if __name__ == "__main__":
    sys.exit(main())
