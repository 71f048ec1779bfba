"""The download of CRIC's feed; the last good copy is kept on disk and serves when CRIC does not."""

import asyncio
import json
import os
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from act_core.credentials.tls import client_context
from act_core.errors import ActError, ProtocolError, Transient

LARGEST_FEED = 256 * 1024 * 1024  # bytes; all of ATLAS takes about 30 MB
CONNECT = 15.0  # seconds


@dataclass(frozen=True, slots=True)
class Feed:
    """The feed's text. `trouble`: why it is not fresh."""

    text: str
    age: timedelta
    trouble: str | None = None


async def fetch_cric(url: str, ca: Path, timeout: timedelta, last_good: Path) -> Feed:
    """The feed of now, or else the last good one with its age.

    `url` may be the absolute path of a file, as on CVMFS. A feed that is no JSON object, or an empty one, is not good.
    Raises the download's Transient, ProtocolError or ConfigError when there is no last good copy either.
    """
    try:
        text = await _download(url, ca, timeout)
        await asyncio.to_thread(_check, text)
        await asyncio.to_thread(_keep, text, last_good)
    except ActError as err:
        kept = await asyncio.to_thread(_kept, last_good)
        if kept is None:
            raise
        return Feed(kept[0], kept[1], str(err))
    return Feed(text, timedelta(0))


async def _download(url: str, ca: Path, timeout: timedelta) -> str:
    if url.startswith("/"):
        return await asyncio.to_thread(_read_file, Path(url))
    context = client_context(ca) if urlsplit(url).scheme == "https" else True
    limits = aiohttp.ClientTimeout(total=timeout.total_seconds(), connect=CONNECT)
    try:
        async with (
            aiohttp.ClientSession(timeout=limits) as session,
            session.get(url, ssl=context, headers={"Accept": "application/json"}) as answer,
        ):
            if answer.status != 200:
                raise Transient(f"CRIC answers {answer.status} {answer.reason}")
            body = bytearray()
            async for piece in answer.content.iter_chunked(1 << 18):
                body += piece
                if len(body) > LARGEST_FEED:
                    raise ProtocolError(f"CRIC sends more than {LARGEST_FEED} bytes")
    except (aiohttp.ClientError, OSError, TimeoutError) as err:
        raise Transient(f"CRIC: {type(err).__name__} {err}".rstrip()) from err
    return body.decode("utf-8", "replace")


def _read_file(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST_FEED:
            raise ProtocolError(f"{path} has more than {LARGEST_FEED} bytes")
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as err:
        raise Transient(f"{path}: {err.strerror}") from err


def _check(text: str) -> None:
    """An answer that would take every queue from us is no good answer."""
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as err:
        raise ProtocolError(f"CRIC's queues are not JSON: {text[:60]!r}") from err
    if not isinstance(entries, dict) or not entries:
        raise ProtocolError(f"CRIC's queues are no object with entries: {text[:60]!r}")


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


def _kept(last_good: Path) -> tuple[str, timedelta] | None:
    try:
        written = datetime.fromtimestamp(last_good.stat().st_mtime, UTC)
        return last_good.read_text(encoding="utf-8"), datetime.now(UTC) - written
    except (OSError, UnicodeDecodeError):
        return None
