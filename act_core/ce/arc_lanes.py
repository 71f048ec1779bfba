"""Requests for files of an A-REX, in threads: over the TLS of an event loop each costs several times the CPU."""

import asyncio
import ssl
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import BinaryIO, TypeVar
from urllib.parse import urlsplit

from act_core import meters
from act_core.ce.arc_http import ArcConnection, what
from act_core.ce.arc_line import WIRE_ERRORS, Answer, Cut, Line, Peer
from act_core.ce.arc_session import KEEP_S
from act_core.errors import ProtocolError, Transient
from act_core.shielded import ended
from act_core.words import clean

T = TypeVar("T")
HTTPS = 443
DRAINED = 1 << 16  # bytes of an answer that are read only to keep its connection
Headers = Mapping[str, str]
_HUNG_UP = (ConnectionError, ssl.SSLEOFError)  # how a connection looks that the CE closed while it was idle


class Lanes:
    """The threads for transfers of one CE, and whose turn it is. Belongs to one event loop."""

    def __init__(self, wire: ArcConnection) -> None:
        self.wire = wire
        at = urlsplit(wire.endpoint)
        self._peer = Peer(str(at.hostname), at.port or HTTPS, wire.seconds)
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
                lane = Lane(self.wire, own, held.take() or Line(self._peer, held.context))
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
        try:
            thread = asyncio.get_running_loop().run_in_executor(self._pool(), work, lane)
            try:
                return await asyncio.shield(thread)
            except asyncio.CancelledError:
                lane.abort()
                await ended(thread)
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

    def __init__(self, wire: ArcConnection, own: Headers, line: Line) -> None:
        self._wire, self._own, self._line = wire, own, line
        self._path = urlsplit(wire.endpoint).path

    def abort(self) -> None:
        """Whatever the thread waits for ends with an error."""
        self._line.abort()

    def go_on(self) -> None:
        """Raises Transient where nobody wants any more what the thread is about to do."""
        if self._line.aborted:
            raise Transient(f"{self._wire.endpoint}: broken off")

    def kept(self) -> Line | None:
        """The connection, if it may serve another time; else it is closed. For when the thread is through."""
        if self._line.aborted:
            self._line.close()
        return self._line if self._line.open else None

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
            except BaseException as err:
                self._line.close()  # part of a request may be on its way
                if isinstance(err, WIRE_ERRORS):
                    raise self._wire.verdict(err) from err
                raise
            call.answered(answer.status)
            reply = Reply(self._wire, self._line, answer)
            try:
                self._wire.heard(reply.status, reply.reason)
                self._wire.refuse_busy(reply.status, reply.reason, answer.headers.get("retry-after"))
                yield reply
            finally:
                reply.end()

    def _asked(self, method: str, path: str, headers: Headers, body: BinaryIO | None, size: int) -> Answer:
        """The head of the answer; over a new connection, where the CE has closed the one that was kept."""
        if self._line.quiet():
            with suppress(*_HUNG_UP):
                return self._line.ask(method, path, headers, body, size)
            self._line.close()
        return self._line.ask(method, path, headers, body, size)


class Reply:
    """An answer whose body is still to be read."""

    def __init__(self, wire: ArcConnection, line: Line, answer: Answer) -> None:
        self._wire, self._line, self._answer = wire, line, answer
        self.status, self.reason, self.size = answer.status, clean(answer.reason), answer.size

    def read(self) -> bytes:
        """The next bytes; none at its end. Raises Transient if it is cut, ProtocolError if it is packed."""
        packed = self._answer.headers.get("content-encoding", "identity")
        if packed != "identity":
            raise ProtocolError(
                f"{self._wire.endpoint} packs what it sends ({clean(packed)}), which it was not asked to"
            )
        try:
            return self._line.piece(self._answer)
        except WIRE_ERRORS as err:
            self._line.close()
            if isinstance(err, Cut):
                raise Transient(f"{self._wire.endpoint}: {err}") from err
            raise self._wire.verdict(err) from err

    def whole(self, most: int) -> bytes:
        """All of it. Raises as `read` does, and ProtocolError for more than `most` bytes."""
        body = bytearray()
        while piece := self.read():
            body += piece
            if len(body) > most:
                raise ProtocolError(f"{self._wire.endpoint} sends more than {most} bytes")
        return bytes(body)

    def end(self) -> None:
        """Leave the connection as another request can use it, or closed."""
        if self.size is not None and self.size <= DRAINED:
            with suppress(*WIRE_ERRORS):
                while self._line.piece(self._answer):
                    pass
        self._line.through(self._answer)
