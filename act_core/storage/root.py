"""root://, roots:// and xroot:// through the XRootD library, which works in a process of its own (`root_worker`)."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from act_core.storage import root_dialect
from act_core.storage.base import Fate, Outcome, Permit, Place, Removal, Unreachable, Verdict, Wanted
from act_core.storage.compare import compare, kinds_of
from act_core.storage.root_pipe import Pipe

DIRECTORY, OTHER = 2, 4  # flags of a stat
_SHARE = 0.8  # of a file's time, so that a library that hangs is noticed before the file's time is up
LACKING = "root:// needs XRootD's library: install act-flows[xrootd], or the package xrootd beside it"


@dataclass(slots=True)
class Root:
    """`timeout`: of one file. A bearer token is never shown: the library would show it to every host."""

    proxy: Path | None = None
    cadir: Path | None = None
    connect: timedelta = timedelta(seconds=15)
    timeout: timedelta = timedelta(minutes=5)
    _pipe: Pipe | None = field(default=None, init=False)
    _mark: tuple[int, int] | None = field(default=None, init=False)

    async def look(self, place: Place, file: Wanted) -> Verdict:
        """Two round trips: the second one only for a file of the right size, as a cold file is read whole for it."""
        said = await self._call("stat", place)
        if "is" not in said:
            return self._refusal(said, root_dialect.meaning)
        known = said["is"]
        if known["flags"] & (DIRECTORY | OTHER):
            return Verdict(Outcome.MISMATCH, "it is not a file")
        size = int(known["size"])
        if size == 0 or (file.size is not None and size != file.size):
            return compare(file, root_dialect.with_checksum(size, ""))
        last = Verdict(Outcome.UNVERIFIABLE)
        for kind in kinds_of(file):
            said = await self._call("checksum", place, kind=kind)
            last = (
                compare(file, root_dialect.with_checksum(size, str(said["is"])))
                if "is" in said
                else self._refusal(said, root_dialect.without_checksum)
            )
            if last.outcome is not Outcome.UNVERIFIABLE:
                break
        return last

    async def delete(self, place: Place, permit: Permit) -> Removal:
        """A file, after a look whether it is one: servers take empty directories away, too."""
        said = await self._call("stat", place)
        if "is" in said:
            if said["is"]["flags"] & (DIRECTORY | OTHER):
                return Removal(Fate.REFUSED, "it is not a file")
            if why := await permit():
                return Removal(Fate.REFUSED, why, asked=False)
            said = await self._call("remove", place)
        if "is" in said:
            return Removal(Fate.DELETED)
        words = root_dialect.plain(said["text"])
        fate = root_dialect.removal(said["code"], said["errno"], said["text"])
        if fate is Fate.UNREACHABLE:
            raise Unreachable(words)
        return Removal(fate, words)

    async def close(self) -> None:
        if self._pipe is not None:
            await self._pipe.close()
            self._pipe = None

    def environment(self) -> dict[str, str]:
        """What the library reads when it is loaded. Seconds are whole ones there."""
        connect, timeout = (str(max(1, int(time.total_seconds()))) for time in (self.connect, self.timeout))
        paths = {"X509_USER_PROXY": self.proxy, "X509_CERT_DIR": self.cadir}
        return {
            "XRD_CONNECTIONWINDOW": connect,
            "XRD_CONNECTIONRETRY": "1",
            "XRD_STREAMERRORWINDOW": "0",  # a host that failed may be tried again: pauses are the breaker's affair
            "XRD_REQUESTTIMEOUT": timeout,
            "XRD_STREAMTIMEOUT": timeout,  # nothing is heard while the storage reads a cold file
            "XRD_TIMEOUTRESOLUTION": "1",
            "XrdSecGSIDELEGPROXY": "0",  # addresses come from jobs: no server is given a proxy of ours
            "BEARER_TOKEN": "",
            "BEARER_TOKEN_FILE": os.devnull,
        } | {name: str(path) for name, path in paths.items() if path is not None}

    async def _call(self, do: str, place: Place, **more: str) -> Mapping[str, Any]:
        if self._pipe is None:
            if find_spec("XRootD") is None:
                raise Unreachable(LACKING)
            self._pipe = Pipe(self.environment())
        if (mark := self._proxy_mark()) != self._mark:
            self._mark = mark
            self._pipe.renew()
        words = {"do": do, "server": root_dialect.server_of(place), "path": root_dialect.path_of(place), **more}
        return await self._pipe.call(self.timeout.total_seconds() * _SHARE, **words)

    def _proxy_mark(self) -> tuple[int, int] | None:
        try:
            known = self.proxy.stat() if self.proxy else None
        except OSError:
            return None
        return (known.st_ino, known.st_mtime_ns) if known else None

    @staticmethod
    def _refusal(said: Mapping[str, Any], meant: Any) -> Verdict:
        outcome = meant(said["code"], said["errno"], said["text"])
        words = root_dialect.plain(said["text"])
        if outcome is Outcome.UNREACHABLE:
            raise Unreachable(words)
        return Verdict(outcome, words)
