"""Telling a process from a later one with the same number."""

from pathlib import Path


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
