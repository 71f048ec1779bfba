"""The machine that was measured on, in words that mean something elsewhere."""

import os
import platform
import statistics
import subprocess
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from act_core.settings.model import Db
from benchmarks.tables import asked

FSYNCS, FILES, STEPS, CALLS = 50, 200, 2_000_000, 200_000
HERE = Path(__file__).parents[1]
DURABLE = ("version", "innodb_flush_log_at_trx_commit", "sync_binlog", "log_bin", "innodb_buffer_pool_size",
           "innodb_flush_method")  # fmt: skip


def _line(path: str, key: str) -> str:
    """What stands behind a key in a file of the kernel's."""
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def _commit() -> str:
    words = ["git", "-C", str(HERE), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603 - our own words
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def _file_system(directory: Path) -> str:
    """Its kind, where temporary files lie: MariaDB's tables among them."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    over = [(len(at), kind) for at, kind in mounts if directory.is_relative_to(at)]
    return max(over)[1] if over else "unknown"


def _fsync_ms(directory: Path) -> float:
    """The median of some writes that are on the disk when they come back: what a durable commit waits for."""
    took = []
    with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
        for _ in range(FSYNCS):
            file.write(b"x" * 512)
            began = time.perf_counter()
            os.fsync(file.fileno())
            took.append(1000 * (time.perf_counter() - began))
    return round(statistics.median(took), 3)


def speed() -> dict[str, float]:
    """One turn of a loop that adds, and one system call: by these, figures of two machines, or hours, are compared."""
    turns, calls = [], []
    for _ in range(5):
        began, total = time.thread_time(), 0
        for n in range(STEPS):
            total += n
        turns.append(time.thread_time() - began)
        began = time.thread_time()
        for _ in range(CALLS):
            os.getppid()
        calls.append(time.thread_time() - began)
    return {"step_ns": round(1e9 * min(turns) / STEPS, 1), "syscall_ns": round(1e9 * min(calls) / CALLS, 1)}


def _file_us(directory: Path) -> float:
    """CPU time of a new file of 1 kB, which some file systems take a hundred times as long for as others."""
    with tempfile.TemporaryDirectory(dir=directory) as made:
        began = time.thread_time()
        for n in range(FILES):
            Path(made, str(n)).write_bytes(b"x" * 1000)
        return round(1e6 * (time.thread_time() - began) / FILES, 1)


def described() -> dict[str, Any]:
    """Processor, memory (bytes), kernel, Python, the disk, commit, moment, and how busy it was (load of a minute)."""
    here = Path(tempfile.gettempdir()).resolve()
    return {
        "file_system": _file_system(here),
        "fsync_ms": _fsync_ms(here),
        "file_us": _file_us(here),
        "speeds": [speed()],
        "cpu": _line("/proc/cpuinfo", "model name") or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory": 1024 * int(_line("/proc/meminfo", "MemTotal").split()[0] or 0),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "commit": _commit(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "load": os.getloadavg()[0],
    }


def described_server(db: Db) -> dict[str, str]:
    """Version and durability of the database server."""
    return {name: asked(db, f"SELECT @@{name}")[0] for name in DURABLE}
