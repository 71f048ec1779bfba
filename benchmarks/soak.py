"""Half an hour of 20 jobs/s, PanDA to PanDA in a tower that is up, with random faults (docs/soak.md).

`make soak` runs it, draws docs/pictures/soak.svg and renews the figures of docs/soak.md. The faults are a function of
`--seed`. By default the state tables lie on a MariaDB of its own, which is struck, too; where there is none, in SQLite.
Exit 1: a job was lost, ran twice, was left on its CE, or did not finish.
"""

import contextlib
import json
import math
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy import select

from act_core.db.panda_models import PandaQueue
from act_core.errors import ActError
from act_core.processes import standing
from act_core.simulators.scene import Scene
from benchmarks.day import Day, look, order_evenly, plan, with_shipped_settings
from benchmarks.figures import Figure, figures_of
from benchmarks.machine import described, described_server
from benchmarks.mariadb import NotThere, Server, own_server
from benchmarks.one_case import Parser, finish, where
from benchmarks.soak_figures import SCHEMA, rows
from benchmarks.soak_plan import Strike
from benchmarks.soak_plan import plan as faults_of
from benchmarks.soak_samples import Sample, Sampler
from benchmarks.soak_strikes import NOT_ENDED, Striker
from benchmarks.soak_verdict import nobodys, verdict
from benchmarks.standing import UP_S, NotUp, Standing, tables_environment, tower
from benchmarks.tables import server_of, state_tables

OWN = "own"
# Without any movement: longer than the claims of a dead worker's transfers hold (300 s) and a window; for a job to be
# nobody's; between looks.
PATIENCE_S, STILL_S, LOOK_S = 600.0, 15.0, 2.0
err = Console(stderr=True)


@contextlib.contextmanager
def database(asked: str, directory: Path) -> Iterator[tuple[str, Server | None]]:
    """What state tables are asked of, and the server if it is ours."""
    if asked != OWN:
        yield asked, None
        return
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(own_server(directory))
        except NotThere as why:
            err.print(f"SQLite holds the state tables, and is not struck: {why}", markup=False)
            server = None
        yield (server.url, server) if server else ("sqlite", None)


def await_queues(up: Standing, names: Collection[str]) -> None:
    """CRIC is asked when a tower begins, and every ten minutes: faults wait for the first answer. Raises NotUp."""
    end = time.monotonic() + UP_S
    while set(names) - set(up.db.read(lambda session: session.scalars(select(PandaQueue.name)).all())):
        if time.monotonic() > end:
            raise NotUp("the tower never heard of the queues")
        time.sleep(LOOK_S)


def await_end(scene: Scene, up: Standing, day: Day) -> None:
    """Until all jobs are over and gone from their CEs, nothing has moved for a long time, or the tower is down."""
    before, moved = (-1, -1, -1), time.monotonic()
    while standing(up.settings.state_dir) is not None and time.monotonic() - moved < PATIENCE_S:
        over, left = look(scene, day), sum(scene.left().values())
        try:
            gone = nobodys(scene, up)
        except ActError:
            gone = 0
        if (over, left, gone) != before:
            before, moved = (over, left, gone), time.monotonic()
        still = not gone or time.monotonic() - moved > STILL_S
        if over + gone >= day.ordered and not left and still:
            return
        time.sleep(LOOK_S)


class Bar:
    """What goes on, for people."""

    def __init__(self, progress: Progress, seconds: float, strikes: Sequence[Strike]) -> None:
        self._progress, self._strikes = progress, strikes
        self._bar = progress.add_task("", total=seconds)

    def __call__(self, one: Sample) -> None:
        now = [strike.name for strike in self._strikes if strike.at <= one.at <= strike.at + max(strike.lasts, 10)]
        words = f"{one.finished} of {one.ordered} finished{'; ' if now else ''}{', '.join(now)}"
        self._progress.update(self._bar, description=words, completed=one.at)


def progress() -> Progress:
    return Progress(BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}"), console=err)


