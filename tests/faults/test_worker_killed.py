"""`kill -9` of the worker, and of the whole tower, in mid-demo: every job still finishes exactly once."""

import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from act_core.simulators.scene import Scene
from tests.faults.measured import measured
from tests.faults.towers import act, all_went_well, eventually, over, replaced, said

pytestmark = pytest.mark.faults
JOBS, MORE = 20, 6


def test_a_tower_that_is_killed_twice_loses_nothing(scene: Scene) -> None:
    brought_up = act(scene, "up", "--detach", "--port", "0")
    assert brought_up.returncode == 0, brought_up.stderr
    scene.order(JOBS)
    eventually(scene.executions, "the first execution")
    former = said(scene)
    os.kill(former["children"]["worker"][0], signal.SIGKILL)
    killed, total = time.monotonic(), JOBS + scene.order(MORE)
    eventually(partial(replaced, scene, "worker", former["children"]["worker"]), "a new worker")
    eventually(lambda: len(scene.executions()) == total, "the jobs that came after it")
    measured("the worker killed", time.monotonic() - killed)
    ran, total = total, total + scene.order(JOBS)
    eventually(lambda: len(scene.executions()) > ran, "the first execution of the next ones")
    os.kill(former["pid"], signal.SIGKILL)  # the supervisor: its children go with it
    eventually(lambda: not Path(f"/proc/{former['pid']}").exists() or _zombie(former["pid"]), "the supervisor's end")
    again = act(scene, "up", "--detach", "--port", "0")
    assert again.returncode == 0, again.stderr
    eventually(lambda: over(scene, total), "the end of all jobs")
    all_went_well(scene, total)


def _zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
