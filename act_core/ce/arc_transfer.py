"""Files to and from a session directory of A-REX, a bounded number at a time."""

import asyncio
import io
import json
import os
import shutil
import stat
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

import aiohttp

from act_core.ce import arc_dialect
from act_core.ce.arc_http import TRANSFER_S, ArcConnection
from act_core.ce.base import Fetched, FetchPlan, Gone, Refused, RemoteId
from act_core.ce.disk import BadFile, beside, in_thread, opened, take_place, verdict
from act_core.ce.gathering import each
from act_core.ce.patterns import below, diagnosed, of_session, wanted
from act_core.errors import DiskError, ProtocolError, Transient
from act_core.jobspec import COMMIT_FILE, InputFile

PIECE = 1 << 18
MOST_FILES, DEEPEST = 20_000, 20
LONGEST_NAME = 255  # bytes
# A-REX answers "404 OK" of a job that it does not know, and something in between may answer 404 of its own accord: only
# what A-REX says of a missing file is believed as it stands, and for the rest it is asked whether it knows the job.
NO_FILE = "Not found"
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
                # a text of ours is small: it has no more time than a call
                patience = None if file.content is None else wire.quick
                async with wire.request("PUT", path, now(), data, OCTETS, patience) as answer:
                    if answer.status == 200:
                        return None
                    raise _refusal(answer.status, answer.reason, file.name)
    except _NoFile as err:
        return Refused(f"{file.name}: {err}", for_good=True)
    except _Nowhere as err:
        if await knows(wire, job, now):
            raise Transient(str(err)) from err
        return Refused(f"{file.name}: the CE does not know the job", for_good=True)
    except _Refusal as err:
        return Refused(str(err), for_good=False)


class _NoFile(Exception):
    """What is to be uploaded is not there."""


class _Nowhere(Exception):
    """A 404 that may mean that the CE does not know the job."""


class _Refusal(Exception):
    """The CE answers for this job, and not well. That may pass."""


class _Unwanted(ProtocolError):
    """What the CE has of this job is not taken, whenever it is asked."""


def _refusal(status: int, reason: str | None, what: str) -> Exception:
    """What an answer means that is not 200."""
    words = f"{what}: {status} {reason or ''}".rstrip()
    return _Nowhere(words) if status == 404 and reason != NO_FILE else _Refusal(words)


async def knows(wire: ArcConnection, job: str, now: Clock) -> bool:
    """Whether the CE knows the job at this path, by its own word. Raises Transient if it does not say."""
    base, _, one = job.rpartition("/")
    answer = await wire.call("POST", f"{base}?action=status", now(), json.dumps({"job": [{"id": one}]}).encode())
    found = arc_dialect.by_id(answer.body).get(RemoteId(one)) if answer.status == 201 else None
    if found is None:
        raise Transient(f"{wire.endpoint} does not say whether it knows {one}: {answer.status} {answer.reason}")
    return arc_dialect.code(found) != 404


