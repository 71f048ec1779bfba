"""What is asked of grid storage and what it may answer: values, and the protocol of a back end. No I/O."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Protocol
from urllib.parse import urlsplit

from act_core.errors import Transient

LONGEST_URL = 4096  # characters
PORTS: Mapping[str, int] = {"https": 443, "davs": 443, "root": 1094, "roots": 1094, "xroot": 1094, "file": 0}


class Outcome(StrEnum):
    """What storage says of a file."""

    MATCH = "match"
    MISMATCH = "mismatch"  # another size or checksum, or a directory
    ABSENT = "absent"
    UNVERIFIABLE = "unverifiable"  # storage, or we, cannot tell; a size that could be compared agrees
    UNREACHABLE = "unreachable"  # no answer, or none for now: ask again
    FORBIDDEN = "forbidden"  # storage refuses our credential


class Fate(StrEnum):
    """What became of a file that was to be deleted."""

    DELETED = "deleted"
    ABSENT = "absent"  # nothing was there
    REFUSED = "refused"  # by storage, or by us: a directory
    UNREACHABLE = "unreachable"  # ask again; it may be gone


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file as it should be. Size in bytes; checksums in hexadecimal digits, adler32 maybe without leading zeros."""

    url: str
    size: int | None
    adler32: str | None
    md5: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A file as storage describes it. None: it does not say. Checksums in hexadecimal digits."""

    size: int | None
    adler32: str | None = None
    md5: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """`asked` False: nobody asked, because the host rests or the time was over."""

    outcome: Outcome
    words: str = ""
    asked: bool = True


@dataclass(frozen=True, slots=True)
class Removal:
    """`asked`: as in `Verdict`."""

    fate: Fate
    words: str = ""
    asked: bool = True


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one storage host is asked for, and for how long."""

    perhost: int = 6  # files at a time
    connect: timedelta = timedelta(seconds=15)
    timeout: timedelta = timedelta(minutes=5)  # one file: a cold one is read whole before storage answers
    deadline: timedelta = timedelta(minutes=10)  # the files of one host in one round
    failures: int = 5  # in a row, after which the host rests
    rest: timedelta = timedelta(seconds=30)  # the first one; each further one is twice as long
    longest_rest: timedelta = timedelta(minutes=15)


class Unreachable(Transient):
    """No answer about this file for now, in words for people."""


@dataclass(frozen=True, slots=True)
class Place:
    """An address that was taken apart. `path` as it is written, with the query if there is one."""

    url: str
    scheme: str
    host: str  # name:port, as people write it
    name: str
    path: str


# Asked immediately before a file is deleted: why it may not be (any more), or nothing.
Permit = Callable[[], Awaitable[str]]


class Backend(Protocol):
    """One way to storage. Raises Unreachable for what should be asked again, CredentialError for our own credential."""

    async def look(self, place: Place, file: Wanted) -> Verdict: ...

    async def delete(self, place: Place, permit: Permit) -> Removal: ...

    async def close(self) -> None: ...


def place_of(url: str) -> Place | None:
    """None: not an address, one with a password in it, or of a scheme that nobody here speaks."""
    if len(url) > LONGEST_URL or not url.isprintable() or any(letter.isspace() for letter in url):
        return None
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS.get(parts.scheme)
    except ValueError:
        return None
    local = parts.scheme == "file" and parts.hostname == "localhost"
    name = "" if local else parts.hostname or ""
    if port is None or parts.username is not None or parts.fragment or bool(name) == (parts.scheme == "file"):
        return None
    shown = f"[{name}]" if ":" in name else name
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    return Place(url, parts.scheme, f"{shown}:{port}" if name else "this machine", name, path)
