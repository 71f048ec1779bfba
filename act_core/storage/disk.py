"""file://: files on disks of this machine, below the directories that the configuration names and nowhere else."""

import asyncio
import hashlib
import os
import stat
import threading
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote

from act_core.storage.base import Fate, Found, Outcome, Permit, Place, Removal, Unreachable, Verdict, Wanted
from act_core.storage.compare import compare

T = TypeVar("T")
_PIECE = 1 << 20  # bytes
_THREADS = 8


class _Outside(Exception):
    """The path is not one of ours to look at."""


@dataclass(slots=True)
class Disk:
    """`roots`: addresses come from jobs, and nothing outside of these is touched, through links neither."""

    roots: Sequence[Path] = ()
    _threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(_THREADS, thread_name_prefix="file-checks"), init=False
    )

    async def look(self, place: Place, file: Wanted) -> Verdict:
        return await self._in_thread(lambda stop: self._look(place, file, stop))

    async def delete(self, place: Place, permit: Permit) -> Removal:
        if why := await permit():
            return Removal(Fate.REFUSED, why, asked=False)
        return await self._in_thread(lambda _: self._delete(place))

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, deed: Callable[[threading.Event], T]) -> T:
        """A reader whose time is up ends after the piece that it reads."""
        stop = threading.Event()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, deed, stop)
        finally:
            stop.set()

    def _look(self, place: Place, file: Wanted, stop: threading.Event) -> Verdict:
        try:
            path = self._ours(place).resolve(strict=True)
            self._inside(path)
            return _judged(file, path, stop)
        except _Outside as err:
            return Verdict(Outcome.UNVERIFIABLE, str(err))
        except (FileNotFoundError, NotADirectoryError):
            return Verdict(Outcome.ABSENT, "no such file")
        except PermissionError as err:
            return Verdict(Outcome.FORBIDDEN, str(err.strerror))
        except (OSError, RuntimeError) as err:  # RuntimeError: a loop of links
            raise Unreachable(str(err)) from err

    def _delete(self, place: Place) -> Removal:
        try:
            path = self._ours(place)
            path = path.parent.resolve(strict=True) / path.name  # a link itself, not what it names
            self._inside(path)
            if not stat.S_ISREG(path.lstat().st_mode):
                return Removal(Fate.REFUSED, "it is not a file")
            path.unlink()
        except _Outside as err:
            return Removal(Fate.REFUSED, str(err))
        except (FileNotFoundError, NotADirectoryError):
            return Removal(Fate.ABSENT, "no such file")
        except PermissionError as err:
            return Removal(Fate.REFUSED, str(err.strerror))
        except (OSError, RuntimeError) as err:
            raise Unreachable(str(err)) from err
        return Removal(Fate.DELETED)

    @staticmethod
    def _ours(place: Place) -> Path:
        text = unquote(place.path)
        if "\0" in text or text.endswith(("/", "/.", "/..")):
            raise _Outside(f"{text[:200]!r} is no path of a file")
        return Path(text)

    def _inside(self, path: Path) -> None:
        if not any(path.is_relative_to(root.resolve()) for root in self.roots):
            raise _Outside(f"{str(path)[:200]!r} is below none of validation.filedirs")


def _judged(file: Wanted, path: Path, stop: threading.Event) -> Verdict:
    opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe would wait for who writes into it
    try:
        known = os.fstat(opened)
        if not stat.S_ISREG(known.st_mode):
            return Verdict(Outcome.MISMATCH, "it is not a file")
        if file.size is not None and known.st_size != file.size:
            return compare(file, Found(known.st_size))
        return compare(file, _summed(opened, stop))
    finally:
        os.close(opened)


def _summed(file: int, stop: threading.Event) -> Found:
    size, adler, md5 = 0, 1, hashlib.md5(usedforsecurity=False)
    while piece := os.read(file, _PIECE):
        if stop.is_set():
            raise Unreachable("its time was up")
        size, adler = size + len(piece), zlib.adler32(piece, adler)
        md5.update(piece)
    return Found(size, f"{adler:08x}", md5.hexdigest())
