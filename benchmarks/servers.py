"""A simulated server in a process of its own, so that its work is not measured as the tower's."""

import contextlib
import io
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from act_core.simulators.serve import Running

START_S, STOP_S = 60.0, 10.0


@contextlib.contextmanager
def in_a_process(serve: Callable[..., None], *arguments: Path, ready: Path) -> Iterator[Running]:
    """`serve(*arguments, ready)` until the block ends; it writes its addresses to `ready`. Raises RuntimeError."""
    process = multiprocessing.get_context("spawn").Process(target=_silently, args=(serve, *arguments, ready))
    process.start()
    try:
        end = time.monotonic() + START_S
        while not ready.exists():
            if not process.is_alive() or time.monotonic() > end:
                raise RuntimeError(f"the simulated server of {ready.name} did not start")
            process.join(0.02)
        said = json.loads(ready.read_text())
        yield Running(said["url"], said["control"])
    finally:
        process.terminate()
        process.join(STOP_S)
        process.kill()
        process.join()


def _silently(serve: Callable[..., None], *arguments: Path) -> None:
    with contextlib.redirect_stdout(io.StringIO()):  # stdout is for the result
        serve(*arguments)
