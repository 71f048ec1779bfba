"""One PanDA server over HTTP: exact headers, deadlines, and foreign errors translated once. Knows no dialect."""

import asyncio
import io
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import aiohttp

from act_core import meters
from act_core.atlas.panda_access import Access
from act_core.atlas.panda_errors import NotSpoken
from act_core.errors import ActError, ConfigError, CredentialError, OutcomeUnknown, ProtocolError, Transient
from act_core.settings.app_model import Panda

CONNECT = 15.0  # seconds to a connection, TLS included
LARGEST_ANSWER = 256 * 1024 * 1024  # bytes
JSON = "application/json"  # exactly: with a charset the server takes the body for a form

# never written to PanDA when one of these is raised
_NOT_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


class PandaConnection:
    """Calls to one server as one identity, so many at a time. Belongs to one event loop."""

    def __init__(self, settings: Panda, prefix: str, access: Access) -> None:
        if urlsplit(settings.server).scheme != "https":
            raise ConfigError(f"panda.server: {settings.server!r} is no https address")
        self._server = urlsplit(settings.server).netloc
        self._base = settings.server.rstrip("/") + prefix
        self._access = access
        self._timeout = settings.timeout.total_seconds()
        self._calls = asyncio.Semaphore(settings.threads)
        self._warm: aiohttp.ClientSession | None = None
        self._once: aiohttp.ClientSession | None = None

    async def get(self, method: str, query: Sequence[tuple[str, str]] = ()) -> bytes:
        """Raises Transient, CredentialError, ProtocolError."""
        return await self._call(self._session(), "GET", method, params=query)

    async def post(self, method: str, body: bytes, content: str) -> bytes:
        """For what may be sent twice; `content`: the body's type. Raises Transient, CredentialError, ProtocolError."""
        return await self._call(self._session(), "POST", method, body, content)

    async def post_once(self, method: str, body: bytes, content: str) -> bytes:
        """For what may not be sent twice: a connection of its own, and OutcomeUnknown if the answer is lost."""
        return await self._call(self._session(once=True), "POST", method, body, content, once=True)

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
        data: bytes | None = None,
        content: str | None = None,
        *,
        params: Sequence[tuple[str, str]] = (),
        once: bool = False,
    ) -> bytes:
        context, headers = self._access.present()
        wanted = {"Accept": JSON, **headers} | ({"Content-Type": content} if content else {})
        async with self._calls, self._measured(method, once=once) as call:
            timeout = aiohttp.ClientTimeout(total=self._timeout, connect=CONNECT)
            async with session.request(
                verb,
                f"{self._base}/{method}",
                params=list(params),
                data=None if data is None else io.BytesIO(data),  # sent in pieces: a large one holds nobody up
                headers=wanted,
                ssl=context,
                timeout=timeout,
                allow_redirects=False,
            ) as answer:
                call.answered(answer.status)
                body = await _bounded(answer)
                _check_status(method, answer.status, body, once=once)
        return body

    @asynccontextmanager
    async def _measured(self, method: str, *, once: bool) -> AsyncIterator[meters.Call]:
        with meters.panda_call(self._server, method) as call:
            async with _translated(method, once=once):
                yield call


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
    if status == 404 or (status == 403 and f"{method.rpartition('/')[2]} is forbidden" in words):
        raise NotSpoken(said)
    if status in (401, 403):
        raise CredentialError(said)
    # the legacy API binds a call as Python does: in `getJob() got an unexpected keyword argument …` nothing was done
    if status == 500 and ("invalid JSON" in words or words.startswith(f"{method}() ")):
        raise ProtocolError(said)
    if once and status in (500, 502, 504):
        raise OutcomeUnknown(said)
    if status == 429 or status >= 500:
        raise Transient(said)
    raise ProtocolError(said)


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
