"""Telling a process from a later one with the same number; what the supervisor of a tower wrote of itself; and what a
process of ours reads from the one it serves.
"""

import contextlib
import json
import os
import select
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

WORKER = "worker"  # the first of a machine; the others are called worker-2, worker-3, …
UP_S, LOOK_S = 300.0, 0.2  # the first is longer than the supervisor bears parts that do not come up: it says which
NAMED_BY = "ACT_WORKER_NAME"  # the variable by which a worker knows its own


def process_start(pid: int) -> str:
    """When a process began, in clock ticks since boot: tells a pid from a later process with the same number."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]


def lives(pid: int, start: str) -> bool:
    """Whether this very process is still there (a zombie is not)."""
    if not start or process_start(pid) != start:
        return False
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


def up_file(state_dir: Path) -> Path:
    """Where the supervisor of this state directory writes down that it is up, and with which processes."""
    return state_dir / "up.json"


def standing(state_dir: Path) -> dict[str, Any] | None:
    """What the supervisor wrote of itself; None: no tower is up in this state directory."""
    try:
        read: dict[str, Any] = json.loads(up_file(state_dir).read_text(encoding="utf-8"))
        return read if lives(read["pid"], read["start"]) else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def await_up(state_dir: Path, alive: Callable[[], bool], seconds: float = UP_S) -> dict[str, Any] | None:
    """What the supervisor wrote of itself once its tower is up; None: it has ended (`alive`), or takes too long."""
    end = time.monotonic() + seconds
    while alive() and time.monotonic() < end:
        said = standing(state_dir)
        if said and said["phase"] == "up":
            return said
        time.sleep(LOOK_S)
    return None


def worker_name(number: int) -> str:
    """Of the workers of one machine, from 1 on."""
    return WORKER if number == 1 else f"{WORKER}-{number}"


def worker_number(name: str) -> int:
    return int(name.removeprefix(f"{WORKER}-")) if name != WORKER else 1


def tick(directory: Path, worker: str = WORKER) -> Path:
    """The file whose age says when a worker's main loop went round."""
    return directory / f"{worker}.tick"


def touch_tick(directory: Path, worker: str = WORKER) -> None:
    """A worker's main loop goes round: who watches over it looks at the age of this file."""
    with contextlib.suppress(OSError):
        tick(directory, worker).touch()


def tick_age(directory: Path, worker: str = WORKER) -> float | None:
    """Seconds since the worker's main loop last went round; None: it never did."""
    try:
        return max(0.0, time.time() - tick(directory, worker).stat().st_mtime)
    except OSError:
        return None


def requests(source: BinaryIO, idle_s: float, may_end: Callable[[], bool] = lambda: True) -> Iterator[bytes]:
    """Lines, until the other side is gone, or for so many seconds nobody wants anything of who `may_end`."""
    buffer = b""
    while True:
        if not select.select([source], [], [], idle_s)[0]:
            if may_end():
                return
            continue
        piece = os.read(source.fileno(), 1 << 20)
        if not piece:
            return
        *lines, buffer = (buffer + piece).split(b"\n")
        yield from lines
