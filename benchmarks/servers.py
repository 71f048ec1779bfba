"""Simulated servers in a process of their own, so that their work is not measured as the tower's."""

import asyncio
import contextlib
import io
import json
import multiprocessing
import os
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from act_core.simulators.arc import ArcOptions, serve_arc
from act_core.simulators.arc_pace import Pace
from act_core.simulators.arc_payload import PayloadJob, PayloadResult
from act_core.simulators.serve import Running

START_S, STOP_S, CALL_S, LOOK_S = 120.0, 10.0, 120.0, 0.05
KB = 1000


@contextlib.contextmanager
def in_a_process(serve: Callable[..., None], *arguments: Any, ready: Path) -> Iterator[Running]:
    """`serve(*arguments, ready)` until the block ends; it writes its addresses to `ready`. Raises RuntimeError."""
    with _process(serve, *arguments, ready=ready):
        said = json.loads(ready.read_text())
        yield Running(said["url"], said["control"])


@contextlib.contextmanager
def _process(serve: Callable[..., None], *arguments: Any, ready: Path) -> Iterator[int]:
    """Its number, once `ready` is there."""
    process = multiprocessing.get_context("spawn").Process(target=_silently, args=(serve, *arguments, ready))
    process.start()
    assert process.pid is not None
    try:
        end = time.monotonic() + START_S
        while not ready.exists():
            if not process.is_alive() or time.monotonic() > end:
                raise RuntimeError(f"the simulated server of {ready.name} did not start")
            process.join(0.02)
        yield process.pid
    finally:
        process.terminate()
        process.join(STOP_S)
        process.kill()
        process.join()


def _silently(serve: Callable[..., None], *arguments: Any) -> None:
    with contextlib.redirect_stdout(io.StringIO()):  # stdout is for the result
        serve(*arguments)


@dataclass(frozen=True, slots=True)
class CePlan:
    """CEs of one process. `held`: payloads run until `Grid.end_all`; else for as long as the pace draws."""

    pki: Path
    names: tuple[str, ...]
    pace: Pace
    witness: Path | None = None
    held: bool = False


@dataclass(frozen=True, slots=True)
class Grid:
    """ARC CEs that share a process."""

    ces: dict[str, Running]
    pid: int

    def call(self, name: str, path: str, body: object = None) -> Any:
        """A question to a CE's control port (POST with a body). Raises OSError."""
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(  # noqa: S310 - our own server
            f"{self.ces[name].control}{path}", data, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(asked, timeout=CALL_S) as answer:  # noqa: S310
            return json.load(answer)

    def clear(self, name: str) -> None:
        """No faults of a CE any more."""
        asked = urllib.request.Request(f"{self.ces[name].control}/faults", method="DELETE")  # noqa: S310
        urllib.request.urlopen(asked, timeout=CALL_S).close()  # noqa: S310

    @property
    def ports(self) -> list[int]:
        return [int(one.url.rpartition(":")[2]) for one in self.ces.values()]

    def end_all(self) -> None:
        """The payloads that are held end now."""
        os.kill(self.pid, signal.SIGUSR1)

    def await_jobs(self, name: str, n: int, state: str) -> None:
        """Until so many jobs of a CE are in a state (its own word). Raises RuntimeError."""
        end = time.monotonic() + CALL_S
        while (found := self.call(name, "/jobs/summary")["by_state"]).get(state, 0) < n:
            if time.monotonic() > end:
                raise RuntimeError(f"{name}: never were {n} jobs {state}: {found}")
            time.sleep(LOOK_S)

    def requests(self) -> int:
        """How many the CEs have answered."""
        stats = [self.call(name, "/stats")["requests"] for name in self.ces]
        return sum(n for one in stats for answers in one.values() for n in answers.values())


@contextlib.contextmanager
def grid(plan: CePlan, ready: Path) -> Iterator[Grid]:
    """CEs that run until the block ends. Raises RuntimeError."""
    with _process(_serve_ces, plan, ready=ready) as pid:
        said: dict[str, Sequence[str]] = json.loads(ready.read_text())
        yield Grid({name: Running(*addresses) for name, addresses in said.items()}, pid)


def _serve_ces(plan: CePlan, ready: Path) -> None:
    asyncio.run(_ces(plan, ready))


async def _ces(plan: CePlan, ready: Path) -> None:
    """Until SIGTERM or the parent's death."""
    parent, stop, over, loop = os.getppid(), asyncio.Event(), asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGUSR1, over.set)

    async def payload(job: PayloadJob) -> PayloadResult:
        """Every declared output, 1 kB each."""
        if plan.held:
            await over.wait()
        return PayloadResult(files={name: b"o" * KB for name in job.outputs}, wall_s=0.0 if plan.held else None)

    async with AsyncExitStack() as stack:
        said = {}
        for name in plan.names:
            options = ArcOptions(plan.pki, name=name, pace=plan.pace, payload=payload, witness=plan.witness)
            one = await stack.enter_async_context(await serve_arc(options))
            said[name] = (one.url, one.control_url)
        draft = ready.with_suffix(".new")
        await asyncio.to_thread(draft.write_text, json.dumps(said))
        draft.replace(ready)
        while not stop.is_set() and os.getppid() == parent:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 1.0)
