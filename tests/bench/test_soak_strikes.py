"""What a soak does to processes, and that nothing of it lasts when the soak is given up."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from act_core.processes import process_start, up_file
from act_core.simulators.scene import Scene
from benchmarks.soak_plan import WORKER, Fault, Strike
from benchmarks.soak_strikes import Striker

PATIENCE_S = 30.0


@pytest.fixture
def worker(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that the state directory tells as the tower's worker; the supervisor is this one."""
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as process:
        me = os.getpid()
        said = {"pid": me, "start": process_start(me), "children": {WORKER: [process.pid, process_start(process.pid)]}}
        up_file(tmp_path).write_text(json.dumps(said))
        yield process
        process.kill()


def striker(tmp_path: Path, fault: Fault, lasts: float) -> Striker:
    return Striker([Strike(0.0, lasts, fault.target, fault)], Scene(tmp_path / "scene"), tmp_path, None)


def eventually(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        threading.Event().wait(0.01)


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_who_was_stopped_goes_on_when_the_soak_is_given_up(tmp_path: Path, worker: "subprocess.Popen[bytes]") -> None:
    with striker(tmp_path, Fault(WORKER, "stopped", "pause"), 3600) as struck:
        eventually(lambda: state(worker.pid) == "T")
    assert state(worker.pid) != "T"
    assert struck.struck[0].ended is not None
    assert struck.struck[0].met == 1


def test_who_is_killed_is_dead_and_whoever_is_not_there_is_told(
    tmp_path: Path, worker: "subprocess.Popen[bytes]"
) -> None:
    kill = Fault(WORKER, "SIGKILL", "kill")
    with striker(tmp_path, kill, 0):
        eventually(lambda: worker.poll() is not None)
    with striker(tmp_path, kill, 0) as again:
        eventually(lambda: 0 in again.struck and again.struck[0].trouble != "")
    assert again.struck[0].trouble == f"not struck: worker {worker.pid} is not there"


def test_a_database_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    with striker(tmp_path, Fault("database", "shut down", "stop"), 0) as struck:
        eventually(lambda: 0 in struck.struck and struck.struck[0].trouble != "")
    assert struck.struck[0].told()["trouble"] == "not struck: the server is not ours"
