"""A wire that can be cut: bytes between a client and a server on loopback, TLS untouched."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Self

PIECE = 65536


class Relay:
    """Listens on a free port of loopback and hands everything on to `port`; an asynchronous context manager."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._server: asyncio.Server | None = None
        self._streams: set[asyncio.Task[None]] = set()
        self._armed: Callable[[], bool] | None = None
        self.cuts = 0

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    def cut_when(self, happened: Callable[[], bool]) -> None:
        """The first answer after it has happened is never delivered: its connection is reset. Once."""
        self._armed = happened

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for stream in self._streams:
            stream.cancel()
        await asyncio.gather(*self._streams, return_exceptions=True)

    async def _connected(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection("127.0.0.1", self._target)
        pair = (to_client, to_server)
        for task in (self._asked(client, to_server), self._answered(server, to_client)):
            stream = asyncio.create_task(self._until_closed(task, pair))
            self._streams.add(stream)
            stream.add_done_callback(self._streams.discard)

    @staticmethod
    async def _until_closed(task: Coroutine[None, None, None], pair: tuple[asyncio.StreamWriter, ...]) -> None:
        try:
            with contextlib.suppress(ConnectionError):
                await task
        finally:
            for end in pair:
                end.close()

    async def _asked(self, client: asyncio.StreamReader, to_server: asyncio.StreamWriter) -> None:
        while piece := await client.read(PIECE):
            to_server.write(piece)
            await to_server.drain()

    async def _answered(self, server: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        while piece := await server.read(PIECE):
            if self._armed and self._armed():
                self._armed = None
                self.cuts += 1
                to_client.transport.abort()
                return
            to_client.write(piece)
            await to_client.drain()
