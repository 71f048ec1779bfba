"""`kill -9` of the worker, and of the whole tower, in mid-demo: every job still finishes exactly once."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from act_core.simulators.scene import Scene

pytestmark = pytest.mark.faults
JOBS = 40


def act(scene: Scene, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "act_core.cli", *words]
    environment = {**os.environ, **scene.environment}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)


def eventually(condition: Callable[[], Any], what: str, patience: float = 150) -> Any:
    end = time.monotonic() + patience
    waiter = threading.Event()
    while not (found := condition()):
        assert time.monotonic() < end, f"never came true: {what}"
        waiter.wait(0.2)
    return found


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with Scene(tmp_path / "scene") as made:
        try:
            yield made
        finally:
            act(made, "down")


def test_a_tower_that_is_killed_twice_loses_nothing(scene: Scene) -> None:
    brought_up = act(scene, "up", "--detach", "--port", "0")
    assert brought_up.returncode == 0, brought_up.stderr
    scene.order(JOBS)
    eventually(lambda: scene.executions(), "the first execution")
    said = json.loads((scene.state_dir / "up.json").read_text())
    os.kill(said["children"]["worker"][0], signal.SIGKILL)
    eventually(lambda: _worker(scene) not in (None, said["children"]["worker"]), "a new worker")
    os.kill(said["pid"], signal.SIGKILL)  # the supervisor: its children go with it
    eventually(lambda: not Path(f"/proc/{said['pid']}").exists() or _zombie(said["pid"]), "the supervisor's end")
    again = act(scene, "up", "--detach", "--port", "0")
    assert again.returncode == 0, again.stderr

    def over() -> bool:
        closed = scene.call("panda", "/books/summary")["by_status"]
        return sum(closed.get(word, 0) for word in ("finished", "failed", "cancelled")) == JOBS and not any(
            scene.left().values()
        )

    eventually(over, "the end of all jobs")
    books = scene.call("panda", "/books/summary")
    assert books["by_status"] == {"finished": JOBS}
    assert books["finals_twice"] == 0
    executions = scene.executions()
    assert len(executions) == JOBS
    assert set(executions.values()) == {1}


def _worker(scene: Scene) -> Any:
    try:
        return json.loads((scene.state_dir / "up.json").read_text())["children"].get("worker")
    except (OSError, ValueError):
        return None


def _zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
