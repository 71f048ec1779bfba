"""Requests for files of an A-REX, in threads: over the TLS of an event loop each costs several times the CPU."""

import asyncio
import select
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime
from http.client import HTTPException, HTTPResponse, HTTPSConnection, IncompleteRead
from typing import BinaryIO, TypeVar
from urllib.parse import urlsplit

from act_core import meters
from act_core.ce.arc_http import CONNECT_S, ArcConnection, hurry, what
from act_core.ce.arc_session import KEEP_S
from act_core.errors import ProtocolError, Transient
from act_core.words import clean

T = TypeVar("T")
PIECE = 1 << 18  # bytes
DRAINED = 1 << 16  # bytes of an answer that are read only to keep its connection
Headers = Mapping[str, str]
_ERRORS = (HTTPException, OSError)
_HUNG_UP = (ConnectionError, ssl.SSLEOFError)  # how a connection looks that the CE closed while it was idle


class Lanes:
    """The threads for transfers of one CE, and whose turn it is. Belongs to one event loop."""

    def __init__(self, wire: ArcConnection) -> None:
        self.wire = wire
        self.turns = asyncio.Semaphore(wire.transfers)
        self._threads: ThreadPoolExecutor | None = None
        self._users = 0
        self._pruning: asyncio.TimerHandle | None = None

    async def run(self, work: "Callable[[Lane], T]", now: datetime, within: float | None = None) -> T:
        """What `work` returns, in a thread that has a connection for itself. `within`: seconds from its turn on.

        Raises what `work` raises, CredentialError, and Transient where it takes too long.
        """
        async with self.turns:
            own = await self.wire.sessions.headers(now)
            async with self.wire.sessions.using(now) as held:
                lane = Lane(self.wire, held.context, own, held.take())
                try:
                    async with asyncio.timeout(within):
                        return await self._in_thread(work, lane)
                except TimeoutError as err:
                    raise self.wire.verdict(err) from err
                finally:
                    if (kept := lane.kept()) is not None:
                        held.keep(kept)

    async def _in_thread(self, work: "Callable[[Lane], T]", lane: "Lane") -> T:
        """Who is cancelled breaks the connection off, and waits until the thread is through."""
        self._users += 1
        thread = asyncio.get_running_loop().run_in_executor(self._pool(), work, lane)
        try:
            return await asyncio.shield(thread)
        except asyncio.CancelledError:
            lane.abort()
            await asyncio.wait([thread])
            raise
        finally:
            self._release()

    def _pool(self) -> ThreadPoolExecutor:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self.wire.transfers, thread_name_prefix=f"act-{self.wire.name}")
        return self._threads

    def _release(self) -> None:
        """The last one out sends the threads home: of many CEs, few have transfers at a time."""
        self._users -= 1
        if self._users or self._threads is None:
            return
        self._threads.shutdown(wait=False)
        self._threads = None
        if self._pruning is not None:
            self._pruning.cancel()
        self._pruning = asyncio.get_running_loop().call_later(KEEP_S, self.wire.sessions.prune)

    def close(self) -> None:
        if self._pruning is not None:
            self._pruning.cancel()


