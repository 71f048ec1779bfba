"""Files to and from a session directory of A-REX, a bounded number at a time."""

import asyncio
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
from act_core.ce.disk import BadFile, beside, in_thread, make_folders, new_file, opened, take_place, verdict
from act_core.ce.gathering import each
from act_core.ce.patterns import below, diagnosed, of_session, wanted
from act_core.errors import DiskError, ProtocolError, Transient
from act_core.jobspec import COMMIT_FILE, InputFile
from act_core.shielded import to_the_end

PIECE = 1 << 18
MOST_FILES, DEEPEST = 20_000, 20
LONGEST_NAME = 255  # bytes
# A-REX answers "404 OK" of a job that it does not know, and something in between may answer 404 of its own accord: only
# what A-REX says of a missing file is believed as it stands, and for the rest it is asked whether it knows the job.
NO_FILE = "Not found"
OCTETS = {"Content-Type": "application/octet-stream", "Accept": "*/*"}
LISTED = {"Accept": "application/json"}
SMALL = 1 << 16  # bytes of a file that is held in memory until all of its job are there
HELD = 1 << 18  # of all such files of a job
Clock = Callable[[], datetime]
Patience = aiohttp.ClientTimeout | None


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
            if file.content is not None:  # a text of ours is small: it has no more time than a call
                await _sent(wire, path, file, file.content.encode(), now(), wire.quick)
                return None
            with await asyncio.to_thread(_content, str(file.source)) as data:
                await _sent(wire, path, file, data, now(), None)
                return None
    except _NoFile as err:
        return Refused(f"{file.name}: {err}", for_good=True)
    except _Nowhere as err:
        if await knows(wire, job, now):
            raise Transient(str(err)) from err
        return Refused(f"{file.name}: the CE does not know the job", for_good=True)
    except _Refusal as err:
        return Refused(str(err), for_good=False)


async def _sent(
    wire: ArcConnection, path: str, file: InputFile, data: bytes | BinaryIO, now: datetime, patience: Patience
) -> None:
    async with wire.request("PUT", path, now, data, OCTETS, patience) as answer:
        if answer.status != 200:
            raise _refusal(answer.status, answer.reason, file.name)


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


def _content(source: str) -> BinaryIO:
    """An open file: its length is told to the CE, which otherwise takes a cut upload for a whole one."""
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
    """One job's fetch: files land in a new directory that takes its place at the end.

    Small ones land together at that end: a job of a few logs costs one visit to the disk.
    """

    wire: ArcConnection
    job: str
    plan: FetchPlan
    limit: int  # bytes
    now: Clock
    fresh: Path
    small: dict[str, bytes] = field(default_factory=dict)
    held: int = 0  # bytes of those that are in memory or on their way there
    made: bool = False  # something may lie in `fresh`
    found: set[str] = field(default_factory=set)
    size: int = 0
    seen: int = 0  # entries of listings
    unlisted: set[str] = field(default_factory=set)  # declared, and in no listing
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
            if self.made:
                await asyncio.to_thread(shutil.rmtree, self.fresh, ignore_errors=True)

    async def _all(self) -> Fetched | Refused:
        listed = await self._list("", 0)
        self.unlisted = {name for name in self.plan.declared if not name.endswith("/") and name not in listed}
        if self.unlisted and self.bare:
            return _lacking(self.unlisted, for_good=False)
        # by the path at home: where both lie in the same place, the CE's own file wins
        homes = {name: f"session/{quote(name)}" for name in (*listed, *self.unlisted)}
        homes |= {home: f"diagnose/{quote(name)}" for name, home in diagnosed(self.plan.patterns)}
        if outside := [home for home in homes if home.startswith("/") or ".." in home.split("/")]:
            return Refused(f"{outside[0]} is not below the job's directory", for_good=True)
        await each(homes, lambda home: self._bring(homes[home], home))
        if missing := self.unlisted - self.found:
            return _lacking(missing, for_good=True)
        self.made = True
        await to_the_end(asyncio.ensure_future(asyncio.to_thread(self._land)))
        self.made = False
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
        """One file; a control file that is not there is no error, and no listing is the only witness of a lack."""
        async with (
            self.wire.transfers,
            self.wire.request("GET", f"{self.job}/{path}", self.now(), headers=OCTETS) as got,
        ):
            if got.status == 404 and (
                path.startswith("diagnose/") or (home in self.unlisted and got.reason == NO_FILE)
            ):
                return
            if got.status != 200:
                raise _refusal(got.status, got.reason, home)
            size = SMALL + 1 if got.content_length is None else got.content_length
            if size <= SMALL and self.held + size <= HELD:
                self.held += size
                self.small[home] = await self._whole(got)
            else:
                self.made = True
                await self._keep(got, await opened(_create, self.fresh / home))
        self.found.add(home)

    async def _whole(self, got: aiohttp.ClientResponse) -> bytes:
        pieces = []
        async for piece in got.content.iter_chunked(PIECE):
            self._weigh(piece)
            pieces.append(piece)
            if sum(map(len, pieces)) > SMALL:  # it is packed, and its length is told of the package
                raise _Refusal("a file is larger than it was said to be")
        return b"".join(pieces)

    async def _keep(self, got: aiohttp.ClientResponse, file: BinaryIO) -> None:
        try:
            async for piece in got.content.iter_chunked(PIECE):
                self._weigh(piece)
                await in_thread(file.write, piece)
        finally:
            # it writes what is left; a cancelled one would never begin
            await asyncio.shield(in_thread(file.close))

    def _weigh(self, piece: bytes) -> None:
        self.size += len(piece)
        if self.size > self.limit:
            raise _Unwanted(f"more than {self.limit} bytes")

    def _land(self) -> None:
        """What is in memory goes beside the rest, and all of it takes its place. Raises OSError, BadFile, DiskError."""
        make_folders(self.fresh)
        try:
            for home, data in self.small.items():
                with _create(self.fresh / home) as file:
                    file.write(data)
        except OSError as err:
            raise verdict(err) from err
        take_place(self.fresh, self.plan.directory)


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
    """A new file and its directory."""
    make_folders(path.parent)
    return new_file(path)


async def fetch_job(wire: ArcConnection, job: str, plan: FetchPlan, limit: int, now: Clock) -> Fetched | Gone | Refused:
    """Bring what is wanted of a job home. Raises what is not this job's own: Transient, CredentialError, DiskError."""
    return await _Fetch(wire, job, plan, limit, now, beside(plan.directory)).run()


def _lacking(names: Collection[str], *, for_good: bool) -> Refused:
    return Refused(f"the payload left no {', '.join(sorted(names)[:5])}", for_good=for_good)
