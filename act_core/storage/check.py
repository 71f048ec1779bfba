"""Is a file on storage, whole? Size and adler32 over https in one request a file (RFC 3230 `Want-Digest`)."""

import asyncio
import contextlib
import re
import ssl
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from urllib.parse import urljoin, urlsplit

import aiohttp
from yarl import URL

CONNECT = 15.0  # seconds
REDIRECTS = 5
SILENT = 3  # files in a row without an answer: the host's other files are not asked for in this round

_HEX = re.compile(r"[0-9a-f]{1,8}")


class Outcome(StrEnum):
    """What storage says of a file."""

    MATCH = "match"
    MISMATCH = "mismatch"
    ABSENT = "absent"
    UNVERIFIABLE = "unverifiable"  # storage, or we, cannot tell; a size that could be compared agrees
    UNREACHABLE = "unreachable"  # no answer, or none for now: ask again
    FORBIDDEN = "forbidden"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file as it should be. Size in bytes; adler32 in hexadecimal digits, leading zeros may be missing."""

    url: str
    size: int | None
    adler32: str | None


@dataclass(frozen=True, slots=True)
class Verdict:
    outcome: Outcome
    words: str = ""


async def check(
    files: Collection[Wanted],
    *,
    context: ssl.SSLContext,
    perhost: int = 6,
    timeout: timedelta = timedelta(minutes=5),
    deadline: timedelta = timedelta(minutes=10),
    token: str | None = None,
) -> Mapping[str, Verdict]:
    """A verdict for each URL; never raises for a file or a host.

    `timeout` is for one file (a cold one is read whole before the storage answers), `deadline` for all of them;
    `token` goes to the named hosts only, not to where they redirect.
    """
    verdicts: dict[str, Verdict] = {}
    hosts: dict[str, deque[Wanted]] = {}
    for file in {file.url: file for file in files}.values():
        host = _host(file.url)
        if host is None:
            verdicts[file.url] = Verdict(Outcome.UNVERIFIABLE, f"{file.url[:200]!r} is no address that can be asked")
        else:
            hosts.setdefault(host, deque()).append(file)
    limits = aiohttp.ClientTimeout(total=timeout.total_seconds(), sock_connect=CONNECT)
    connector = aiohttp.TCPConnector(ssl=context, limit=0, limit_per_host=perhost)
    async with aiohttp.ClientSession(timeout=limits, connector=connector) as session:
        rounds = [_Host(session, host, todo, token, verdicts) for host, todo in hosts.items()]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline.total_seconds()):
                await asyncio.gather(*(one.ask() for one in rounds for _ in range(perhost)))
    return {file.url: verdicts.get(file.url, Verdict(Outcome.UNREACHABLE, "no time left")) for file in files}


@dataclass(slots=True)
class _Host:
    """The files of one storage host; several workers call `ask`."""

    session: aiohttp.ClientSession
    host: str
    todo: deque[Wanted]
    token: str | None
    verdicts: dict[str, Verdict]
    silent: int = 0

    async def ask(self) -> None:
        while self.todo:
            file = self.todo.popleft()
            if self.silent >= SILENT:
                self.verdicts[file.url] = Verdict(Outcome.UNREACHABLE, f"{self.host} does not answer")
                continue
            try:
                self.verdicts[file.url] = await self._head(file)
                self.silent = 0
            except aiohttp.InvalidURL as err:
                self.verdicts[file.url] = Verdict(Outcome.UNVERIFIABLE, f"no address: {err}"[:300])
            except (aiohttp.ClientError, OSError, TimeoutError) as err:
                self.silent += 1
                words = f"{type(err).__name__} {err}".rstrip()[:300]
                self.verdicts[file.url] = Verdict(Outcome.UNREACHABLE, words)
            except ValueError as err:
                self.verdicts[file.url] = Verdict(Outcome.UNVERIFIABLE, f"no address: {err}"[:300])

    async def _head(self, file: Wanted) -> Verdict:
        """One file, through redirects. Raises aiohttp's errors."""
        url = _https(file.url)
        for _ in range(REDIRECTS + 1):
            async with self.session.head(URL(url, encoded=True), headers=self._headers(url)) as answer:
                if answer.status not in (301, 302, 303, 307, 308):
                    return judge(file, answer.status, answer.headers)
                url = urljoin(url, answer.headers.get("Location", ""))
            if urlsplit(url).scheme != "https":
                return Verdict(Outcome.UNVERIFIABLE, f"redirected to {url[:200]!r}, which is not https")
        return Verdict(Outcome.UNREACHABLE, f"more than {REDIRECTS} redirects")

    def _headers(self, url: str) -> Mapping[str, str]:
        headers = {"Want-Digest": "adler32", "Accept-Encoding": "identity"}
        if self.token and _host(url) == self.host:
            headers["Authorization"] = f"Bearer {self.token}"
        return headers


_REFUSALS: Mapping[int, Outcome] = {
    401: Outcome.FORBIDDEN,
    403: Outcome.FORBIDDEN,
    404: Outcome.ABSENT,
    409: Outcome.MISMATCH,  # a directory
    410: Outcome.ABSENT,
    408: Outcome.UNREACHABLE,
    425: Outcome.UNREACHABLE,
    429: Outcome.UNREACHABLE,
    501: Outcome.UNVERIFIABLE,  # knows no HEAD
}


def judge(file: Wanted, status: int, headers: Mapping[str, str]) -> Verdict:
    """What an answer to HEAD means for a file. Pure; `headers` in any case of letters."""
    if status != 200:
        otherwise = Outcome.UNREACHABLE if status >= 500 else Outcome.UNVERIFIABLE
        return Verdict(_REFUSALS.get(status, otherwise), f"storage answers {status}")
    found = {name.lower(): value for name, value in headers.items()}
    length = found.get("content-length", "")
    size = int(length) if length.isascii() and length.isdigit() else None
    if file.size is not None and size is not None and size != file.size:
        return Verdict(Outcome.MISMATCH, f"size is {size}, not {file.size}")
    wanted, there = _padded(file.adler32), _padded(_digest(found.get("digest", "")))
    if wanted is not None and there is not None and wanted != there:
        return Verdict(Outcome.MISMATCH, f"adler32 is {there}, not {wanted}")
    if wanted is not None and there is not None:
        return Verdict(Outcome.MATCH)
    who = "storage gives no adler32" if there is None else "no adler32 is known for it"
    agrees = file.size is not None and size is not None
    return Verdict(Outcome.UNVERIFIABLE, f"{who}; the size {'agrees' if agrees else 'cannot be compared either'}")


def _digest(header: str) -> str | None:
    """The adler32 among the comma-separated values of `Digest`."""
    for value in header.split(","):
        kind, _, digits = value.strip().partition("=")
        if kind.strip().lower() == "adler32":
            return digits.strip()
    return None


def _padded(digits: str | None) -> str | None:
    """8 lower-case digits: servers and pilots drop leading zeros. None: no adler32."""
    lower = (digits or "").strip().lower()
    return lower.rjust(8, "0") if _HEX.fullmatch(lower) else None


def _host(url: str) -> str | None:
    """host:port of an address that can be asked; None: another scheme, or no address."""
    try:
        parts = urlsplit(url)
        port = parts.port or 443
    except ValueError:
        return None
    good = parts.scheme in ("https", "davs") and parts.hostname and url.isprintable() and " " not in url
    return f"{parts.hostname}:{port}" if good else None


def _https(url: str) -> str:
    return f"https{url[len('davs') :]}" if url.startswith("davs://") else url
