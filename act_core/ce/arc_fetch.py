"""Files from a session directory of A-REX: few small ones cost one turn of a thread and one visit to the disk."""

import asyncio
import shutil
import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from act_core.ce import arc_dialect
from act_core.ce.arc_http import LARGEST_ANSWER
from act_core.ce.arc_lanes import Lane, Lanes, Reply
from act_core.ce.arc_transfer import (
    NO_FILE,
    OCTETS,
    TRANSFER_S,
    Clock,
    Nowhere,
    Refusal,
    Unwanted,
    knows,
    refusal,
    safe,
)
from act_core.ce.base import Fetched, FetchPlan, Gone, Refused
from act_core.ce.disk import BadFile, beside, make_folders, new_file, take_place, verdict, write_new
from act_core.ce.gathering import chunked, each
from act_core.ce.patterns import below, diagnosed, of_session, wanted
from act_core.errors import DiskError, ProtocolError, Transient
from act_core.jobspec import COMMIT_FILE

MOST_FILES, DEEPEST = 20_000, 20
FEW = 8  # files that one thread brings, one after the other
LISTED = {"Accept": "application/json"}
SMALL = 1 << 16  # bytes of a file that is held in memory until all of its job are there
HELD = 1 << 18  # of all such files of a job


async def fetch_job(lanes: Lanes, job: str, plan: FetchPlan, limit: int, now: Clock) -> Fetched | Gone | Refused:
    """Bring what is wanted of a job home. `job`: its path; `limit`: bytes.

    Raises what is not this job's own: Transient, CredentialError, DiskError.
    """
    one = _Fetch(job, plan, limit, beside(plan.directory))
    try:
        async with asyncio.timeout(TRANSFER_S):
            return await _brought(lanes, one, now)
    except Nowhere as err:
        if await knows(lanes.wire, job, now):
            raise Transient(str(err)) from err
        return Gone()
    except (Unwanted, Refusal, BadFile) as err:
        return Refused(str(err), for_good=isinstance(err, Unwanted))
    except TimeoutError as err:
        if not one.size:  # it waited for its turn
            raise Transient(f"{lanes.wire.endpoint}: nothing was fetched within {TRANSFER_S:.0f} s") from err
        return Refused(f"not fetched within {TRANSFER_S:.0f} s", for_good=False)
    except (OSError, DiskError) as err:
        raise DiskError(f"{plan.directory} cannot be written: {err}") from err
    finally:
        if one.made:
            await asyncio.to_thread(shutil.rmtree, one.fresh, ignore_errors=True)


async def _brought(lanes: Lanes, one: "_Fetch", now: Clock) -> Fetched | Refused:
    """Many files are brought by several threads."""
    refused = await lanes.run(one.begin, now())
    if refused is not None:
        return refused
    if one.left:
        parts = [tuple(part) for part in chunked(one.left, FEW)]
        await each(parts, lambda part: lanes.run(partial(one.bring, part), now()))
        refused = await lanes.run(one.finish, now())
    return refused or Fetched(len(one.found), one.size, one.bare and of_session(one.plan.patterns))


