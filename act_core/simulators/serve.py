"""How a simulator is run: its own port and a control port, in a loop, in a thread or as a process."""

import asyncio
import contextlib
import json
import os
import signal
import ssl
import sys
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from aiohttp import web

from act_core.simulators.faults import Faults

HOST = "127.0.0.1"
PARENT_CHECK_S = 1.0
LAST_ANSWERS_S = 1.0  # for requests under way when it is stopped
START_S = 60.0
_LARGEST_ORDER = 256 * 1024 * 1024  # bytes, on the control port


class Simulator:
    """An application with faults on its port, and the control port beside it (plain http, this machine only).

    An asynchronous context manager. `port` 0: a free one, known after the start.
    """

    def __init__(
        self,
        app: web.Application,
        control: Iterable[web.RouteDef] = (),
        *,
        faults: Faults | None = None,
        tls: ssl.SSLContext | None = None,
        port: int = 0,
        control_port: int = 0,
    ) -> None:
        self.faults = faults or Faults()
        self._tls, self._port, self._control_port = tls, port, control_port
        app.middlewares.insert(0, self.faults.middleware)
        orders = web.Application(client_max_size=_LARGEST_ORDER)
        orders.add_routes([*self.faults.routes(), *control])
        self._service = web.AppRunner(app, access_log=None, shutdown_timeout=LAST_ANSWERS_S)
        self._control = web.AppRunner(orders, access_log=None, shutdown_timeout=LAST_ANSWERS_S)
        self._site: web.TCPSite | None = None
        self._switching = asyncio.Lock()

    @property
    def url(self) -> str:
        return f"{'http' if self._tls is None else 'https'}://{HOST}:{self._port}"

    @property
    def control_url(self) -> str:
        return f"http://{HOST}:{self._control_port}"

    async def start(self) -> None:
        await self._service.setup()
        await self._control.setup()
        await web.TCPSite(self._control, HOST, self._control_port).start()
        self._control_port = _port(self._control)
        await self._listen()
        self._port = _port(self._service)
        self.faults.on_down = self._switch

    async def stop(self) -> None:
        self.faults.closing.set()
        self.faults.on_down = None
        await self._service.cleanup()
        await self._control.cleanup()

    async def _listen(self) -> None:
        self._site = web.TCPSite(self._service, HOST, self._port, ssl_context=self._tls, reuse_address=True)
        await self._site.start()

    async def _switch(self, down: bool) -> None:
        """Down: nobody listens and living connections are cut. Up: the same port as before."""
        async with self._switching:
            if not down and self._site is None:
                await self._listen()
            elif down and self._site is not None:
                await self._site.stop()
                self._site = None
                for connection in self._service.server.connections if self._service.server else ():
                    connection.force_close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


class Running(NamedTuple):
    """A simulator elsewhere."""

    url: str
    control: str


Opening = Callable[[], Coroutine[Any, Any, Simulator]]  # gives a simulator that has not been started


async def run_forever(opening: Opening, ready_file: Path | None = None) -> None:
    """Until SIGTERM, SIGINT, or the death of the parent process.

    Writes `{"url": …, "control": …}` into `ready_file`, and as one line on stdout, when it answers.
    """
    parent, stop = os.getppid(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with await opening() as simulator:
        ready = json.dumps({"url": simulator.url, "control": simulator.control_url}) + "\n"
        if ready_file is not None:
            await asyncio.to_thread(_publish, ready_file, ready)
        sys.stdout.write(ready)
        sys.stdout.flush()
        while not stop.is_set() and os.getppid() == parent:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), PARENT_CHECK_S)


@contextlib.contextmanager
def run_in_thread(opening: Opening) -> Iterator[Running]:
    """For synchronous callers: the simulator lives in a thread with a loop of its own as long as the context."""
    found: list[Running] = []
    ready, stop = threading.Event(), threading.Event()

    async def live() -> None:
        async with await opening() as simulator:
            found.append(Running(simulator.url, simulator.control_url))
            ready.set()
            await asyncio.to_thread(stop.wait)

    def run() -> None:
        try:
            asyncio.run(live())
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="simulator")
    thread.start()
    try:
        if not ready.wait(START_S) or not found:
            raise RuntimeError("the simulator did not start")
        yield found[0]
    finally:
        stop.set()
        thread.join()


def _publish(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text)
    draft.replace(path)


def _port(runner: web.AppRunner) -> int:
    return int(runner.addresses[0][1])
