"""Trouble with files of the tower's own: the disk's, or what one job's names bring upon themselves."""

import asyncio
import errno
import os
import secrets
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, ParamSpec, TypeVar

from act_core.errors import DiskError

P = ParamSpec("P")
T = TypeVar("T")
# These strike every job. The rest (a name too long, a file where a directory is wanted) is one job's own.
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ENOMEM}


_SWAPS = 5


class BadFile(Exception):
    """This job's file cannot be kept here; those of others can."""


def verdict(err: OSError) -> DiskError | BadFile:
    where = f"{err.filename}: " if err.filename else ""
    return (DiskError if err.errno in _DISK else BadFile)(f"{where}{err.strerror or err}")


def beside(directory: Path) -> Path:
    """Where files arrive before they take the place of a directory: each fetch has its own."""
    return directory.with_name(f".{directory.name}.{secrets.token_hex(4)}.new")


def make_folders(path: Path, mode: int = 0o755) -> None:
    """The directory and what is missing above it: nobody else can write there, whatever the umask. Raises OSError."""
    missing = [path, *path.parents]
    for one in reversed(missing[: next((n for n, above in enumerate(missing) if above.exists()), 0)]):
        one.mkdir(mode=mode, exist_ok=True)
    path.mkdir(mode=mode, exist_ok=True)  # a file in its place is trouble


def new_file(path: Path) -> BinaryIO:
    """A new file that only we write; a link that somebody put there is not followed. Raises OSError."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644), "wb")


def take_place(fresh: Path, directory: Path) -> None:
    """The new directory takes the place of what was there, which stays whole until then. Raises OSError."""
    old = fresh.with_suffix(".old")
    for turn in range(_SWAPS):
        with suppress(FileNotFoundError):
            directory.rename(old)
        try:
            fresh.rename(directory)
        except OSError as err:
            if err.errno not in (errno.ENOTEMPTY, errno.EEXIST) or turn == _SWAPS - 1:
                with suppress(OSError):
                    old.rename(directory)
                raise
            # another fetch was quicker: what is there now is as good as ours, and goes the same way
        else:
            return
        finally:
            shutil.rmtree(old, ignore_errors=True)


async def opened(call: Callable[P, BinaryIO], *args: P.args, **kwargs: P.kwargs) -> BinaryIO:
    """`in_thread` for a file: one that is open when nobody waits for it any more is closed."""
    work = asyncio.ensure_future(in_thread(call, *args, **kwargs))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        work.add_done_callback(lambda done: done.cancelled() or done.exception() or done.result().close())
        raise


async def in_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """File work on our own disk. Raises DiskError or BadFile, so that nobody takes it for trouble with the peer."""
    try:
        return await asyncio.to_thread(call, *args, **kwargs)
    except OSError as err:
        raise verdict(err) from err
