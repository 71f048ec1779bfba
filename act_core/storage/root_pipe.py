"""The tower's end of a `root_worker`: many calls at a time, each with a deadline, and never a process left over."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Mapping
from itertools import count
from typing import Any

from act_core.storage import root_worker
from act_core.storage.base import Unreachable

LONGEST = 1 << 20  # bytes of an answer
MOST_SERVERS = 250  # a process has a thread for each that it was ever asked about; addresses come from jobs
CLOSE_S = 5.0
GRACE_S = 5.0  # at most: the library looks at its own timeouts each second
ENDED = "the process of XRootD's library ended"


class Process:
    """One worker. `tired`: it owes an answer or knows many servers; it gets no more calls, and ends after its last."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._open: dict[int, asyncio.Future[Mapping[str, Any]]] = {}
        self._ids = count(root_worker.NO_ID + 1)
        self._servers: set[str] = set()
        self._why = ENDED
        self.tired = False
        self._reader = asyncio.create_task(self._read())

    @property
    def open(self) -> bool:
        return not self.tired and not self._reader.done()

    @property
    def waits(self) -> bool:
        return bool(self._open)

    async def call(self, within: float, words: Mapping[str, Any]) -> Mapping[str, Any]:
        """Raises TimeoutError, Unreachable."""
        assert self._process.stdin is not None
        number, answer = next(self._ids), asyncio.get_running_loop().create_future()
        self._servers.add(words["server"])
        self.tired = self.tired or len(self._servers) >= MOST_SERVERS
        self._open[number] = answer
        try:
            async with asyncio.timeout(within + min(GRACE_S, within / 8)):
                line = json.dumps({"id": number, "within": within, **words}).encode() + b"\n"
                with contextlib.suppress(ConnectionError):  # the reader tells
                    self._process.stdin.write(line)
                    await self._process.stdin.drain()
                said: Mapping[str, Any] = await answer
                return said
        finally:
            del self._open[number]
            if self.tired and not self._open:
                self.kill()

    async def _read(self) -> None:
        """Hands each answer to who waits for it; at the end everybody hears of it."""
        assert self._process.stdout is not None
        try:
            while line := await self._process.stdout.readline():
                said = json.loads(line)
                waiting = self._open.get(said["id"])
                if said["id"] == root_worker.NO_ID:
                    self._why = str(said["text"])
                elif waiting is not None and not waiting.done():
                    waiting.set_result(said)
        except (ValueError, LookupError, TypeError):  # too long, or half a line
            self.kill()
        finally:
            for waiting in self._open.values():
                if not waiting.done():
                    waiting.set_exception(Unreachable(self._why))

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def end(self) -> None:
        self.kill()
        if self._process.stdin is not None:
            self._process.stdin.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._process.wait()
                await self._reader


class Pipe:
    """Starts its worker when there is something to ask, and another one after it ended, hung, or `renew`."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._turn = asyncio.Lock()
        self._all: list[Process] = []
        self._used = 0.0  # by the loop's clock

    async def call(self, within: float, **words: Any) -> Mapping[str, Any]:
        """The worker's answer. Raises Unreachable when there is none in so many seconds."""
        worker = await self._ready()
        try:
            return await worker.call(within, words)
        except TimeoutError as err:
            worker.tired = True
            raise Unreachable(f"XRootD's library does not answer within {within:g} s") from err

    def renew(self) -> None:
        """Connections that are made from now on see the credential that lies there now."""
        for worker in self._all:
            worker.tired = True

    async def _ready(self) -> Process:
        async with self._turn:
            loop = asyncio.get_running_loop()
            idle, self._used = loop.time() - self._used, loop.time()
            for worker in [*self._all]:
                resting = not worker.waits and idle > root_worker.IDLE_S / 2  # it is about to end by itself
                if resting or not (worker.open or worker.waits):
                    self._all.remove(worker)
                    await worker.end()
            found = next((worker for worker in self._all if worker.open), None)
            return found or await self._start()

    async def _start(self) -> Process:
        started = await asyncio.create_subprocess_exec(
            sys.executable, "-m", root_worker.__name__, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL, limit=LONGEST, env={**os.environ, **self._environment},
            start_new_session=True,
        )  # fmt: skip
        worker = Process(started)
        self._all.append(worker)
        return worker

    async def close(self) -> None:
        workers, self._all = self._all, []
        for worker in workers:
            await worker.end()
