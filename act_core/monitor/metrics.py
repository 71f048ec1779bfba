"""All numbers of a process and of the state tables, for Prometheus: read when somebody asks, never twice at a time."""

import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from act_core import meters
from act_core.db import bootstrap
from act_core.db.session import Database
from act_core.db.verdicts import translated
from act_core.errors import ActError, DatabaseAway
from act_core.installed import applications
from act_core.logs import log
from act_core.monitor.gauges import Family, Gauges
from act_core.monitor.state_families import engine_families
from act_core.settings.model import Settings

logger = log(__name__)
FRESH_S = 2.0  # who asks again so soon gets the same answer
PATIENCE_S = 5.0  # less than Prometheus waits for an answer
Collect = Callable[[Session, Settings, datetime], Iterable[Metric]]
FAMILIES: Mapping[str, Family] = {
    "act_database_up": Family("1: the state tables could be read for this answer"),
    "act_database_read_seconds": Family("how long that took"),
    "act_application_up": Family("1: the application told its numbers; 0: a bug of its own, see the log", ("app",)),
    "act_disk_free_bytes": Family("space for the state directory, for results and for logs", ("place",)),
    "act_disk_size_bytes": Family("the same, used space included", ("place",)),
}


class StateMetrics:
    """A collector for Prometheus's library. One thread and one connection read, however many ask."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._clock = settings, clock
        pool = settings.arc.db.model_copy(update={"pool": 1})  # work never waits for a connection that is ours
        self._db = Database(settings.model_copy(update={"arc": settings.arc.model_copy(update={"db": pool})}))
        self._collects: Mapping[str, Collect] = {app.name: app.collect for app in applications(settings) if app.collect}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="act-metrics")
        self._lock = threading.Lock()
        self._reading: Future[list[Metric]] | None = None
        self._begun = 0.0
        self._trouble = ""
        self._known = False  # that the tables are those of this program

    def collect(self) -> Iterator[Metric]:
        """What the tables say now, or a moment ago. A database that does not answer is a number, too."""
        with self._lock:
            old = self._clock() - self._begun >= FRESH_S
            if self._reading is None or (self._reading.done() and old):
                self._begun, self._reading = self._clock(), self._thread.submit(self._read)
            reading = self._reading
        try:
            yield from reading.result(PATIENCE_S)
        except TimeoutError:  # it goes on; whoever asks next may have it
            yield from self._own(up=False, seconds=None)

    def _read(self) -> list[Metric]:
        began = time.perf_counter()
        try:
            found, told = self._db.read(self._families, self._db.now())
        except Exception as err:  # noqa: BLE001 - whatever it is: the process's own numbers are served without these
            if str(err) != self._trouble:
                self._trouble = str(err)
                logger.warning("the state tables cannot be read for metrics: %s", err)
            return list(self._own(up=False, seconds=None))
        self._trouble = ""
        own = self._own(up=True, seconds=time.perf_counter() - began)
        for app, good in told.items():
            own.set("act_application_up", good, app)
        return [*own, *found]

    def _families(self, session: Session, now: datetime) -> tuple[list[Metric], dict[str, bool]]:
        """What the tables say, and which applications told theirs."""
        if not self._known:
            bootstrap.check_schema(session)
            self._known = True
        found = list(engine_families(session, self._settings, now))
        told: dict[str, bool] = {}
        for app, collect in self._collects.items():
            try:
                found += collect(session, self._settings, now)
                told[app] = True
            except ActError:
                raise
            except Exception as err:
                if isinstance(err, SQLAlchemyError) and isinstance(translated(err), DatabaseAway):
                    raise
                told[app] = False
                logger.exception("a bug of the application %s: its metrics are left out", app)
        return found, told

    def _own(self, *, up: bool, seconds: float | None) -> Gauges:
        found = Gauges(FAMILIES)
        found.set("act_database_up", up)
        if seconds is not None:
            found.set("act_database_read_seconds", seconds)
        for place, path in _places(self._settings).items():
            with suppress(OSError):
                usage = shutil.disk_usage(_there(path))
                found.set("act_disk_free_bytes", usage.free, place)
                found.set("act_disk_size_bytes", usage.total, place)
        return found

    def close(self) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._db.close()


def _places(settings: Settings) -> Mapping[str, Path]:
    logs = settings.arc.logger.logdir or settings.state_dir / "log"
    return {"state": settings.state_dir, "results": settings.results_dir, "logs": logs}


def _there(path: Path) -> Path:
    """The directory, or the one above in which it will be made."""
    return next((one for one in (path, *path.parents) if one.exists()), path)


def registry_of(state: StateMetrics) -> CollectorRegistry:
    """What this process did, and what the tables say."""
    made = CollectorRegistry(support_collectors_without_names=True)
    made.register(meters.REGISTRY)
    made.register(state)
    return made
