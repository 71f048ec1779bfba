"""Where outputs come home to, and how their files are read: they are foreign, and no link leads anywhere."""

import errno
import os
import stat
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from act_core.settings.model import Settings


def result_dir(settings: Settings, app: str, app_job_id: str, attempt: int, created: datetime) -> Path:
    """Where the outputs of an attempt lie: one directory a day, so that none grows without end."""
    return settings.results_dir / app / f"{created:%Y-%m-%d}" / f"{app_job_id}.{attempt}"


def plain_file(directory: Path, name: str) -> BinaryIO | None:
    """A file below the directory; None: it is not there, or no plain file, or a link leads to it.

    Raises OSError for one that cannot be read.
    """
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\x00" in name:
        return None
    try:
        found = _opened(directory, parts)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as err:
        if err.errno in (errno.ELOOP, errno.EMLINK):
            return None
        raise
    if stat.S_ISREG(os.fstat(found).st_mode):
        return os.fdopen(found, "rb")
    os.close(found)
    return None


def _opened(directory: Path, parts: Sequence[str]) -> int:
    """Each part is opened in the one before, none of them through a link, and a pipe is not waited for."""
    here = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
            os.close(here)
            here = inner
        return os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=here)
    finally:
        os.close(here)


def cut(file: BinaryIO, size: int, most: int) -> bytes:
    """All of a file of this size, or its head and its tail and between them how much is missing."""
    if size <= most:
        return file.read(most)
    half = most // 2
    head = file.read(half)
    file.seek(size - half)
    tail = file.read(half)
    return head + f"\n\n[… {size - 2 * half} bytes are left out here …]\n\n".encode() + tail
