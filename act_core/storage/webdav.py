"""https:// and davs://: one HEAD a file tells whether it is there, its size and its checksum."""

import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

import aiohttp
from yarl import URL

from act_core.storage.base import Fate, Outcome, Permit, Place, Removal, Unreachable, Verdict, Wanted, place_of
from act_core.storage.compare import kinds_of
from act_core.storage.webdav_dialect import REDIRECTS, judge, not_a_file, removed, target

MOST_REDIRECTS = 5
_ANSWER = 1 << 16  # bytes of a body that are looked at
_DEPTH_0 = b'<?xml version="1.0" encoding="utf-8"?><propfind xmlns="DAV:"><prop><resourcetype/></prop></propfind>'
_REFUSED = re.compile(r"ALERT_(BAD_|UNSUPPORTED_)?CERTIFICATE|ALERT_(UNKNOWN_CA|DECRYPT|ACCESS)|CERTIFICATE_REQUIRED")


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token and the hosts that may see it; `.example.org`: all below. Other hosts, and redirects to them, do not."""

    read: Callable[[], str]  # raises CredentialError
    hosts: tuple[str, ...] = ()

    def headers(self, host: str) -> Mapping[str, str]:
        meant = any(host == one.lower() or (one[:1] == "." and host.endswith(one.lower())) for one in self.hosts)
        return {"Authorization": f"Bearer {self.read()}"} if meant else {}


class _Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


class _Elsewhere(Exception):
    """A redirect that is not followed, in words."""


class _NotUs(Exception):
    """The server ended the handshake because of our certificate, in words."""


@dataclass(slots=True)
class Webdav:
    """`context` is asked for before each request, so that a renewed proxy is used; it may raise CredentialError."""

    context: Callable[[], ssl.SSLContext]
    connect: timedelta = timedelta(seconds=15)
    bearer: Bearer | None = None
    _session: aiohttp.ClientSession | None = field(default=None, init=False)

    async def look(self, place: Place, file: Wanted) -> Verdict:
        if _names_directory(place):
            return Verdict(Outcome.MISMATCH, "the address is that of a directory")  # to which XRootD 5.8 may not answer
        kinds = {"Want-Digest": ",".join(kinds_of(file)), "Accept-Encoding": "identity"}
        try:
            answer = await self._ask("HEAD", place, kinds)
        except _Elsewhere as err:
            return Verdict(Outcome.UNVERIFIABLE, str(err))
        except _NotUs as err:
            return Verdict(Outcome.FORBIDDEN, str(err))
        verdict = judge(file, answer.status, answer.headers)
        if verdict.outcome is Outcome.UNREACHABLE:
            raise Unreachable(verdict.words)
        return verdict

    async def delete(self, place: Place, permit: Permit) -> Removal:
        """A file, after a look whether it is one."""
        if _names_directory(place):
            return Removal(Fate.REFUSED, "the address is that of a directory")
        try:
            asked = {"Depth": "0", "Content-Type": "application/xml"}
            answer = await self._ask("PROPFIND", place, asked, _DEPTH_0)
            removal = not_a_file(answer.status, answer.body)
            if removal is None and (why := await permit()):
                removal = Removal(Fate.REFUSED, why, asked=False)
            removal = removal or removed((await self._ask("DELETE", place, {})).status)
        except (_Elsewhere, _NotUs) as err:
            return Removal(Fate.REFUSED, str(err))
        if removal.fate is Fate.UNREACHABLE:
            raise Unreachable(removal.words)
        return removal

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _ask(self, verb: str, place: Place, headers: Mapping[str, str], body: bytes | None = None) -> _Answer:
        """One question, through redirects. Raises Unreachable, _Elsewhere, _NotUs, CredentialError."""
        url = place.url
        for _ in range(MOST_REDIRECTS + 1):
            there = place_of(url)
            if there is None or there.scheme not in ("https", "davs"):
                raise _Elsewhere(f"redirected to {url[:200]!r}, which is no https address")
            shown = dict(headers) | dict(self.bearer.headers(there.name) if self.bearer else {})
            answer = await self._once(verb, _https(url), shown, body)
            if answer.status not in REDIRECTS:
                return answer
            url = target(_https(url), answer.headers.get("location", ""))
        raise Unreachable(f"more than {MOST_REDIRECTS} redirects")

    async def _once(self, verb: str, url: str, headers: Mapping[str, str], body: bytes | None) -> _Answer:
        context = self.context()
        try:
            async with self._warm().request(
                verb, URL(url, encoded=True), headers=headers, data=body, ssl=context, allow_redirects=False
            ) as answer:
                # a header may come twice
                said = {name.lower(): ",".join(answer.headers.getall(name)) for name in answer.headers}
                return _Answer(answer.status, said, await _bounded(answer))
        except aiohttp.InvalidURL as err:
            raise _Elsewhere(f"{url[:200]!r} is no address: {err}"[:400]) from err
        except (aiohttp.ClientError, OSError, TimeoutError) as err:  # some of these are ValueErrors, too
            words = f"{type(err).__name__} {err}".rstrip()[:300]
            if _REFUSED.search(words):
                raise _NotUs(f"storage refuses our certificate: {words}") from err
            raise Unreachable(words) from err
        except ValueError as err:
            raise _Elsewhere(f"{url[:200]!r} is no address: {err}"[:400]) from err

    def _warm(self) -> aiohttp.ClientSession:
        """How many connections there are is bounded by who calls."""
        if self._session is None:
            limits = aiohttp.ClientTimeout(total=None, connect=self.connect.total_seconds())
            connector = aiohttp.TCPConnector(limit=0)
            self._session = aiohttp.ClientSession(
                timeout=limits, connector=connector, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for piece in answer.content.iter_chunked(_ANSWER):
        body += piece
        if len(body) >= _ANSWER:
            break
    return bytes(body)


def _names_directory(place: Place) -> bool:
    path = place.path.partition("?")[0]
    return not path or path.endswith("/")


def _https(url: str) -> str:
    return f"https{url[len('davs') :]}" if url[:5].lower() == "davs:" else url
