"""Where measurements keep their files."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

KEEP = "ACT_BENCH_KEEP"


@contextmanager
def place(prefix: str) -> Iterator[Path]:
    """A directory of one measurement. Below $ACT_BENCH_KEEP it stays, and whoever set that removes all at the end.

    ext4 without a journal takes no inode that was freed in the last minute and a half: after many files were removed,
    each new one costs several times the CPU, which the next measurement would be told as its own.
    """
    if kept := os.environ.get(KEEP):
        yield Path(tempfile.mkdtemp(prefix=prefix, dir=kept))
        return
    with tempfile.TemporaryDirectory(prefix=prefix) as directory:
        yield Path(directory)
