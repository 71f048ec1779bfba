"""From PanDA to PanDA in a tower that is up: jobs at a steady rate, and how soon what happens on a CE is known.

`python -m benchmarks.day --rate 11.6 --seconds 900` is a quarter of an hour of a day with 1,000,000 jobs (`make
bench-day`). PanDA, CRIC, storage and the CEs are simulated, each a process of its own, over TLS; the jobs read a file
and leave two, which really go to storage. The settings of jobs are those that ship. Latency is from the moment at which
a CE is through with a job to the event in our tables, and to the final report in PanDA's books.
"""

import statistics
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import yaml
from sqlalchemy import select
from sqlalchemy.orm import Session

from act_core.db.models import CeJob, CeJobEvent
from act_core.settings.model import Db
from act_core.simulators.scene import Scene
from act_core.simulators.scene_plan import ArcCe, Plan, QueuePlan
from act_core.states import CeState
from benchmarks.figures import Figure, figures_of
from benchmarks.one_case import Parser, finish
from benchmarks.places import place
from benchmarks.standing import DATABASE, PREFECT, Standing, tables_environment, tower
from benchmarks.tables import state_tables

CES, SLOTS, FILES = 4, 5000, 2
PATIENCE_S, LOOK_S, TICK_S = 240.0, 1.0, 1.0
FINAL = ("finished", "failed", "closed", "cancelled")


@dataclass(slots=True)
class Day:
    """What was ordered and what became of it. `waiting`: jobs in PanDA that were not over, each second."""

    ordered: int = 0
    finished: int = 0
    twice: int = 0
    waiting: list[int] = field(default_factory=list)
    seconds: float = 0.0
    said: list[str] = field(default_factory=list)


def plan() -> Plan:
    arcs = tuple(ArcCe(f"arc{n}", "7", SLOTS) for n in range(CES))
    queues = tuple(QueuePlan(f"BENCH_{n}", (arc.name,), 1 / CES) for n, arc in enumerate(arcs))
    return Plan(arcs=arcs, queues=queues)


def with_shipped_settings(scene: Scene) -> None:
    """A scene's tower asks more often than one at work."""
    path = scene.root / "aCTConfigARC.yaml"
    held = yaml.safe_load(path.read_text(encoding="utf-8"))
    held["jobs"] = {"queueoffset": 1_000_000}  # the queue limit is not measured
    held["disk"] = {"fetchjobs": 0, "downloads": 0}
    path.write_text(yaml.safe_dump(held, sort_keys=False), encoding="utf-8")


def order_evenly(scene: Scene, day: Day, rate: float, seconds: float, run_s: float) -> None:
    """So many jobs a second, whatever becomes of them."""
    began, queues = time.monotonic(), scene.plan.all_queues
    wishes = {"n": 1, "inputs": 1, "outputs": 1, "run_s": run_s}
    while (passed := time.monotonic() - began) < seconds:
        now = int(rate * passed) + 1
        orders = [{"queue": queues[n % len(queues)].name, **wishes} for n in range(day.ordered, now)]
        if orders:
            scene.call("panda", "/jobs", orders)
        day.ordered += len(orders)
        day.waiting.append(day.ordered - look(scene, day))
        time.sleep(max(0.0, TICK_S - (time.monotonic() - began) % TICK_S))


def look(scene: Scene, day: Day) -> int:
    """How many jobs are over, by PanDA's books."""
    by_status = scene.call("panda", "/books/summary")["by_status"]
    day.finished = by_status.get("finished", 0)
    return sum(by_status.get(word, 0) for word in FINAL)