@dataclass(slots=True)
class _Fetch:
    """One job's fetch, as threads do it: files land in a new directory that takes its place at the end.

    Small ones land together at that end: a job of a few logs costs one visit to the disk.
    """

    job: str
    plan: FetchPlan
    limit: int  # bytes
    fresh: Path
    homes: dict[str, str] = field(default_factory=dict)  # path on the CE by path at home
    left: list[str] = field(default_factory=list)  # what `begin` did not bring
    small: dict[str, bytes] = field(default_factory=dict)
    held: int = 0  # bytes of those that are in memory or on their way there
    made: bool = False  # something may lie in `fresh`
    found: set[str] = field(default_factory=set)
    size: int = 0
    seen: int = 0  # entries of listings
    unlisted: set[str] = field(default_factory=set)  # declared, and in no listing
    bare: bool = False  # the CE knows the job, and finds no session directory of it
    lock: threading.Lock = field(default_factory=threading.Lock)  # of `held` and `size`

    def begin(self, lane: Lane) -> Refused | None:
        """List the job's files, and bring a few home; of many, `left` tells what is to be brought."""
        listed = self._list(lane, "", 0)
        self.unlisted = {name for name in self.plan.declared if not name.endswith("/") and name not in listed}
        if self.unlisted and self.bare:
            return _lacking(self.unlisted, for_good=False)
        # by the path at home: where both lie in the same place, the CE's own file wins
        self.homes = {name: f"session/{quote(name)}" for name in (*listed, *self.unlisted)}
        self.homes |= {home: f"diagnose/{quote(name)}" for name, home in diagnosed(self.plan.patterns)}
        if outside := [home for home in self.homes if home.startswith("/") or ".." in home.split("/")]:
            return Refused(f"{outside[0]} is not below the job's directory", for_good=True)
        if len(self.homes) > FEW:
            self.left = list(self.homes)
            return None
        self.bring(self.homes, lane)
        return self.finish(lane)

    def bring(self, homes: Collection[str], lane: Lane) -> None:
        for home in homes:
            self._bring(lane, self.homes[home], home)

    def finish(self, lane: Lane) -> Refused | None:
        """What has come takes its place, if somebody still waits for it."""
        lane.go_on()
        if missing := self.unlisted - self.found:
            return _lacking(missing, for_good=True)
        self.made = True
        self._land()
        self.made = False
        return None

    def _list(self, lane: Lane, directory: str, depth: int) -> list[str]:
        """Wanted files below a directory."""
        path = f"{self.job}/session" + (f"/{quote(directory)}" if directory else "")
        with lane.request("GET", path, LISTED) as answer:
            if answer.status == 404 and answer.reason == NO_FILE:
                self.bare = self.bare or not directory
                return []
            if answer.status != 200:
                raise refusal(answer.status, answer.reason, f"listing {directory or '/'}")
            body = answer.whole(LARGEST_ANSWER)
        try:
            files, directories = arc_dialect.listing(body)
        except ProtocolError as err:
            raise Refusal(str(err)) from err
        self.seen += len(files) + len(directories)
        if self.seen > MOST_FILES:
            raise Unwanted(f"more than {MOST_FILES} files and directories")
        prefix, patterns = f"{directory}/" if directory else "", (*self.plan.patterns, *self.plan.declared)
        found = [f"{prefix}{safe(name)}" for name in files if wanted(f"{prefix}{name}", patterns)]
        for name in directories:
            inner = f"{prefix}{safe(name)}"
            if depth < DEEPEST and below(inner, patterns):
                found += self._list(lane, inner, depth + 1)
        return [name for name in found if name != COMMIT_FILE]

    def _bring(self, lane: Lane, path: str, home: str) -> None:
        """One file; a control file that is not there is no error, and no listing is the only witness of a lack."""
        with lane.request("GET", f"{self.job}/{path}", OCTETS) as got:
            if got.status == 404 and (
                path.startswith("diagnose/") or (home in self.unlisted and got.reason == NO_FILE)
            ):
                return
            if got.status != 200:
                raise refusal(got.status, got.reason, home)
            if self._holds(got.size):
                self.small[home] = b"".join(self._pieces(got))
            else:
                self.made = True
                with _opened(self.fresh / home) as file:
                    self._keep(got, file)
        self.found.add(home)

    def _holds(self, size: int | None) -> bool:
        """Whether a file of this size is held in memory until the others are there."""
        with self.lock:
            if size is None or size > SMALL or self.held + size > HELD:
                return False
            self.held += size
        return True

    def _pieces(self, got: Reply) -> Iterator[bytes]:
        while piece := got.read():
            with self.lock:
                self.size += len(piece)
                if self.size > self.limit:
                    raise Unwanted(f"more than {self.limit} bytes")
            yield piece

    def _keep(self, got: Reply, file: BinaryIO) -> None:
        for piece in self._pieces(got):
            try:
                file.write(piece)
            except OSError as err:
                raise verdict(err) from err

    def _land(self) -> None:
        """What is in memory goes beside the rest, and all of it takes its place. Raises OSError, BadFile, DiskError."""
        make_folders(self.fresh)
        try:
            for directory in {str(Path(home).parent) for home in self.small if "/" in home}:
                make_folders(self.fresh / directory)
            for home, content in self.small.items():
                write_new(self.fresh / home, content)
        except OSError as err:
            raise verdict(err) from err
        take_place(self.fresh, self.plan.directory)


def _opened(path: Path) -> BinaryIO:
    """A new file and its directory. Raises DiskError, BadFile."""
    try:
        make_folders(path.parent)
        return new_file(path)
    except OSError as err:
        raise verdict(err) from err


def _lacking(names: Collection[str], *, for_good: bool) -> Refused:
    return Refused(f"the payload left no {', '.join(sorted(names)[:5])}", for_good=for_good)
