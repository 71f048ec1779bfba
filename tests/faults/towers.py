"""A whole tower over simulators, all of them processes: what happens to it, and how it has to end."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from act_core.processes import up_file
from act_core.simulators.scene import Scene


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


def said(scene: Scene) -> dict[str, Any]:
    """What the supervisor wrote of itself; empty: nothing that can be read."""
    try:
        read: dict[str, Any] = json.loads(up_file(scene.state_dir).read_text())
    except (OSError, ValueError):
        return {}
    return read


def child(scene: Scene, name: str) -> Any:
    """Number and start of a process of the tower, None as long as there is none."""
    return said(scene).get("children", {}).get(name)


def replaced(scene: Scene, name: str, former: Any) -> bool:
    """Another process stands in the place of this one."""
    return child(scene, name) not in (None, former)


def over(scene: Scene, jobs: int) -> bool:
    """PanDA has the end of so many jobs, and nothing is left on a CE."""
    closed = scene.call("panda", "/books/summary")["by_status"]
    ended = sum(closed.get(word, 0) for word in ("finished", "failed", "cancelled"))
    return ended == jobs and not any(scene.left().values())


def all_went_well(scene: Scene, jobs: int) -> None:
    """PanDA's books and the CEs' witness: each job finished, ran once and was reported once."""
    books = scene.call("panda", "/books/summary")
    assert books["by_status"] == {"finished": jobs}
    assert books["finals_twice"] == 0
    executions = scene.executions()
    assert len(executions) == jobs
    assert set(executions.values()) == {1}
