"""The processes of a test's A-REX, and who owns its directory: a living process, a person (KEPT), or nobody."""

import contextlib
import fcntl
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

STOP_S, LOCK_S = 30.0, 60.0
KEPT = "kept.json"  # in the directory of one that outlives its starter: its port


def tag(home: Path) -> str:
    """What every process of this directory has in its environment."""
    return f"ACT_TEST_AREX={home}"


def processes(home: Path) -> set[int]:
    """Those with the tag of this directory, or at work in one of its session directories."""
    mark, sessions, found = tag(home).encode(), f"/{home.name}/session/", set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                tagged = mark in (entry / "environ").read_bytes().split(b"\0")
                if tagged or sessions in f"{(entry / 'cwd').readlink()}/":
                    found.add(int(entry.name))
    return found


def end_processes(home: Path) -> None:
    end = time.monotonic() + STOP_S
    while left := processes(home):
        if time.monotonic() > end:
            raise RuntimeError(f"processes of {home} do not end: {sorted(left)}")
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


@contextlib.contextmanager
def guard(root: Path) -> Iterator[None]:
    """Directories of a chroot come and go under this lock."""
    end = time.monotonic() + LOCK_S
    with (root / "srv/.act-guard").open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise RuntimeError(f"{file.name} is held by another start for too long") from None
                time.sleep(0.1)
        yield


def hold(home: Path) -> TextIO:
    """An empty directory that is ours for as long as the file is open, even if we are killed."""
    home.mkdir()
    file = (home / "owner").open("w")
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return file


def sweep(base: Path, name: str) -> None:
    """Remove what dead owners left, and what was here under this name. Raises RuntimeError if its owner lives."""
    for home in base.glob("act-*"):
        mine = home.name == f"act-{name}"
        if _owned(home):
            if mine:
                raise RuntimeError(f"{home} belongs to a living process")
        elif mine or not (home / KEPT).exists():
            end_processes(home)
            shutil.rmtree(home, ignore_errors=True)  # somebody else may sweep at the same time


def _owned(home: Path) -> bool:
    try:
        with (home / "owner").open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False
