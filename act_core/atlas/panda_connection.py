"""One PanDA server over HTTP: envelopes, exact headers, deadlines, and foreign errors translated once."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

import aiohttp

from act_core.atlas.panda_access import Access
from act_core.errors import ActError, ConfigError, CredentialError, OutcomeUnknown, ProtocolError, Transient

API = "/api/v1"
CONNECT = 15.0  # seconds to a connection, TLS included
LARGEST_ANSWER = 256 * 1024 * 1024  # bytes

_JSON = "application/json"  # exactly: with a charset the server takes the body for a form
_NO_ROLE = ("production or pilot role required", "no production/pilot role", "SSL secure connection is required")
_OUR_BUG = ("Argument error", "Type error", "expecting GET", "expecting POST")

# never written to PanDA when one of these is raised
_NOT_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


@dataclass(frozen=True, slots=True)
class Envelope:
    """What every method answers."""

    success: bool
    message: str
    data: object

    def must(self, method: str) -> object:
        """The data of an answer that may not be a refusal. Raises by the server's words."""
        if self.success:
            return self.data
        said = f"PanDA refuses {method}: {self.message[:300]}"
        if any(word in self.message for word in _NO_ROLE):
            raise CredentialError(said)
        if self.message.startswith(_OUR_BUG):
            raise ProtocolError(said)
        raise Transient(said)


class PandaConnection:
    """Calls to one server as one identity, so many at a time. Belongs to one event loop."""

    def __init__(self, server: str, access: Access, timeout: timedelta, calls: int) -> None:
        if urlsplit(server).scheme != "https":
            raise ConfigError(f"panda.server: {server!r} is no https address")
        self._base = server.rstrip("/") + API
        self._access = access
        self._timeout = timeout.total_seconds()
        self._calls = asyncio.Semaphore(calls)
        self._warm: aiohttp.ClientSession | None = None
        self._once: aiohttp.ClientSession | None = None

    async def get(self, method: str, query: Sequence[tuple[str, str]] = ()) -> Envelope:
        """Raises Transient, CredentialError, ProtocolError."""
        return await self._call(self._session(), "GET", method, params=list(query))

    async def post(self, method: str, body: Mapping[str, object]) -> Envelope:
        """For what may be sent twice. Raises Transient, CredentialError, ProtocolError."""
        return await self._call(self._session(), "POST", method, data=json.dumps(body).encode())

    async def post_once(self, method: str, body: Mapping[str, object]) -> Envelope:
        """For what may not be sent twice: a connection of its own, and OutcomeUnknown if the answer is lost."""
        return await self._call(self._session(once=True), "POST", method, data=json.dumps(body).encode(), once=True)

    async def close(self) -> None:
        for session in (self._warm, self._once):
            if session is not None:
                await session.close()
        self._warm = self._once = None

    def _session(self, *, once: bool = False) -> aiohttp.ClientSession:
        if once:
            # a kept connection may have been closed at the other end: the loss would look like a lost answer
            self._once = self._once or aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))
            return self._once
        self._warm = self._warm or aiohttp.ClientSession(connector=aiohttp.TCPConnector(keepalive_timeout=4))
        return self._warm

    async def _call(
        self,
        session: aiohttp.ClientSession,
        verb: str,
        method: str,
        *,
        once: bool = False,
        params: list[tuple[str, str]] | None = None,
        data: bytes | None = None,
    ) -> Envelope:
        context, headers = self._access.present()
        wanted = {"Accept": _JSON, **headers} | ({"Content-Type": _JSON} if data is not None else {})
        async with self._calls, _translated(method, once=once):
            timeout = aiohttp.ClientTimeout(total=self._timeout, connect=CONNECT)
            async with session.request(
                verb,
                f"{self._base}/{method}",
                params=params,
                data=data,
                headers=wanted,
                ssl=context,
                timeout=timeout,
                allow_redirects=False,
            ) as answer:
                body = await _bounded(answer)
                _check_status(method, answer.status, body, once=once)
        try:
            return _envelope(method, body)
        except ProtocolError as err:
            raise OutcomeUnknown(str(err)) if once else err from err


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for piece in answer.content.iter_chunked(1 << 16):
        body += piece
        if len(body) > LARGEST_ANSWER:
            raise ProtocolError(f"PanDA answers more than {LARGEST_ANSWER} bytes")
    return bytes(body)


def _check_status(method: str, status: int, body: bytes, *, once: bool) -> None:
    if status == 200:
        return
    words = body[:300].decode("utf-8", "replace").strip()
    said = f"PanDA answers {method} with {status}: {words}"
    if status in (401, 403) and f"{method.rpartition('/')[2]} is forbidden" not in words:
        raise CredentialError(said)
    if status == 500 and "invalid JSON" in words:
        raise ProtocolError(said)
    if once and status in (500, 502, 504):
        raise OutcomeUnknown(said)
    if status == 429 or status >= 500:
        raise Transient(said)
    raise ProtocolError(said)


def _envelope(method: str, body: bytes) -> Envelope:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as err:
        raise ProtocolError(f"PanDA's answer to {method} is not JSON: {body[:100]!r}") from err
    if not isinstance(answer, dict) or not isinstance(answer.get("success"), bool):
        raise ProtocolError(f"PanDA's answer to {method} is no envelope: {body[:100]!r}")
    return Envelope(answer["success"], str(answer.get("message") or ""), answer.get("data"))


@asynccontextmanager
async def _translated(method: str, *, once: bool) -> AsyncIterator[None]:
    """aiohttp's errors as verdicts."""
    try:
        yield
    except (aiohttp.ClientError, OSError, TimeoutError) as err:
        raise _verdict(method, err, once=once) from err


def _verdict(method: str, err: Exception, *, once: bool) -> ActError:
    said = f"PanDA, {method}: {type(err).__name__} {err}".rstrip()
    if _bad_handshake(err):
        return CredentialError(said)
    if once and not isinstance(err, _NOT_SENT):
        return OutcomeUnknown(said)
    return Transient(said)


def _bad_handshake(err: BaseException | None) -> bool:
    """Whether one side refused the other's certificate; a connection that broke in the handshake is not that."""
    while err is not None:
        if isinstance(err, ssl.SSLError | ssl.CertificateError):
            return not isinstance(err, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError)
        if isinstance(err, aiohttp.ClientConnectorCertificateError):
            return True
        err = err.__cause__ or err.__context__
    return False
