"""The download of CRIC's feed; the last good copy is kept on disk and serves when CRIC does not."""

import asyncio
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar
from urllib.parse import urljoin, urlsplit

from act_core.credentials.tls import client_context
from act_core.errors import ActError, ProtocolError, Transient
from act_core.foreign import read_json

if TYPE_CHECKING:
    import aiohttp

LARGEST_FEED = 256 * 1024 * 1024  # bytes; all of ATLAS takes about 30 MB
CONNECT = 15.0  # seconds
REDIRECTS, MOST_REDIRECTS = (301, 302, 303, 307, 308), 5
TIMEOUT = timedelta(seconds=120)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Source:
    """`url` may be the absolute path of a file, as on CVMFS. `last_good`: where the last good copy is kept."""

    url: str
    ca: Path
    last_good: Path
    proxy: Path | None = None  # shown to the server, where it wants to know who asks
    what: str = "CRIC"  # in messages


@dataclass(frozen=True, slots=True)
class Feed(Generic[T]):
    """What the feed says. `trouble`: why it is not fresh."""

    content: T
    age: timedelta
    trouble: str | None = None


async def fetch_cric(source: Source, read: Callable[[str], T], timeout: timedelta = TIMEOUT) -> Feed[T]:
    """The feed of now, or else the last good one with its age. `read` raises ProtocolError for one that is not good.

    Raises the download's Transient, ProtocolError, ConfigError or CredentialError when there is no last good copy
    either.
    """
    try:
        text = await _download(source, timeout)
        content = await asyncio.to_thread(read, text)
        await asyncio.to_thread(_keep, text, source.last_good)
    except ActError as err:
        kept = await asyncio.to_thread(last_good_copy, source.last_good, read)
        if kept is None:
            raise
        return replace(kept, trouble=str(err))
    return Feed(content, timedelta(0))


def queues_of(text: str) -> Mapping[str, object]:
    """The entries of the pandaqueue feed. An answer that would take every queue from us is no good answer."""
    try:
        entries = read_json(text)
    except ValueError as err:
        raise ProtocolError(f"CRIC's queues are not JSON: {text[:60]!r}") from err
    if not isinstance(entries, dict) or not entries:
        raise ProtocolError(f"CRIC's queues are no object with entries: {text[:60]!r}")
    return entries


async def _download(source: Source, timeout: timedelta) -> str:
    url, what = source.url, source.what
    if url.startswith("/"):
        return await asyncio.to_thread(_read_file, Path(url))
    import aiohttp  # who only reads the last good copy does not wait for it

    limits = aiohttp.ClientTimeout(total=timeout.total_seconds(), connect=CONNECT)
    try:
        async with aiohttp.ClientSession(timeout=limits) as session:
            for _ in range(MOST_REDIRECTS + 1):
                context = client_context(source.ca, source.proxy) if urlsplit(url).scheme == "https" else True
                async with session.get(
                    url, ssl=context, headers={"Accept": "application/json"}, allow_redirects=False
                ) as answer:
                    if answer.status not in REDIRECTS:
                        return await _body(answer, what)
                    url = _elsewhere(url, answer.headers.get("Location", ""), what)
    except (aiohttp.ClientError, OSError, TimeoutError) as err:
        raise Transient(f"{what}: {type(err).__name__} {err}".rstrip()) from err
    raise Transient(f"{what}: more than {MOST_REDIRECTS} redirects")


async def _body(answer: "aiohttp.ClientResponse", what: str) -> str:
    if answer.status != 200:
        raise Transient(f"{what} answers {answer.status} {answer.reason}")
    body = bytearray()
    async for piece in answer.content.iter_chunked(1 << 18):
        body += piece
        if len(body) > LARGEST_FEED:
            raise ProtocolError(f"{what} sends more than {LARGEST_FEED} bytes")
    return body.decode("utf-8", "replace")


def _elsewhere(url: str, location: str, what: str) -> str:
    """Where a redirect leads. Who asked a server that proved its name is not sent to one that does not."""
    try:
        there = urljoin(url, location)
        good = urlsplit(there).scheme in ("https", urlsplit(url).scheme)
    except ValueError as err:
        raise Transient(f"{what}: redirected to {location[:200]!r}, which is no address") from err
    if not good:
        raise Transient(f"{what}: redirected to {there[:200]!r}, which is no https address")
    return there


def _read_file(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST_FEED:
            raise ProtocolError(f"{path} has more than {LARGEST_FEED} bytes")
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as err:
        raise Transient(f"{path}: {err.strerror}") from err


def _keep(text: str, last_good: Path) -> None:
    """Atomic; a reader sees the old copy or the new one."""
    try:
        last_good.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=last_good.parent, prefix=last_good.name)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(last_good)
    except OSError as err:
        raise Transient(f"{last_good} cannot be written: {err.strerror}") from err


def last_good_copy(file: Path, read: Callable[[str], T]) -> Feed[T] | None:
    """What was last read, with its age; None: there is nothing that can be read."""
    try:
        written = datetime.fromtimestamp(file.stat().st_mtime, UTC)
        content = read(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ProtocolError):
        return None
    return Feed(content, datetime.now(UTC) - written)
