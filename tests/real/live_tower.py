"""A whole tower over a simulated grid, with people who may sign in to its page."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import yaml
from browser import Visit

from act_core.processes import up_file
from act_core.simulators.scene import Scene
from act_core.simulators.scene_plan import ArcCe, Plan, QueuePlan
from act_core.web import passwords

OLD, NEW = "LIVE_OLD", "LIVE_NEW"
PLAN = Plan(
    arcs=(ArcCe("arc6", "6.17"), ArcCe("arc7", "7")),
    queues=(QueuePlan(OLD, ("arc6",), 0.5), QueuePlan(NEW, ("arc7",), 0.5)),
)
PASSWORDS = {"vera": "viewer-password", "otto": "operator-password", "anna": "admin-password"}
ROLES = {"vera": "viewer", "otto": "operator", "anna": "admin"}
ACT_S, PATIENCE_S = 240.0, 120.0


@dataclass(frozen=True, slots=True)
class Tower:
    """What runs, and where its page is."""

    scene: Scene
    url: str

    def act(self, *words: str) -> Any:
        """A command's answer for programs."""
        return json.loads(act(self.scene, *words, "--json").stdout)

    def child(self, name: str) -> int:
        held = json.loads(up_file(self.scene.state_dir).read_text())
        number: int = held["children"][name][0]
        return number

    def books(self) -> dict[str, int]:
        """PanDA's own count of jobs by status."""
        counts: dict[str, int] = self.scene.call("panda", "/books/summary")["by_status"]
        return counts

    def book_of(self, panda_id: int) -> dict[str, Any]:
        held: dict[str, Any] = self.scene.call("panda", f"/books/jobs/{panda_id}")
        return held

    def jobs_at(self, ce: str) -> list[dict[str, Any]]:
        """The CE's own list."""
        jobs: list[dict[str, Any]] = self.scene.call(ce, "/jobs")["jobs"]
        return jobs

    def enter(self, window: Visit, name: str) -> None:
        window.sign_in(name, PASSWORDS[name])


def act(scene: Scene, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "act_core.cli", *words],
        env={**os.environ, **scene.environment},
        capture_output=True,
        text=True,
        timeout=ACT_S,
        check=False,
    )


@contextmanager
def living(root: Path) -> Iterator[Tower]:
    """Ended with all that belongs to it."""
    with Scene(root, PLAN) as scene:
        _admit_people(root / "aCTConfigARC.yaml")
        try:
            begun = act(scene, "up", "--detach", "--port", "0")
            assert begun.returncode == 0, begun.stderr
            said = json.loads(up_file(scene.state_dir).read_text())
            url = said["page"].rstrip("/")
            eventually(lambda: _answers(url), "the page answers")
            yield Tower(scene, url)
        finally:
            act(scene, "down")


def _answers(url: str) -> bool:
    """The tower is up as soon as its worker is; its page may need a moment longer."""
    try:
        return httpx.get(f"{url}/login", timeout=PATIENCE_S).status_code == 200
    except httpx.TransportError:
        return False


def _admit_people(file: Path) -> None:
    held = yaml.safe_load(file.read_text())
    users = {name: {"role": ROLES[name], "password": passwords.hashed(word)} for name, word in PASSWORDS.items()}
    file.write_text(yaml.safe_dump(held | {"web": {"users": users}}))


def eventually(condition: Callable[[], Any], what: str) -> Any:
    """The first truth of it."""
    end, waiter = time.monotonic() + PATIENCE_S, Event()
    while not (found := condition()):
        assert time.monotonic() < end, f"never came true: {what}"
        waiter.wait(0.2)
    return found