def await_end(scene: Scene, day: Day) -> None:
    """Until all are over and gone from their CEs, by the word of PanDA and of the CEs."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if look(scene, day) >= day.ordered and not any(scene.left().values()):
            return
        time.sleep(LOOK_S)
    day.said.append(f"not over after {PATIENCE_S:.0f} s: {day.ordered - look(scene, day)} in PanDA, {scene.left()}")


def verdict(scene: Scene, day: Day) -> None:
    executions = scene.executions()
    day.twice = sum(n > 1 for n in executions.values())
    if day.finished != day.ordered or len(executions) != day.ordered or day.twice:
        words = f"{day.finished} finished, {len(executions)} ran, {day.twice} of them twice"
        day.said.append(f"of {day.ordered} jobs {words}")
    if (stored := scene.stored()) != FILES * day.ordered:
        day.said.append(f"{stored} files lie on storage instead of {FILES * day.ordered}")


def _ends(session: Session) -> dict[str, tuple[datetime, str]]:
    """By the CE's id: when the engine knew of the end, and PanDA's number."""
    question = (
        select(CeJob.remote_id, CeJob.app_job_id, CeJobEvent.at)
        .join(CeJobEvent, CeJobEvent.job_id == CeJob.id)
        .where(CeJobEvent.to_state == CeState.FINISHED.value)
    )
    return {str(remote): (at, job.partition(".")[0]) for remote, job, at in session.execute(question)}


def latencies(scene: Scene, up: Standing) -> tuple[list[float], list[float]]:
    """Seconds to our row, and to PanDA."""
    ended = {
        job["id"]: datetime.fromisoformat(job["ended"])
        for arc in scene.plan.arcs
        for job in scene.call(arc.name, "/jobs")["jobs"]
        if job["ended"]
    }
    told = {
        number: datetime.fromisoformat(update["at"])
        for number, page in scene.call("panda", "/books")["jobs"].items()
        for update in page["updates"]
        if update["status"] == "finished" and not update["refused"]
    }
    known = up.db.read(_ends)
    rows = [(at - ended[job]).total_seconds() for job, (at, _) in known.items() if job in ended]
    panda = [
        (told[number] - ended[job]).total_seconds()
        for job, (_, number) in known.items()
        if job in ended and number in told
    ]
    return rows, panda


def spread(what: str, seconds: Iterable[float]) -> list[tuple[str, float, str]]:
    """Median, 95 % and worst."""
    found = sorted(seconds)
    if not found:
        return []
    high = found[min(len(found) - 1, round(0.95 * len(found)))]
    named = (("median", statistics.median(found)), ("95 %", high), ("worst", found[-1]))
    return [(f"{what}, {which}", value, "s") for which, value in named]


def measured(
    root: Path, db: Db, rate: float, seconds: float, run_s: float, part: str
) -> tuple[list[Figure], list[str]]:
    day = Day()
    with Scene(root, plan()) as scene:
        with_shipped_settings(scene)
        with tower(root, scene.environment | tables_environment(db)) as up:
            before, began = up.cpu_s(), time.monotonic()
            order_evenly(scene, day, rate, seconds, run_s)
            await_end(scene, day)
            day.seconds = time.monotonic() - began
            used = {name: cpu - before.get(name, 0.0) for name, cpu in up.cpu_s().items()}
            memory, (rows, panda) = up.memory(), latencies(scene, up)
        verdict(scene, day)
    found = [
        *spread("from the end on the CE to our row", rows),
        *spread("from the end on the CE to PanDA", panda),
        ("jobs", float(day.ordered), ""),
        ("jobs that were not over when the last was ordered", float(day.waiting[-1]), ""),
        ("seconds from the last order until all was over", day.seconds - seconds, "s"),
        *((f"CPU of {name}, a job", 1000 * cpu / day.ordered, "ms") for name, cpu in used.items()),
        *((f"memory of {name}", size / 1e6, "MB") for name, size in memory.items()),
        ("memory of the tower without Prefect's server", _ours(memory) / 1e6, "MB"),
    ]
    case = f"{rate:g} jobs/s for {seconds:g} s, PanDA to PanDA"
    return figures_of(part, case, found, {}), day.said


def _ours(memory: dict[str, int]) -> int:
    return sum(size for name, size in memory.items() if name not in (PREFECT, DATABASE))


def main() -> int:
    parser = Parser(__doc__)
    parser.database()
    parser.add_argument("--rate", type=float, default=11.6, help="jobs a second")
    parser.add_argument("--seconds", type=float, default=900)
    parser.add_argument("--run", type=float, default=5, help="for how long each of them runs, s")
    parser.add_argument("--part", choices=("day", "latency"), default="day", help="under which name it is told")
    asked = parser.parse_args()
    if asked.rate <= 0 or asked.seconds <= 0 or asked.run < 0:
        parser.error("--rate and --seconds are above 0, --run is not below it")
    with place("act-day-") as root, state_tables(asked.database) as db:
        found, said = measured(root, db, asked.rate, asked.seconds, asked.run, asked.part)
    return finish(found, said, asked.json)


if __name__ == "__main__":
    sys.exit(main())
