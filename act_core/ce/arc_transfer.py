"""Files to and from a session directory of A-REX, a bounded number at a time."""

import asyncio
import io
import os
import shutil
import stat
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from act_core.ce import arc_dialect
from act_core.ce.arc_http import TRANSFER_S, ArcConnection
from act_core.ce.base import Fetched, FetchPlan, Gone, Refused
from act_core.ce.gathering import each
from act_core.ce.patterns import below, diagnosed, wanted
from act_core.errors import ProtocolError, Transient
from act_core.jobspec import COMMIT_FILE, InputFile

PIECE = 1 << 18
MOST_FILES, DEEPEST = 20_000, 20
LONGEST_NAME = 255  # bytes
NO_DIRECTORY = "Not found"  # of a job that A-REX knows; of one that it does not know: "Job not found"
OCTETS = {"Content-Type": "application/octet-stream", "Accept": "*/*"}
LISTED = {"Accept": "application/json"}
Clock = Callable[[], datetime]


async def put_files(wire: ArcConnection, job: str, files: Collection[InputFile], now: Clock) -> Refused | None:
    """Upload a job's inputs; the first refusal is the answer. `job`: path of the job."""
    for file in files:
        refused = await _put(wire, job, file, now)
        if refused:
            return refused
    return None


async def _put(wire: ArcConnection, job: str, file: InputFile, now: Clock) -> Refused | None:
    path = f"{job}/session/{quote(file.name)}"
    try:
        async with wire.transfers:
            with await asyncio.to_thread(_content, file) as data:
                async with wire.request("PUT", path, now(), data, OCTETS) as answer:
                    if answer.status == 200:
                        return None
                    return Refused(f"{file.name}: {answer.status} {answer.reason}", for_good=answer.status == 404)
    except _NoFile as err:
        return Refused(f"{file.name}: {err}", for_good=True)
    except (Transient, ProtocolError) as err:
        return Refused(f"{file.name}: {err}", for_good=False)


class _NoFile(Exception):
    """What is to be uploaded is not there."""


def _content(file: InputFile) -> BinaryIO:
    """An open file: its length is told to the CE, which otherwise takes a cut upload for a whole one."""
    if file.content is not None:
        return io.BytesIO(file.content.encode())
    source = str(file.source)
    try:
        opened = os.fdopen(os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    except (OSError, ValueError) as err:
        raise _NoFile(f"{source}: {err.strerror if isinstance(err, OSError) else err}") from err
    if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
        opened.close()
        raise _NoFile(f"{source} is not a file")
    return opened


@dataclass(slots=True)
class _Fetch:
    """One job's fetch: files land in a new directory that takes its place at the end."""

    wire: ArcConnection
    job: str
    plan: FetchPlan
    limit: int  # bytes
    now: Clock
    found: set[str] = field(default_factory=set)
    size: int = 0
    seen: int = 0  # entries of listings

    @property
    def fresh(self) -> Path:
        return self.plan.directory.with_name(f".{self.plan.directory.name}.new")

    async def run(self) -> Fetched | Gone | Refused:
        try:
            async with asyncio.timeout(TRANSFER_S):
                return await self._all()
        except Transient as err:
            return Refused(str(err), for_good=False)
        except ProtocolError as err:
            return Refused(str(err), for_good=True)
        except TimeoutError:
            return Refused(f"not fetched within {TRANSFER_S:.0f} s", for_good=False)
        except OSError as err:
            return Refused(f"{self.plan.directory}: {err.strerror}", for_good=False)
        finally:
            await asyncio.to_thread(shutil.rmtree, self.fresh, ignore_errors=True)

    async def _all(self) -> Fetched | Gone | Refused:
        await asyncio.to_thread(shutil.rmtree, self.fresh, ignore_errors=True)
        await asyncio.to_thread(self.fresh.mkdir, parents=True, exist_ok=True)
        listed = await self._list("", 0)
        if listed is None:
            return Gone()
        missing = [name for name in self.plan.declared if not name.endswith("/") and name not in listed]
        if missing:
            return Refused(f"the payload left no {', '.join(missing[:5])}", for_good=True)
        # by the path at home: where both lie in the same place, the CE's own file wins
        homes = {name: f"session/{quote(name)}" for name in listed}
        homes |= {home: f"diagnose/{quote(name)}" for name, home in diagnosed(self.plan.patterns)}
        if outside := [home for home in homes if home.startswith("/") or ".." in home.split("/")]:
            return Refused(f"{outside[0]} is not below the job's directory", for_good=True)
        await each(homes, lambda home: self._bring(homes[home], home))
        await asyncio.to_thread(self._settle)
        return Fetched(len(self.found), self.size)

    async def _list(self, directory: str, depth: int) -> list[str] | None:
        """Wanted files below a directory; None: the CE does not know the job."""
        path = f"{self.job}/session" + (f"/{quote(directory)}" if directory else "")
        async with self.wire.transfers:
            answer = await self.wire.call("GET", path, self.now(), headers=LISTED)
        if answer.status == 404:
            return [] if directory or answer.reason == NO_DIRECTORY else None
        if answer.status != 200:
            raise Transient(f"listing {directory or '/'}: {answer.status} {answer.reason}")
        files, directories = arc_dialect.listing(answer.body)
        self.seen += len(files) + len(directories)
        if self.seen > MOST_FILES:
            raise ProtocolError(f"more than {MOST_FILES} files and directories")
        prefix, patterns = f"{directory}/" if directory else "", (*self.plan.patterns, *self.plan.declared)
        found = [f"{prefix}{safe(name)}" for name in files if wanted(f"{prefix}{name}", patterns)]
        for name in directories:
            inner = f"{prefix}{safe(name)}"
            if depth < DEEPEST and below(inner, patterns):
                found += await self._list(inner, depth + 1) or []
        return [name for name in found if name != COMMIT_FILE]

    async def _bring(self, path: str, home: str) -> None:
        """One file; a control file that is not there is no error."""
        target = self.fresh / home
        await asyncio.to_thread(target.parent.mkdir, parents=True, exist_ok=True)
        async with (
            self.wire.transfers,
            self.wire.request("GET", f"{self.job}/{path}", self.now(), headers=OCTETS) as got,
        ):
            if got.status == 404 and path.startswith("diagnose/"):
                return
            if got.status != 200:
                raise Transient(f"{home}: {got.status} {got.reason}")
            with await asyncio.to_thread(_create, target) as file:
                async for piece in got.content.iter_chunked(PIECE):
                    self.size += len(piece)
                    if self.size > self.limit:
                        raise ProtocolError(f"more than {self.limit} bytes")
                    await asyncio.to_thread(file.write, piece)
        self.found.add(home)

    def _settle(self) -> None:
        shutil.rmtree(self.plan.directory, ignore_errors=True)
        self.fresh.rename(self.plan.directory)


def safe(name: str) -> str:
    """A name of one file or directory. Raises ProtocolError for one that leads elsewhere."""
    try:
        long = len(name.encode()) > LONGEST_NAME
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can carry and a file system cannot
        long = True
    if long or name in ("", ".", "..") or "/" in name or "\x00" in name:
        raise ProtocolError(f"the CE lists a file named {name[:60]!r}")
    return name


def _create(path: Path) -> BinaryIO:
    """A new file; a link that somebody put there is not followed."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644), "wb")


async def fetch_job(wire: ArcConnection, job: str, plan: FetchPlan, limit: int, now: Clock) -> Fetched | Gone | Refused:
    """Bring what is wanted of a job home. Raises CredentialError; every other trouble is this job's own."""
    return await _Fetch(wire, job, plan, limit, now).run()
