"""Connections to one A-REX as somebody: opened anew when the proxy, the authorities or their revocations change."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic

import aiohttp
from yarl import URL

from act_core.ce.arc_line import Line
from act_core.credentials.private import Mark, file_mark
from act_core.credentials.proxy import load_proxy
from act_core.credentials.tls import client_context, has_revocations, trust_mark
from act_core.credentials.tokens import load_token
from act_core.credentials.values import Bearer, Credential
from act_core.errors import ConfigError, CredentialError

PROBE_S = 15.0
LOOK_AGAIN = timedelta(minutes=1)  # at the directory of authorities
NO_REVOCATIONS = 3  # X509_V_ERR_UNABLE_TO_GET_CRL
KEEP_S = 15  # an idle connection; A-REX hangs up after half a minute


@dataclass(slots=True, eq=False)
class Session:
    """Connections under one proxy and one set of authorities. Retired ones are closed with their last request."""

    client: aiohttp.ClientSession
    context: ssl.SSLContext
    credential: Credential | None
    mark: tuple[Mark | None, str]
    users: int = 0
    retired: bool = False
    idle: list[tuple[float, Line]] = field(default_factory=list)  # those of threads, the oldest first; since when

    def take(self) -> Line | None:
        """A connection that was used a moment ago, for the thread that asks."""
        while self.idle:
            since, one = self.idle.pop()
            if monotonic() - since < KEEP_S:
                return one
            one.close()
        return None

    def keep(self, one: Line) -> None:
        self.idle.append((monotonic(), one))

    def prune(self) -> None:
        """Close what nobody has used for a while."""
        while self.idle and monotonic() - self.idle[0][0] >= KEEP_S:
            self.idle.pop(0)[1].close()

    async def close(self) -> None:
        while self.idle:
            self.idle.pop()[1].close()
        await self.client.close()


class Sessions:
    """What is shown to one endpoint: a proxy in the handshake, a bearer token, or both. Belongs to one event loop."""

    def __init__(
        self,
        endpoint: str,
        ca: Path,
        proxy: Path | None,
        token: Path | None,
        limit: int,
        timeout: aiohttp.ClientTimeout,
    ) -> None:
        self._url, self._ca, self.proxy, self.token = URL(endpoint), ca, proxy, token
        self._limit, self._timeout = limit, timeout
        self._renewing = asyncio.Lock()
        self._session: Session | None = None
        self._trust: tuple[datetime, str] | None = None
        self._bearer: tuple[Mark, Bearer] | None = None

    @property
    def who(self) -> str:
        """Whom the CE sees, for messages."""
        proxy = self._session.credential.subject if self._session and self._session.credential else None
        token = f"the token of {self._bearer[1].subject}" if self._bearer else None
        return " with ".join(one for one in (proxy, token) if one) or str(self.proxy or self.token)

    async def credential(self, now: datetime) -> Credential:
        """The proxy. Raises CredentialError for one that is missing, open to others, or expired."""
        found = (await self._current(now)).credential
        if found is None:
            raise ConfigError(f"{self._url} is shown a token only, and there is no proxy to delegate")
        return found

    async def bearer(self, now: datetime) -> Bearer | None:
        """The token, read again when its file has changed. Raises CredentialError as `credential` does."""
        if self.token is None:
            return None
        mark = file_mark(self.token)
        if self._bearer is None or self._bearer[0] != mark:
            self._bearer = mark, await asyncio.to_thread(load_token, self.token, now)
        found = self._bearer[1]
        if found.expires <= now:
            raise CredentialError(f"the token {self.token} has expired: renew it")
        return found

    async def headers(self, now: datetime) -> Mapping[str, str]:
        """What the token adds to a request."""
        found = await self.bearer(now)
        return {"Authorization": f"Bearer {found.text}"} if found else {}

    @asynccontextmanager
    async def using(self, now: datetime) -> AsyncIterator[Session]:
        held = await self._current(now)
        held.users += 1
        try:
            yield held
        finally:
            held.users -= 1
            if held.retired and not held.users:
                await held.close()

    def prune(self) -> None:
        """Close the connections of threads that nobody has used for a while."""
        if self._session is not None:
            self._session.prune()

    def doubt(self) -> None:
        """The authority of the server has no revocations after all: the next request opens a session anew."""
        self._trust = None
        if self._session is not None:
            self._session.mark = None, ""

    async def close(self) -> None:
        old, self._session = self._session, None
        if old is not None:
            old.retired = True
            await old.close()

    async def _current(self, now: datetime) -> Session:
        async with self._renewing:
            mark = (file_mark(self.proxy) if self.proxy else None, await self._trusted(now))
            if self._session is None or self._session.mark != mark:
                fresh = await self._opened(mark, now)
                await self._retire()
                self._session = fresh
            held = self._session.credential
            if held is not None and held.expires <= now:
                raise CredentialError(f"the proxy {self.proxy} has expired: renew it")
            return self._session

    async def _trusted(self, now: datetime) -> str:
        """A mark of the authorities and their revocations; their directory is looked at once a minute."""
        known = self._trust  # a thread may come to doubt it meanwhile
        if known is None or not timedelta(0) <= now - known[0] < LOOK_AGAIN:
            known = self._trust = now, await asyncio.to_thread(trust_mark, self._ca)
        return known[1]

    async def _opened(self, mark: tuple[Mark | None, str], now: datetime) -> Session:
        credential = await asyncio.to_thread(load_proxy, self.proxy, now) if self.proxy else None
        context = await self._context()
        connector = aiohttp.TCPConnector(
            ssl=context, limit=self._limit, keepalive_timeout=KEEP_S, socket_factory=_quick_socket
        )
        client = aiohttp.ClientSession(connector=connector, timeout=self._timeout)
        return Session(client, context, credential, mark)

    async def _context(self) -> ssl.SSLContext:
        """Revocations count where the server's authority publishes any, as grid clients have it.

        OpenSSL demands them of every authority or of none: so a handshake tells whether they are there.
        """
        if not await asyncio.to_thread(has_revocations, self._ca):
            return await asyncio.to_thread(client_context, self._ca, self.proxy)
        strict = await asyncio.to_thread(client_context, self._ca, self.proxy, revocations=True)
        try:
            async with asyncio.timeout(PROBE_S):
                _, writer = await asyncio.open_connection(self._url.host, self._url.port, ssl=strict)
            writer.transport.abort()
        except ssl.SSLCertVerificationError as err:
            if err.verify_code == NO_REVOCATIONS:
                return await asyncio.to_thread(client_context, self._ca, self.proxy)
        except (OSError, TimeoutError):
            pass  # what is wrong shows in the request itself, where it has a name
        return strict

    async def _retire(self) -> None:
        """Requests under way go on; the last of them closes the session."""
        old, self._session = self._session, None
        if old is not None:
            old.retired = True
            if not old.users:
                await old.close()


def _quick_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    family, kind, protocol, _name, _peer = address
    made = socket.socket(family=family, type=kind, proto=protocol)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made
