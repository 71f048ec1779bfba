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
    try:
        path.mkdir(mode=mode)
    except FileNotFoundError:
        make_folders(path.parent, mode)
        path.mkdir(mode=mode, exist_ok=True)
    except FileExistsError:
        if not path.is_dir():  # a file in its place is trouble
            raise


def new_handle(path: Path) -> int:
    """A new file that only we write; a link that somebody put there is not followed. Raises OSError."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)


def new_file(path: Path) -> BinaryIO:
    """As `new_handle`, to be written piece by piece."""
    return os.fdopen(new_handle(path), "wb")


def write_new(path: Path, content: bytes) -> None:
    """A small file as `new_handle` makes it, with as few calls of the kernel as can be. Raises OSError."""
    handle, left = new_handle(path), memoryview(content)
    try:
        while left:
            left = left[os.write(handle, left) :]
    finally:
        os.close(handle)


def take_place(fresh: Path, directory: Path) -> None:
    """The new directory takes the place of what was there, which stays whole until then. Raises OSError."""
    old = fresh.with_suffix(".old")
    for turn in range(_SWAPS):
        there = _moved(directory, old)
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
            if there:
                shutil.rmtree(old, ignore_errors=True)


def _moved(directory: Path, elsewhere: Path) -> bool:
    try:
        directory.rename(elsewhere)
    except FileNotFoundError:
        return False
    return True


async def in_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """File work on our own disk. Raises DiskError or BadFile, so that nobody takes it for trouble with the peer."""
    try:
        return await asyncio.to_thread(call, *args, **kwargs)
    except OSError as err:
        raise verdict(err) from err