def soaked(root: Path, url: str, server: Server | None, asked: Namespace, strikes: Sequence[Strike]) -> dict[str, Any]:
    """All that was seen, but for the machine."""
    day = Day()
    with contextlib.ExitStack() as stack:
        db = stack.enter_context(state_tables(url))
        scene = stack.enter_context(Scene(root, plan()))
        with_shipped_settings(scene)
        up = stack.enter_context(tower(root, scene.environment | tables_environment(db)))
        await_queues(up, [queue.name for queue in scene.plan.all_queues])
        with progress() as shown:
            began = datetime.now(UTC)
            bar = Bar(shown, asked.seconds, strikes)
            with (
                Striker(strikes, scene, up.settings.state_dir, server) as striker,
                Sampler(up, scene, day, bar) as looks,
            ):
                order_evenly(scene, day, asked.rate, asked.seconds, asked.run)
                await_end(scene, up, day)
        struck = [one.told() for _, one in sorted(striker.struck.items())]
        drained = (datetime.now(UTC) - began).total_seconds() - asked.seconds
        stands = standing(up.settings.state_dir) is not None
        found = verdict(scene, day.ordered, struck, began)
    said = [*found.said(), *([] if stands else ["the tower went down"])]
    said += [f"{one['name']}: {one['trouble']}" for one in struck if one["trouble"].startswith(NOT_ENDED)]
    held = {"verdict": asdict(found), "said": said, "drained_s": round(drained, 1), "lost_looks": looks.lost}
    return held | {"strikes": struck, "samples": looks.told()}


def figures(held: Mapping[str, Any]) -> list[Figure]:
    asked = held["options"]
    case = f"{asked['rate']:g} jobs/s for {asked['seconds']:g} s with faults, seed {asked['seed']}"
    found = [(f"jobs {what}", float(n), "") for what, n in held["verdict"].items()]
    found.append(("from the last order until all was over", held["drained_s"], "s"))
    for row in rows(held):
        parts = (("median", row.median), ("worst", row.worst), ("growth", row.growth))
        found += [(f"{row.what}, {which}", value, row.unit) for which, value in parts if value is not None]
    return figures_of("soak", case, found, {})


def own_or_where(text: str) -> str:
    return text if text == OWN else where(text)


def options() -> Namespace:
    parser = Parser(__doc__)
    parser.add_argument("--rate", type=float, default=20, help="jobs a second")
    parser.add_argument("--seconds", type=float, default=1800)
    parser.add_argument("--run", type=float, default=5, help="for how long each of them runs, s")
    parser.add_argument("--seed", type=int, default=1, help="of the faults")
    parser.add_argument("--plan", action="store_true", help="only print which faults that are")
    parser.add_argument("--file", type=Path, default=Path("soak.json"), help="where all that was seen is written")
    words = f"{OWN} (a MariaDB of its own), sqlite, or mysql://user:password@host:port of a server"
    parser.add_argument("--database", type=own_or_where, default=OWN, help=words)
    asked = parser.parse_args()
    if not (asked.rate > 0 and asked.seconds > 0 and asked.run >= 0 and math.isfinite(asked.rate * asked.seconds)):
        parser.error("--rate and --seconds are above 0, --run is not below it")
    if not asked.file.absolute().parent.is_dir():
        parser.error(f"--file {asked.file}: there is no directory {asked.file.absolute().parent}")
    return asked


def chosen(asked: Namespace, *, ours: bool) -> list[Strike]:
    """The plan, which is told."""
    strikes = faults_of(asked.seed, asked.seconds, [arc.name for arc in plan().arcs], database=ours)
    for one in strikes:
        err.print(f"{one.at:7.1f} s, for {one.lasts:5.1f} s  {one.name}", markup=False, highlight=False)
    return strikes


def main() -> int:
    asked = options()
    if asked.plan:
        chosen(asked, ours=asked.database == OWN)
        return 0
    about = described()
    with (
        tempfile.TemporaryDirectory(prefix="act-soak-") as root,
        tempfile.TemporaryDirectory(prefix="act-mariadb-") as data,
        database(asked.database, Path(data)) as (url, server),
    ):
        about["mariadb"] = None if url == "sqlite" else described_server(server_of(url))
        strikes = chosen(asked, ours=server is not None)
        held = soaked(Path(root), url, server, asked, strikes)
    kept = {name: getattr(asked, name) for name in ("rate", "seconds", "run", "seed")}
    planned = [{"name": one.name, "at": one.at, "lasts": one.lasts} for one in strikes]
    held |= {"schema": SCHEMA, "about": about, "options": kept, "plan": planned}
    asked.file.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")
    return finish(figures(held), held["said"], asked.json)


if __name__ == "__main__":
    sys.exit(main())
