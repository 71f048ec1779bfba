"""A wire that counts what goes over it: a process of its own between the tower and a CE, TLS untouched."""

import asyncio
import contextlib
import multiprocessing
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized
from typing import Any

START_S, STOP_S = 30.0, 10.0
PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class Wire:
    """`port` of loopback; the totals grow while it is used."""

    port: int
    sent: "Synchronized[int]"  # bytes, to the CE
    received: "Synchronized[int]"


async def _carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter, total: "Synchronized[int]") -> None:
    with contextlib.suppress(ConnectionError):
        while piece := await source.read(PIECE):
            total.value += len(piece)
            sink.write(piece)
            await sink.drain()
    sink.close()


async def _serve(target: int, port: "Synchronized[int]", sent: "Synchronized[int]", got: "Synchronized[int]") -> None:
    async def connected(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(_carry(client, to_server, sent), _carry(server, to_client, got))

    listening = await asyncio.start_server(connected, "127.0.0.1", 0)
    port.value = listening.sockets[0].getsockname()[1]
    await listening.serve_forever()


def _run(target: int, *shared: Any) -> None:
    asyncio.run(_serve(target, *shared))


@contextlib.contextmanager
def counted(target: int) -> Iterator[Wire]:
    """A wire to this port of loopback. Raises RuntimeError if it does not come up."""
    context = multiprocessing.get_context("spawn")
    port, sent, received = (context.Value("q", 0) for _ in range(3))
    process = context.Process(target=_run, args=(target, port, sent, received))
    process.start()
    try:
        for _ in range(int(START_S / 0.02)):
            if port.value or not process.is_alive():
                break
            process.join(0.02)
        if not port.value:
            raise RuntimeError("the wire did not come up")
        yield Wire(port.value, sent, received)
    finally:
        process.terminate()
        process.join(STOP_S)
        process.kill()
        process.join()
