"""The watchdog is fed only while server and worker are really alive, and the worker's loop goes round."""

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from act_core.notify import Notifier
from act_core.processes import tick, touch_tick
from flows import vital_signs
from flows.children import Child
from flows.vital_signs import VitalSigns

WAITS = [sys.executable, "-c", "import signal; signal.pause()"]
TICKS = (
    "import pathlib, signal, sys; p = pathlib.Path(sys.argv[1]); signal.signal(signal.SIGHUP, lambda *_: p.touch());"
)
HEARS = [sys.executable, "-c", f"{TICKS} p.with_name('ears').touch()\nwhile True: signal.pause()"]


class Hall:
    """A supervisor's children, and systemd's end of the line."""

    def __init__(self, root: Path) -> None:
        self.root, self.answers = root, True
        self.ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ear.bind(str(root / "notify"))
        self.ear.setblocking(False)
        self.children = tuple(Child(name, WAITS, {}, root / f"{name}.log") for name in ("prefect-server", "worker"))
        self.signs = VitalSigns(Notifier({"NOTIFY_SOCKET": str(root / "notify")}), root, self.children, self._answered)

    def _answered(self) -> bool:
        return self.answers

    def heard(self) -> list[str]:
        """After a look: the words without statuses, then the last status."""
        self.signs._looked = float("-inf")
        self.signs.look()
        return self.words()

    def words(self) -> list[str]:
        lines: list[str] = []
        while True:
            try:
                lines += self.ear.recv(4096).decode().splitlines()
            except BlockingIOError:
                break
        others = [line for line in lines if not line.startswith(("STATUS=", "MONOTONIC"))]
        return others + [line for line in lines if line.startswith("STATUS=")][-1:]


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[Hall]:
    made = Hall(tmp_path)
    yield made
    made.ear.close()
    for child in made.children:
        child.stop()


def test_ready_when_all_live_and_fed_only_then(hall: Hall) -> None:
    hall.signs.begin()
    assert hall.words() == ["STATUS=starting"]
    assert hall.heard() == ["STATUS=starting: prefect-server does not run"]
    for child in hall.children:
        child.start()
    assert hall.heard() == ["STATUS=starting: the worker has not gone round yet"]
    touch_tick(hall.root)
    assert hall.heard() == ["READY=1", "WATCHDOG=1", "STATUS=up"]
    hall.signs.look()  # too early for another look
    assert hall.words() == []
    hall.answers = False
    assert hall.heard() == ["STATUS=not well: Prefect's server does not answer"]
    hall.answers = True
    late = time.time() - 90
    os.utime(tick(hall.root), (late, late))
    (words,) = hall.heard()
    assert words.startswith("STATUS=not well: the worker's main loop has not gone round for 9")
    touch_tick(hall.root)
    assert hall.heard() == ["WATCHDOG=1", "STATUS=up"]
    worker = hall.children[1].process
    assert worker is not None
    worker.kill()
    worker.wait()
    assert hall.heard() == ["STATUS=not well: worker does not run"]


def test_a_reload_ends_when_the_worker_has_looked(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    touch_tick(hall.root)
    os.utime(tick(hall.root), (1, 1))
    worker = hall.children[1]
    worker.command = [*HEARS, str(tick(hall.root))]
    worker.start()
    waiter = signal.sigtimedwait
    while not (hall.root / "ears").exists():
        waiter([], 0.01)
    hall.signs.reload(worker)
    assert hall.words() == ["RELOADING=1", "READY=1", "STATUS=up"]
    assert tick(hall.root).stat().st_mtime > 1
    monkeypatch.setattr(vital_signs, "RELOAD_S", 0.0)
    worker.stop()
    hall.signs.reload(worker)  # of a worker that is not there nobody waits
    assert hall.words() == ["RELOADING=1", "READY=1", "STATUS=up"]


def test_of_several_workers_each_has_to_go_round(hall: Hall) -> None:
    second = Child("worker-2", WAITS, {}, hall.root / "worker-2.log")
    hall.children += (second,)
    hall.signs = VitalSigns(hall.signs.notifier, hall.root, hall.children, hall._answered)
    for child in hall.children:
        child.start()
    touch_tick(hall.root)
    assert hall.signs.wrong() == "the worker-2 has not gone round yet"
    touch_tick(hall.root, second.name)
    assert hall.signs.wrong() == ""
