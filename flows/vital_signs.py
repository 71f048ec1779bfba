"""Whether server and worker are really alive, as systemd is told: ready, well or not, and its watchdog fed or not."""

import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from act_core.logs import log
from act_core.notify import Notifier
from act_core.processes import WORKER, tick, tick_age
from act_core.settings import taken
from flows.children import Child

logger = log(__name__)
EVERY_S = 10.0  # between looks
TICK_LATE_S = 60.0  # the worker's main loop goes round every two seconds
RELOAD_S, PAUSE_S = 20.0, 0.2


class VitalSigns:
    """`answers`: whether Prefect's server does."""

    def __init__(
        self, notifier: Notifier, state_dir: Path, children: Sequence[Child], answers: Callable[[], bool]
    ) -> None:
        self.notifier, self._state_dir, self._children, self._answers = notifier, state_dir, children, answers
        self._ready, self._looked = False, float("-inf")

    def begin(self) -> None:
        """Workers that are to be started have not gone round yet."""
        for name in self._workers():
            with suppress(OSError):
                tick(self._state_dir, name).unlink(missing_ok=True)
        self.notifier.status("starting")

    def look(self) -> None:
        """Now and then: READY at the first good look; the watchdog gets its food only while all is well."""
        pause = EVERY_S if self._ready else 1.0
        if time.monotonic() - self._looked < min(pause, (self.notifier.watchdog or EVERY_S * 3) / 3):
            return
        self._looked = time.monotonic()
        if wrong := self.wrong():
            logger.log(30 if self._ready else 10, "not well: %s", wrong)
            self.notifier.status(f"not well: {wrong}" if self._ready else f"starting: {wrong}")
            return
        if not self._ready:
            self._ready = True
            self.notifier.ready(self.words())
        self.notifier.status(self.words())
        self.notifier.alive()

    def wrong(self) -> str:
        """What is not as it should be; empty: nothing."""
        for child in self._children:
            if child.process is None or child.died():
                return f"{child.name} does not run"
        for name in self._workers():
            age = tick_age(self._state_dir, name)
            if age is None:
                return f"the {name} has not gone round yet"
            if age > TICK_LATE_S:
                return f"the {name}'s main loop has not gone round for {age:.0f} s"
        return "" if self._answers() else "Prefect's server does not answer"

    def _workers(self) -> list[str]:
        return [child.name for child in self._children if child.name.startswith(WORKER)]

    def words(self) -> str:
        """Of a tower that is well."""
        said = taken.said(self._state_dir)
        if said and said["problems"]:
            return f"up, and the changed configuration is refused: {said['problems'][0]}"
        if said and said["restart"]:
            return f"up; a restart is wanted by {', '.join(said['restart'])}"
        return "up"

    def reload(self, worker: Child) -> None:
        """The worker looks at its configuration now; it has when its main loop has gone round once more."""
        self.notifier.reloading()
        before = self._tick(worker.name)
        if worker.process is not None and not worker.died() and before is not None:
            worker.process.send_signal(signal.SIGHUP)
            end = time.monotonic() + RELOAD_S
            while self._tick(worker.name) == before and time.monotonic() < end:
                time.sleep(PAUSE_S)
        self.notifier.ready(self.words())

    def _tick(self, worker: str) -> int | None:
        try:
            return tick(self._state_dir, worker).stat().st_mtime_ns
        except OSError:
            return None
