"""Processes that `act up` keeps alive: started again when they die, ended with it."""

import ctypes
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from act_core.errors import ActError
from act_core.logs import log

logger = log(__name__)
STOP_S = 15.0
RESTARTS, PER_S = 5, 60.0  # more deaths than this in so many seconds: something is wrong that a restart does not mend
PR_SET_PDEATHSIG = 1


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True)
class Child:
    """A process that is kept alive."""

    name: str
    command: list[str]
    environment: Mapping[str, str]
    log: Path
    process: "subprocess.Popen[bytes] | None" = None
    deaths: list[float] = field(default_factory=list)

    def start(self) -> None:
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(  # noqa: S603 - our own servers
                self.command,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    def died(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def again(self) -> None:
        """Start it again. Raises ActError when it dies too often."""
        now = monotonic()
        self.deaths = [one for one in self.deaths if now - one < PER_S] + [now]
        code = self.process.returncode if self.process else None
        logger.warning("%s died (exit code %s), starting it again", self.name, code)
        if len(self.deaths) > RESTARTS:
            raise ActError(f"{self.name} died {len(self.deaths)} times within {PER_S:.0f} s: see {self.log}")
        self.start()

    def stop(self) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def stop_all(children: Sequence[Child]) -> None:
    """All of them drain at once."""
    for one in children:
        if one.process is not None and one.process.poll() is None:
            one.process.send_signal(signal.SIGTERM)
    for one in children:
        one.stop()


def die_with_parent() -> None:
    """In a new child: SIGTERM when its parent is gone, and SIGINT ends it even if the parent ignores that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
