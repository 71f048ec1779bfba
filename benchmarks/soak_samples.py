"""What a soak looks at every few seconds: processes by the kernel's word, jobs by PanDA's, lateness by the tables'."""

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy.orm import Session

from act_core.atlas import metrics
from act_core.errors import ActError
from act_core.monitor.state_families import engine_families
from act_core.processes import standing
from act_core.settings import Settings
from act_core.simulators.scene import Scene
from benchmarks.day import FINAL, Day
from benchmarks.processes import family, pss
from benchmarks.standing import SUPERVISOR, Standing

EVERY_S = 5.0
SWEEP, HEARTBEAT = "act_ce_poll_late_seconds", "act_heartbeat_late_seconds"  # docs/monitoring.md


@dataclass(frozen=True, slots=True)
class Seen:
    """One process with its children. `memory`: bytes (PSS), `descriptors`: open ones."""

    pid: int
    memory: int
    descriptors: int


@dataclass(frozen=True, slots=True)
class Sample:
    """`at`: seconds from the first order on. Lateness in seconds; None: the state tables could not be read."""

    at: float
    processes: dict[str, Seen]
    ordered: int
    finished: int
    waiting: int
    sweep_late: float | None
    heartbeat_late: float | None


def descriptors(pid: int) -> int:
    """Open ones of a process; 0: it is gone, or is not ours to look at."""
    try:
        return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return 0


def seen(settings: Settings) -> dict[str, Seen]:
    """The tower's processes that live."""
    said = standing(settings.state_dir)
    if said is None:
        return {}
    pids = {SUPERVISOR: said["pid"]} | {name: pid for name, (pid, _) in said["children"].items()}
    found = {}
    for name, pid in pids.items():
        members = [pid] if name == SUPERVISOR else family(pid)  # its children are told by name
        one = Seen(pid, sum(map(pss, members)), sum(map(descriptors, members)))
        if one.memory:
            found[name] = one
    return found


def lateness(session: Session, settings: Settings, now: datetime) -> tuple[float, float]:
    """Of the status sweep at the CE that waits longest, and of the oldest report to PanDA; as /metrics tells it."""
    families = [*engine_families(session, settings, now), *metrics.collect(session, settings, now)]
    worst = {one.name: max((sample.value for sample in one.samples), default=0.0) for one in families}
    return worst[SWEEP], worst[HEARTBEAT]


def sample(up: Standing, scene: Scene, day: Day, at: float) -> Sample:
    """Raises OSError when PanDA's books cannot be read."""
    by_status = scene.call("panda", "/books/summary")["by_status"]
    over = sum(by_status.get(word, 0) for word in FINAL)
    try:
        sweep, heartbeat = up.db.read(lateness, up.settings, up.db.now())
    except ActError:
        late: tuple[float | None, float | None] = (None, None)
    else:
        late = (round(sweep, 1), round(heartbeat, 1))
    known = sum(by_status.values())
    return Sample(round(at, 1), seen(up.settings), day.ordered, by_status.get("finished", 0), known - over, *late)


class Sampler(threading.Thread):
    """Looks until it is closed, once more then, and tells each look to `heard`. `lost`: looks that were in vain."""

    def __init__(self, up: Standing, scene: Scene, day: Day, heard: Callable[[Sample], None]) -> None:
        super().__init__(name="sampler")
        self._up, self._scene, self._day, self._heard = up, scene, day, heard
        self._over = threading.Event()
        self.samples: list[Sample] = []
        self.lost = 0

    def run(self) -> None:
        began, last = time.monotonic(), False
        while not last:
            last = self._over.wait(EVERY_S - (time.monotonic() - began) % EVERY_S if self.samples or self.lost else 0)
            try:
                one = sample(self._up, self._scene, self._day, time.monotonic() - began)
            except OSError:
                self.lost += 1
            else:
                self.samples.append(one)
                self._heard(one)

    def told(self) -> list[dict[str, object]]:
        """For the file."""
        return [asdict(one) for one in self.samples]

    def __enter__(self) -> "Sampler":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()
