"""What a call costs: wall time, and CPU time of this process, of what it started, and of the database server.

The server's is told where it runs on this machine, and is of all that it does: measure while nobody else uses it.
"""

import os
import resource
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from rich.table import Column, Table

Call = Callable[[], object]
SERVERS = ("mariadbd", "mysqld")
TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds. `cpu_ms`, `server_ms`: means of the calls after the first."""

    what: str
    first_ms: float
    least_ms: float
    median_ms: float
    worst_ms: float
    cpu_ms: float
    server_ms: float | None
    limit_ms: float

    @property
    def good(self) -> bool:
        return self.median_ms <= self.limit_ms


def cost(what: str, call: Call, calls: int, limit: float) -> Cost:
    server = _server()
    first, rest = _timed(call), []
    cpu, there = _cpu_ms(), _server_ms(server)
    for _ in range(calls):
        rest.append(_timed(call))
    mean = (_cpu_ms() - cpu) / calls
    theirs = None if server is None else round((_server_ms(server) - there) / calls, 1)
    median = statistics.median(rest)
    found = [round(one, 1) for one in (first, min(rest), median, max(rest), mean)]
    return Cost(what, found[0], found[1], found[2], found[3], found[4], theirs, limit)


def _timed(call: Call) -> float:
    began = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - began)


def _cpu_ms() -> float:
    used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return 1000 * sum(one.ru_utime + one.ru_stime for one in used)


def _server() -> Path | None:
    """Where the kernel tells of the server; None: it is elsewhere."""
    for name in Path("/proc").glob("[0-9]*/comm"):
        try:
            if name.read_text().strip() in SERVERS:
                return name.parent / "stat"
        except OSError:  # it has ended meanwhile
            continue
    return None


def _server_ms(stat: Path | None) -> float:
    if stat is None:
        return 0.0
    user, system = stat.read_text().rpartition(")")[2].split()[11:13]
    return TICK_MS * (int(user) + int(system))


def told(costs: Iterable[Cost]) -> Table:
    columns = ("milliseconds", "first", "least", "median", "worst", "CPU", "server's", "limit", "met")
    table = Table(*(Column(one, no_wrap=True) for one in columns))
    for one in costs:
        server = "" if one.server_ms is None else str(one.server_ms)
        numbers = (one.first_ms, one.least_ms, one.median_ms, one.worst_ms, one.cpu_ms)
        met = "yes" if one.good else "NO"
        table.add_row(one.what, *map(str, numbers), server, str(one.limit_ms), met, style="" if one.good else "red")
    return table
