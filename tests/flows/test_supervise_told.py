"""What the supervisor tells of its children is what lives, and who waits for it."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from act_core.processes import UP_S, await_up, process_start, standing, up_file
from act_core.settings import Settings
from flows import supervise
from flows.children import Child, free_port
from flows.supervise import Supervisor

WAITS = [sys.executable, "-c", "import signal; signal.pause()"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Child]:
    made = Child("prefect-server", WAITS, {}, tmp_path / "server.log")
    made.start()
    yield made
    made.stop()


def test_a_server_that_was_started_again_is_told_before_it_answers(
    tmp_path: Path, server: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(state_dir=tmp_path / "state")
    settings.state_dir.mkdir()
    supervisor = Supervisor(settings, free_port(), lambda _words: None)
    supervisor.server, supervisor.workers, supervisor.page = server, [], None
    supervisor._write("up")
    assert server.process is not None
    first = server.process
    first.kill()
    first.wait()
    told = []

    def back_again() -> float:
        told.append((standing(settings.state_dir) or {})["children"]["prefect-server"])
        supervisor._stop = True
        return monotonic()

    monkeypatch.setattr(supervisor, "_back_again", back_again)
    supervisor._keep()
    second = server.process.pid
    assert second != first.pid
    assert told == [[second, process_start(second)]]


def test_who_waits_for_a_tower_waits_longer_than_it_does_for_its_parts() -> None:
    assert UP_S > supervise.SERVER_UP_S + supervise.FURNISH_S


@pytest.mark.parametrize(
    ("phase", "lives", "seconds", "up"),
    [
        pytest.param("up", True, 60.0, True, id="it is up"),
        pytest.param("starting", True, 0.0, False, id="it takes too long"),
        pytest.param("up", False, 60.0, False, id="it has ended"),
    ],
)
def test_a_tower_is_awaited(tmp_path: Path, phase: str, lives: bool, seconds: float, up: bool) -> None:
    me = {"pid": os.getpid(), "start": process_start(os.getpid()), "phase": phase}
    up_file(tmp_path).write_text(json.dumps(me))
    assert await_up(tmp_path, lambda: lives, seconds) == (me if up else None)
