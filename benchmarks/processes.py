"""What processes use, by the kernel's word."""

import os
import resource
from collections.abc import Iterable
from pathlib import Path

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
KIB = 1024


def cpu_s(pid: int) -> float:
    """CPU seconds of a living process and of its children that have ended; 0: it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0.0
    return TICK_S * sum(map(int, stat.rpartition(")")[2].split()[11:15]))


def pss(pid: int) -> int:
    """Bytes of memory, pages that several share counted in parts; 0: it is gone, or is not ours to look at."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0
    return next((KIB * int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def family(pid: int) -> list[int]:
    """A process and all that descend from it, as they live now."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text(encoding="ascii", errors="replace")
        except OSError:  # it has ended meanwhile
            continue
        parents[int(path.parent.name)] = int(text.rpartition(")")[2].split()[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def all_cpu_s(pids: Iterable[int]) -> float:
    return sum(map(cpu_s, pids))


def peak_memory() -> int:
    """Bytes that this process had at most."""
    return KIB * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
