"""What systemd hears: real datagrams at a real socket."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from act_core.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def heard(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """The address as systemd tells it, and its end of the line."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@act-test-{os.getpid()}-{tmp_path.name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(name.replace("@", "\0", 1) if name.startswith("@") else name)
        ear.settimeout(10)
        yield name, ear


def test_all_words_arrive(heard: tuple[str, socket.socket]) -> None:
    name, ear = heard
    notifier = Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())})
    assert notifier.watchdog == 30.0
    assert notifier.ready("up,\nand well " + "x" * 300)
    words = ear.recv(4096).decode().splitlines()
    assert words[0] == "READY=1"
    assert words[1].startswith("STATUS=up, and well xxx")
    assert len(words) == 2
    assert len(words[1]) < 220
    assert notifier.reloading()
    begun = dict(line.split("=", 1) for line in ear.recv(4096).decode().splitlines())
    assert begun["RELOADING"] == "1"
    assert int(begun["MONOTONIC_USEC"]) > 0
    assert notifier.alive()
    assert ear.recv(4096) == b"WATCHDOG=1"
    assert notifier.stopping("bye")
    assert ear.recv(4096) == b"STOPPING=1\nSTATUS=bye"


@pytest.mark.parametrize("name", ["", "relative", "/nowhere/at/all"])
def test_without_a_listener_nothing_happens(name: str) -> None:
    assert not Notifier({"NOTIFY_SOCKET": name}).alive()


@pytest.mark.parametrize("env", [{}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "9", "WATCHDOG_PID": "1"}])
def test_nobody_watches(env: dict[str, str]) -> None:
    assert Notifier(env).watchdog is None
