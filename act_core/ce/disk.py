"""Trouble with files of the tower's own: the disk's, or what one job's names bring upon themselves."""

import asyncio
import errno
from collections.abc import Callable
from typing import BinaryIO, ParamSpec, TypeVar

from act_core.errors import DiskError

P = ParamSpec("P")
T = TypeVar("T")
# These strike every job. The rest (a name too long, a file where a directory is wanted) is one job's own.
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ENOMEM}


class BadFile(Exception):
    """This job's file cannot be kept here; those of others can."""


def verdict(err: OSError) -> DiskError | BadFile:
    where = f"{err.filename}: " if err.filename else ""
    return (DiskError if err.errno in _DISK else BadFile)(f"{where}{err.strerror or err}")


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
