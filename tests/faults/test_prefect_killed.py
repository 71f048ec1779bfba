"""`kill -9` of Prefect's server, and the loss of its database: windows open again, every job runs once."""

import base64
import json
import os
import signal
import time
import urllib.request
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from act_core.simulators.scene import Scene
from tests.faults.measured import measured
from tests.faults.towers import act, all_went_well, child, eventually, over, replaced, said

pytestmark = pytest.mark.faults
JOBS, MORE = 20, 6
SERVER = "prefect-server"


def windows_since(scene: Scene, moment: datetime) -> int:
    """Flow runs that began since then, by the server's word; 0 as long as it gives none."""
    password = (scene.state_dir / "prefect" / "password").read_text().strip()
    wanted = json.dumps({"flow_runs": {"start_time": {"after_": moment.isoformat()}}}).encode()
    headers = {
        "Authorization": f"Basic {base64.b64encode(password.encode()).decode()}",
        "Content-Type": "application/json",
    }
    request = urllib.request.Request(f"{said(scene)['prefect']}/api/flow_runs/count", wanted, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(json.load(answer))
    except OSError:
        return 0


def strike(scene: Scene, *, database_too: bool) -> Any:
    """The server dies at once, with its database if that is wanted. Returns which one that was."""
    former = child(scene, SERVER)
    os.kill(former[0], signal.SIGKILL)
    if database_too:
        files = list((scene.state_dir / "prefect").glob("prefect.db*"))
        assert files
        for file in files:
            file.unlink()
    return former


def goes_on(scene: Scene, jobs: int, struck: datetime) -> None:
    """Jobs that are new since have run, and what ran them are windows that the server opened since."""
    eventually(lambda: windows_since(scene, struck), "a window of the server that came back")
    eventually(lambda: len(scene.executions()) == jobs, "the jobs that came after it")


def test_work_goes_on_without_prefects_database(scene: Scene) -> None:
    brought_up = act(scene, "up", "--detach", "--port", "0")
    assert brought_up.returncode == 0, brought_up.stderr
    total = scene.order(JOBS)
    for what, database_too in (
        ("Prefect's server killed", False),
        ("Prefect's server killed, its database lost", True),
    ):
        eventually(lambda: scene.executions(), "the first execution")
        struck, begun = datetime.now(UTC), time.monotonic()
        former = strike(scene, database_too=database_too)
        total += scene.order(MORE)
        goes_on(scene, total, struck)
        measured(what, time.monotonic() - begun)
        eventually(partial(replaced, scene, SERVER, former), "the word on the new server")
    eventually(lambda: over(scene, total), "the end of all jobs")
    all_went_well(scene, total)
    told = (scene.state_dir / "up.log").read_text()
    assert told.count(f"{SERVER} died") == 2
    assert "Prefect has lost the pool: deploying again" in told
