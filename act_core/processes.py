"""Telling a process from a later one with the same number; and what a process of ours reads from the one it serves."""

import os
import select
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO


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