class Lane:
    """What one thread has of a CE: one request at a time over one connection. Only `abort` is for other threads."""

    def __init__(
        self, wire: ArcConnection, context: ssl.SSLContext, own: Headers, connection: HTTPSConnection | None
    ) -> None:
        self._wire, self._own = wire, own
        self._used = connection is not None
        at = urlsplit(wire.endpoint)
        self._path = at.path
        self._connection = connection or _Connection(str(at.hostname), at.port, context, wire.seconds)
        self._aborted = False

    def abort(self) -> None:
        """Whatever the thread waits for ends with an error."""
        self._aborted = True
        found = self._connection.sock
        if found is not None:
            with suppress(OSError):
                socket.socket.shutdown(found, socket.SHUT_RDWR)

    def kept(self) -> HTTPSConnection | None:
        """The connection, if it may serve another time; else it is closed. For when the thread is through."""
        if self._aborted:
            self._connection.close()
        return None if self._connection.sock is None else self._connection

    @contextmanager
    def request(
        self, method: str, path: str, headers: Headers, body: BinaryIO | None = None, size: int = 0
    ) -> "Iterator[Reply]":
        """An open answer to a call that may be repeated. `size`: bytes of the body.

        Raises Transient, CredentialError, ProtocolError.
        """
        with meters.ce_call(self._wire.name, what(method, path)) as call:
            try:
                answer = self._asked(method, self._path + path, {**headers, **self._own}, body, size)
            except _ERRORS as err:
                self._connection.close()
                raise self._wire.verdict(err) from err
            call.answered(answer.status)
            reply = Reply(self._wire, self._connection, answer)
            try:
                self._wire.heard(reply.status, reply.reason)
                self._wire.refuse_busy(reply.status, reply.reason, answer.getheader("Retry-After"))
                yield reply
            finally:
                reply.end()

    def _asked(self, method: str, path: str, headers: Headers, body: BinaryIO | None, size: int) -> HTTPResponse:
        """The head of the answer; over a new connection, where the CE has closed the one that was kept."""
        if self._connection.sock is not None and _says_more(self._connection.sock):
            self._connection.close()
            self._used = False
        try:
            return self._once(method, path, headers, body, size)
        except _HUNG_UP:
            self._connection.close()
            if not self._used or self._aborted:
                raise
            self._used = False
            return self._once(method, path, headers, body, size)

    def _once(self, method: str, path: str, headers: Headers, body: BinaryIO | None, size: int) -> HTTPResponse:
        if self._aborted:
            raise ConnectionAbortedError("broken off")
        self._connection.putrequest(method, path)
        for name, value in headers.items():
            self._connection.putheader(name, value)
        if body is None:
            self._connection.endheaders()
        else:
            self._connection.putheader("Content-Length", str(size))
            self._connection.endheaders()
            body.seek(0)
            while piece := body.read(PIECE):
                self._connection.send(piece)
        answer = self._connection.getresponse()
        hurry(self._connection.sock)
        self._used = True
        return answer


def _says_more(found: socket.socket) -> bool:
    """Whether a CE that was asked nothing has hung up, or answers twice: what follows would be of another request."""
    if isinstance(found, ssl.SSLSocket) and found.pending():
        return True
    asked = select.poll()
    asked.register(found, select.POLLIN)
    return bool(asked.poll(0))


class Reply:
    """An answer whose body is still to be read."""

    def __init__(self, wire: ArcConnection, connection: HTTPSConnection, answer: HTTPResponse) -> None:
        self._wire, self._connection, self._answer = wire, connection, answer
        self.status, self.reason, self.size = answer.status, clean(answer.reason or ""), answer.length

    def read(self, most: int) -> bytes:
        """The next bytes; none at its end. Raises Transient if it is cut, ProtocolError if it is packed."""
        packed = self._answer.getheader("Content-Encoding", "identity")
        if packed != "identity":
            raise ProtocolError(
                f"{self._wire.endpoint} packs what it sends ({clean(packed)}), which it was not asked to"
            )
        try:
            piece = self._answer.read(most)
            if not piece and self._answer.length:
                raise IncompleteRead(piece, self._answer.length)
        except _ERRORS as err:
            self._connection.close()
            if isinstance(err, IncompleteRead):
                raise Transient(f"{self._wire.endpoint}: an answer ends too early") from err
            raise self._wire.verdict(err) from err
        return piece

    def whole(self, most: int) -> bytes:
        """All of it. Raises as `read` does, and ProtocolError for more than `most` bytes."""
        body = bytearray()
        while piece := self.read(PIECE):
            body += piece
            if len(body) > most:
                raise ProtocolError(f"{self._wire.endpoint} sends more than {most} bytes")
        return bytes(body)

    def end(self) -> None:
        """Leave the connection as another request can use it, or closed."""
        if self._answer.isclosed():
            return
        left = self._answer.length
        with suppress(*_ERRORS):
            if left is not None and left <= DRAINED and len(self._answer.read()) == left:
                return
        self._answer.close()
        self._connection.close()


class _Connection(HTTPSConnection):
    """A connection whose socket can be broken off from its first moment on."""

    def __init__(self, host: str, port: int | None, context: ssl.SSLContext, seconds: float) -> None:
        super().__init__(host, port, context=context, timeout=seconds, blocksize=PIECE)
        self._verified = context

    def connect(self) -> None:
        self.sock = self._reached()
        self.sock.settimeout(self.timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        secured = self._verified.wrap_socket(self.sock, server_hostname=self.host, do_handshake_on_connect=False)
        self.sock = secured
        secured.do_handshake()

    def _reached(self) -> socket.socket:
        found: OSError = OSError("it has no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM):
            self.sock = socket.socket(family, kind, protocol)
            self.sock.settimeout(CONNECT_S)
            try:
                self.sock.connect(address)
            except OSError as err:
                found = err
                self.sock.close()
            else:
                return self.sock
        raise found