def _content(file: InputFile) -> BinaryIO:
    """An open file: its length is told to the CE, which otherwise takes a cut upload for a whole one."""
    if file.content is not None:
        return io.BytesIO(file.content.encode())
    source = str(file.source)
    try:
        opened = os.fdopen(os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    except ValueError as err:
        raise _NoFile(f"{source}: {err}") from err
    except OSError as err:
        trouble = verdict(err)
        raise (trouble if isinstance(trouble, DiskError) else _NoFile(str(trouble))) from err
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
    fresh: Path
    found: set[str] = field(default_factory=set)
    size: int = 0
    seen: int = 0  # entries of listings
    bare: bool = False  # the CE knows the job, and finds no session directory of it

    async def run(self) -> Fetched | Gone | Refused:
        try:
            async with asyncio.timeout(TRANSFER_S):
                return await self._all()
        except _Nowhere as err:
            if await knows(self.wire, self.job, self.now):
                raise Transient(str(err)) from err
            return Gone()
        except (_Unwanted, _Refusal, BadFile) as err:
            return Refused(str(err), for_good=isinstance(err, _Unwanted))
        except TimeoutError as err:
            if not self.size:  # it waited for its turn
                raise Transient(f"{self.wire.endpoint}: nothing was fetched within {TRANSFER_S:.0f} s") from err
            return Refused(f"not fetched within {TRANSFER_S:.0f} s", for_good=False)
        except (OSError, DiskError) as err:
            raise DiskError(f"{self.plan.directory} cannot be written: {err}") from err
        finally:
            await asyncio.to_thread(shutil.rmtree, self.fresh, ignore_errors=True)

    async def _all(self) -> Fetched | Refused:
        await asyncio.to_thread(self.fresh.mkdir, parents=True)
        listed = await self._list("", 0)
        missing = [name for name in self.plan.declared if not name.endswith("/") and name not in listed]
        if missing:
            return Refused(f"the payload left no {', '.join(missing[:5])}", for_good=not self.bare)
        # by the path at home: where both lie in the same place, the CE's own file wins
        homes = {name: f"session/{quote(name)}" for name in listed}
        homes |= {home: f"diagnose/{quote(name)}" for name, home in diagnosed(self.plan.patterns)}
        if outside := [home for home in homes if home.startswith("/") or ".." in home.split("/")]:
            return Refused(f"{outside[0]} is not below the job's directory", for_good=True)
        await each(homes, lambda home: self._bring(homes[home], home))
        await asyncio.to_thread(take_place, self.fresh, self.plan.directory)
        return Fetched(len(self.found), self.size, self.bare and of_session(self.plan.patterns))

    async def _list(self, directory: str, depth: int) -> list[str]:
        """Wanted files below a directory."""
        path = f"{self.job}/session" + (f"/{quote(directory)}" if directory else "")
        async with self.wire.transfers:
            answer = await self.wire.call("GET", path, self.now(), headers=LISTED)
        if answer.status == 404 and answer.reason == NO_FILE:
            self.bare = self.bare or not directory
            return []
        if answer.status != 200:
            raise _refusal(answer.status, answer.reason, f"listing {directory or '/'}")
        try:
            files, directories = arc_dialect.listing(answer.body)
        except ProtocolError as err:
            raise _Refusal(str(err)) from err
        self.seen += len(files) + len(directories)
        if self.seen > MOST_FILES:
            raise _Unwanted(f"more than {MOST_FILES} files and directories")
        prefix, patterns = f"{directory}/" if directory else "", (*self.plan.patterns, *self.plan.declared)
        found = [f"{prefix}{safe(name)}" for name in files if wanted(f"{prefix}{name}", patterns)]
        for name in directories:
            inner = f"{prefix}{safe(name)}"
            if depth < DEEPEST and below(inner, patterns):
                found += await self._list(inner, depth + 1)
        return [name for name in found if name != COMMIT_FILE]

    async def _bring(self, path: str, home: str) -> None:
        """One file; a control file that is not there is no error."""
        target = self.fresh / home
        await in_thread(target.parent.mkdir, parents=True, exist_ok=True)
        async with (
            self.wire.transfers,
            self.wire.request("GET", f"{self.job}/{path}", self.now(), headers=OCTETS) as got,
        ):
            if got.status == 404 and path.startswith("diagnose/"):
                return
            if got.status != 200:
                raise _refusal(got.status, got.reason, home)
            await self._keep(got, await opened(_create, target))
        self.found.add(home)

    async def _keep(self, got: aiohttp.ClientResponse, file: BinaryIO) -> None:
        try:
            async for piece in got.content.iter_chunked(PIECE):
                self.size += len(piece)
                if self.size > self.limit:
                    raise _Unwanted(f"more than {self.limit} bytes")
                await in_thread(file.write, piece)
        finally:
            # it writes what is left; a cancelled one would never begin
            await asyncio.shield(in_thread(file.close))


def safe(name: str) -> str:
    """A name of one file or directory. Raises for one that leads elsewhere."""
    try:
        long = len(name.encode()) > LONGEST_NAME
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can carry and a file system cannot
        long = True
    if long or name in ("", ".", "..") or "/" in name or "\x00" in name:
        raise _Unwanted(f"the CE lists a file named {name[:60]!r}")
    return name


def _create(path: Path) -> BinaryIO:
    """A new file; a link that somebody put there is not followed."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644), "wb")


async def fetch_job(wire: ArcConnection, job: str, plan: FetchPlan, limit: int, now: Clock) -> Fetched | Gone | Refused:
    """Bring what is wanted of a job home. Raises what is not this job's own: Transient, CredentialError, DiskError."""
    return await _Fetch(wire, job, plan, limit, now, beside(plan.directory)).run()
