"""What the clock costs while it ticks: Prefect at 100 CEs and 200 PanDA queues, scaled to an hour and a day.

`python -m benchmarks.clock --minutes 1 --ces 10 --queues 20 --jobs 5`. A tower with the application `atlas` is up; jobs
run on every CE and none ends, PanDA has none to give: so every stage has its CEs or queues to look after, and all that
is used is the clock's and the looking's. What a few minutes took is multiplied; CPU time and database grow evenly.
"""

import asyncio
import sqlite3
import sys
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

from act_core.db.bootstrap import bootstrap
from act_core.db.session import Database
from act_core.settings import load_settings
from act_core.settings.model import Db
from act_core.simulators.cric import CricOptions, serve_cric
from act_core.simulators.cric_queues import CeDescription, QueueDescription
from act_core.simulators.pki import TestPki, server_context
from act_core.simulators.serve import Running, run_forever
from benchmarks.atlas_rates import serve as serve_panda
from benchmarks.figures import Figure, figures_of
from benchmarks.one_case import Parser, finish
from benchmarks.places import place
from benchmarks.servers import CePlan, Grid, grid, in_a_process
from benchmarks.standing import PREFECT, Standing, tables_environment, tower, write_configuration
from benchmarks.sweep import RUNNING, enter
from benchmarks.tables import state_tables

SETTLE_S, HOUR, DAY = 60.0, 3600, 86_400  # the first minute has work that no other has
WANTED = {f"CPU of {PREFECT}": 600.0, "growth of Prefect's database": 1000.0}


def serve_feed(pki: Path, ends: dict[str, str], queues: int, ready: Path) -> None:
    """CRIC with so many queues, one to three CEs each. `ends`: endpoints by name."""
    made, names = TestPki(pki), list(ends)
    described = tuple(
        QueueDescription(
            name=f"BENCH_{n:03}",
            ces=tuple(
                CeDescription(name=name, endpoint=ends[name])
                for name in sorted({names[(n * 7 + k) % len(names)] for k in range(1 + n % 3)})
            ),
        )
        for n in range(queues)
    )
    options = CricOptions(queues=described, tls=server_context(made.host, made.ca_dir))
    asyncio.run(run_forever(lambda: serve_cric(options), ready))


def configuration(ces: Grid, pki: TestPki, panda: Running, cric: Running) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of both files."""
    arc = {
        "sites": {name: {"endpoint": f"{at.url}/arex"} for name, at in ces.ces.items()},
        "voms": {"proxypath": str(pki.proxy("bench", timedelta(hours=96))), "cacertdir": str(pki.ca_dir)},
        "disk": {"fetchjobs": 0, "downloads": 0},
    }
    app = {
        "modules": {"app": ["atlas", "manual"]},
        "panda": {"server": panda.url},
        "cric": {"server": f"{cric.url}/api/atlas/pandaqueue/query/?json"},
    }
    return arc, app


def database_bytes(up: Standing) -> int:
    """Of Prefect's SQLite: pages in use, those of its write-ahead log among them."""
    file = up.settings.state_dir / "prefect" / "prefect.db"
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30)) as held:
        pages, free, size = (
            held.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
    return int((pages - free) * size)


def watch(up: Standing, seconds: float, case: str) -> list[Figure]:
    """Let it tick, then multiply."""
    time.sleep(SETTLE_S)
    before, held, began = up.cpu_s(), database_bytes(up), time.monotonic()
    time.sleep(seconds)
    passed = time.monotonic() - began
    used, grown, memory = up.cpu_s(), database_bytes(up) - held, up.memory()
    rows = [(f"CPU of {name}", (cpu - before.get(name, 0.0)) * HOUR / passed, "s/h") for name, cpu in used.items()]
    rows.append(("growth of Prefect's database", grown * DAY / passed / 1e6, "MB/day"))
    rows += [(f"memory of {name}", size / 1e6, "MB") for name, size in memory.items()]
    rows.append(("measured for", passed, "s"))
    return figures_of("clock", case, rows, WANTED)


def measured(root: Path, db: Db, names: tuple[str, ...], queues: int, jobs: int, seconds: float) -> list[Figure]:
    pki = TestPki(root / "pki")
    case = f"{len(names)} CEs with {jobs} jobs each, {queues} queues"
    with (
        grid(CePlan(pki.root, names, RUNNING), root / "ces.json") as ces,
        in_a_process(serve_panda, pki.root, ready=root / "panda.json") as panda,
        in_a_process(
            serve_feed,
            pki.root,
            {name: f"{at.url}/arex" for name, at in ces.ces.items()},
            queues,
            ready=root / "cric.json",
        ) as cric,
    ):
        environment = write_configuration(root, *configuration(ces, pki, panda, cric)) | tables_environment(db)
        with closing(Database(load_settings(env=environment).settings)) as made:
            bootstrap(made, made.clock())
            enter(made, ces, pki.user("bench").dn, jobs * len(names))
        with tower(root, environment) as up:
            return watch(up, seconds, case)


def main() -> int:
    parser = Parser(__doc__)
    parser.database()
    parser.add_argument("--ces", type=parser.number, default=100, metavar="N")
    parser.add_argument("--queues", type=parser.number, default=200, metavar="N")
    parser.add_argument("--jobs", type=parser.number, default=50, metavar="N", help="that run on each CE")
    parser.add_argument("--minutes", type=parser.number, default=3, metavar="N", help="after the first one")
    asked = parser.parse_args()
    names = tuple(f"ce{n:03}" for n in range(asked.ces))
    with place("act-clock-") as root, state_tables(asked.database) as db:
        found = measured(root, db, names, asked.queues, asked.jobs, 60.0 * asked.minutes)
    return finish(found, (), asked.json)


if __name__ == "__main__":
    sys.exit(main())
