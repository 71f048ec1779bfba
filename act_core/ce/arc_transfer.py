"""Files to a session directory of A-REX, and what its answers about files mean."""

import io
import json
import os
import stat
from collections.abc import Callable, Collection
from datetime import datetime
from functools import partial
from typing import Any, BinaryIO
from urllib.parse import quote

from act_core.ce import arc_dialect
from act_core.ce.arc_http import ArcConnection
from act_core.ce.arc_lanes import Lane, Lanes
from act_core.ce.base import Refused, RemoteId
from act_core.ce.disk import verdict
from act_core.errors import DiskError, ProtocolError, Transient
from act_core.jobspec import InputFile

TRANSFER_S = 3600.0  # a job's files; between two pieces of one the CE's deadline holds
LONGEST_NAME = 255  # bytes
# A-REX answers "404 OK" of a job that it does not know, and something in between may answer 404 of its own accord: only
# what A-REX says of a missing file is believed as it stands, and for the rest it is asked whether it knows the job.
NO_FILE = "Not found"
OCTETS = {"Content-Type": "application/octet-stream", "Accept": "*/*"}
Clock = Callable[[], datetime]


class NoFile(Exception):
    """What is to be uploaded is not there."""


class Nowhere(Exception):
    """A 404 that may mean that the CE does not know the job; `what` was asked for."""

    def __init__(self, words: str, what: str) -> None:
        super().__init__(words)
        self.what = what


class Refusal(Exception):
    """The CE answers for this job, and not well, or a file of ours cannot be read. That may pass."""


class _Source(io.FileIO):
    """A file of ours. What goes wrong with it while it is read is no trouble with the CE, and may pass."""

    def readinto(self, into: Any) -> int | None:
        try:
            return super().readinto(into)
        except OSError as err:
            trouble = verdict(err)
            words = f"{self.name}: {trouble}"
            raise (DiskError(words) if isinstance(trouble, DiskError) else Refusal(words)) from err


class Unwanted(ProtocolError):
    """What the CE has of this job is not taken, whenever it is asked."""


def refusal(status: int, reason: str, what: str) -> Exception:
    """What an answer means that is not 200."""
    words = f"{what}: {status} {reason}".rstrip()
    return Nowhere(words, what) if status == 404 and reason != NO_FILE else Refusal(words)


async def put_files(lanes: Lanes, job: str, files: Collection[InputFile], now: Clock) -> Refused | None:
    """Upload a job's inputs; the first refusal is the answer. `job`: path of the job."""
    # texts of ours are small: each has no more time than a call
    within = TRANSFER_S if any(file.content is None for file in files) else lanes.wire.seconds * len(files)
    try:
        await lanes.run(partial(_put, job, files), now(), within)
    except NoFile as err:
        return Refused(str(err), for_good=True)
    except Nowhere as err:
        if await knows(lanes.wire, job, now):
            raise Transient(str(err)) from err
        return Refused(f"{err.what}: the CE does not know the job", for_good=True)
    except Refusal as err:
        return Refused(str(err), for_good=False)
    return None


def _put(job: str, files: Collection[InputFile], lane: Lane) -> None:
    for file in files:
        with _content(file) as data:
            size = data.seek(0, os.SEEK_END)
            with lane.request("PUT", f"{job}/session/{quote(file.name)}", OCTETS, data, size) as answer:
                if answer.status != 200:
                    raise refusal(answer.status, answer.reason, file.name)


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
    try:
        opened = io.BufferedReader(_Source(str(file.source), opener=_opened))
    except ValueError as err:
        raise NoFile(f"{file.name}: {file.source}: {err}") from err
    except OSError as err:
        trouble = verdict(err)
        raise (trouble if isinstance(trouble, DiskError) else NoFile(f"{file.name}: {trouble}")) from err
    if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
        opened.close()
        raise NoFile(f"{file.name}: {file.source} is not a file")
    return opened


def _opened(path: str, _: int) -> int:
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def safe(name: str) -> str:
    """A name of one file or directory. Raises for one that leads elsewhere."""
    try:
        long = len(name.encode()) > LONGEST_NAME
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can carry and a file system cannot
        long = True
    if long or name in ("", ".", "..") or "/" in name or "\x00" in name:
        raise Unwanted(f"the CE lists a file named {name[:60]!r}")
    return name
