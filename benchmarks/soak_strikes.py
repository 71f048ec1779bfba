"""The faults of a soak, struck at their times: rules for simulators, signals, an absence of the database."""

import contextlib
import json
import os
import signal
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from act_core.processes import lives, standing
from act_core.simulators.scene import CALL_S, Scene
from benchmarks.mariadb import NotThere, Server
from benchmarks.soak_plan import Strike

JOIN_S = 120.0
NOT_STRUCK, NOT_ENDED = "not struck", "not ended"
Undo = Callable[[], int]  # ends a fault; how many requests it met, or processes


@dataclass(slots=True)
class Struck:
    """What became of a planned fault; `began`, `ended`: seconds from the first order on, `met`: requests or processes.

    `trouble`: why it could not be struck or ended, in words.
    """

    strike: Strike
    began: float
    ended: float | None = None
    met: int = 0
    trouble: str = ""

    def told(self) -> dict[str, Any]:
        one = self.strike
        said = {"name": one.name, "target": one.fault.target, "fault": one.fault.name, "planned": one.at}
        return said | {"began": self.began, "ended": self.ended, "met": self.met, "trouble": self.trouble}


class Striker(threading.Thread):
    """Strikes until it is closed; then nothing that it did holds any more. `server`: the database's, if it is ours."""

    def __init__(self, plan: Sequence[Strike], scene: Scene, state_dir: Path, server: Server | None) -> None:
        super().__init__(name="striker")
        self._plan, self._scene, self._state_dir, self._server = plan, scene, state_dir, server
        self._over, self._began = threading.Event(), time.monotonic()
        self._in_force: dict[int, Undo] = {}
        self.struck: dict[int, Struck] = {}

    def run(self) -> None:
        """Beginnings and ends, by their times."""
        moments = [(one.at, n, True) for n, one in enumerate(self._plan)]
        moments += [(one.at + one.lasts, n, False) for n, one in enumerate(self._plan)]
        for at, n, begins in sorted(moments, key=lambda one: (one[0], not one[2])):
            if self._over.wait(max(0.0, at - self._now())):
                break
            (self._begin if begins else self._end)(n)
        for n in list(self._in_force):
            self._end(n)

    def close(self) -> None:
        self._over.set()
        self.join(JOIN_S)

    def __enter__(self) -> "Striker":
        self._began = time.monotonic()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _now(self) -> float:
        return time.monotonic() - self._began

    def _begin(self, n: int) -> None:
        strike = self._plan[n]
        self.struck[n] = struck = Struck(strike, round(self._now(), 1))
        try:
            self._in_force[n] = self._deed(strike)()
        except (OSError, LookupError) as err:
            struck.trouble = f"{NOT_STRUCK}: {err}"

    def _end(self, n: int) -> None:
        undo = self._in_force.pop(n, None)
        if undo is None:
            return
        struck = self.struck[n]
        try:
            struck.met = undo()
        except (OSError, LookupError, NotThere) as err:
            struck.trouble = f"{NOT_ENDED}: {err}"
        struck.ended = round(self._now(), 1)

    def _deed(self, strike: Strike) -> Callable[[], Undo]:
        if strike.fault.target == "database":
            return lambda: self._without_database(0.0 if strike.fault.how == "kill" else JOIN_S)
        if strike.fault.how in ("kill", "pause"):
            return lambda: self._signal(strike.target, strike.fault.how)
        return lambda: self._rule(strike.target, {"kind": strike.fault.how, **strike.fault.rule})

    def _rule(self, target: str, rule: dict[str, Any]) -> Undo:
        (key,) = self._scene.call(target, "/faults", rule)["ids"]

        def undo() -> int:
            known = {one["id"]: one["hits"] for one in self._scene.call(target, "/faults")["faults"]}
            url = f"{self._scene.servers[target].control}/faults/{key}"
            request = urllib.request.Request(url, method="DELETE")  # noqa: S310 - our own server
            with urllib.request.urlopen(request, timeout=CALL_S) as answer:  # noqa: S310
                json.load(answer)
            return int(known[key])

        return undo

    def _signal(self, name: str, how: str) -> Undo:
        said = standing(self._state_dir)
        if said is None:
            raise LookupError("the tower has gone down")
        pid, start = said["children"][name]
        if not lives(pid, start):
            raise LookupError(f"{name} {pid} is not there")
        os.kill(pid, signal.SIGKILL if how == "kill" else signal.SIGSTOP)

        def undo() -> int:
            if how == "pause" and lives(pid, start):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            return 1

        return undo

    def _without_database(self, patience_s: float) -> Undo:
        server = self._server
        if server is None:
            raise LookupError("the server is not ours")
        server.stop(patience_s)

        def undo() -> int:
            server.start()
            return 1

        return undo
