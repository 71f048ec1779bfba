"""A wire that counts what goes over it: a process of its own between the tower and CEs, TLS untouched."""

import asyncio
import contextlib
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized
from typing import Any

START_S, STOP_S, LOOK_S = 30.0, 10.0, 1.0
PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class Wire:
    """`ports` of loopback, in the order of the targets; the totals grow while they are used."""

    ports: tuple[int, ...]
    sent: "Synchronized[int]"  # bytes, to the CEs
    received: "Synchronized[int]"


async def _carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter, total: "Synchronized[int]") -> None:
    with contextlib.suppress(ConnectionError):
        while piece := await source.read(PIECE):
            total.value += len(piece)
            sink.write(piece)
            await sink.drain()
    sink.close()


async def _listen(target: int, sent: "Synchronized[int]", got: "Synchronized[int]") -> asyncio.Server:
    async def connected(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(_carry(client, to_server, sent), _carry(server, to_client, got))

    return await asyncio.start_server(connected, "127.0.0.1", 0)


async def _serve(targets: Sequence[int], ports: Any, *totals: "Synchronized[int]") -> None:
    """Until it is ended, or its parent is gone."""
    parent = os.getppid()
    servers = [await _listen(target, *totals) for target in targets]
    ports[:] = [server.sockets[0].getsockname()[1] for server in servers]
    while os.getppid() == parent:  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(LOOK_S)


def _run(targets: Sequence[int], *shared: Any) -> None:
    asyncio.run(_serve(targets, *shared))


@contextlib.contextmanager
def counted(*targets: int) -> Iterator[Wire]:
    """A wire to each of these ports of loopback. Raises RuntimeError if it does not come up."""
    context = multiprocessing.get_context("spawn")
    ports, sent, received = context.Array("i", len(targets)), context.Value("q", 0), context.Value("q", 0)
    process = context.Process(target=_run, args=(targets, ports, sent, received))
    process.start()
    try:
        for _ in range(int(START_S / 0.02)):
            if ports[-1] or not process.is_alive():
                break
            process.join(0.02)
        if not ports[-1]:
            raise RuntimeError("the wire did not come up")
        yield Wire(tuple(ports[:]), sent, received)
    finally:
        process.terminate()
        process.join(STOP_S)
        process.kill()
        process.join()
