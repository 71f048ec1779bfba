"""What ends a command before its time, and how it then clears up."""

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")
ENDS = signal.SIGINT, signal.SIGTERM, signal.SIGHUP


@contextmanager
def ended_in_order() -> Iterator[None]:
    """SIGTERM and SIGHUP leave what is inside as Ctrl-C does, through its `finally`; each only once.

    Raises KeyboardInterrupt for SIGINT, else SystemExit with 128 and the signal's number. A signal that is ignored
    (`nohup`) stays ignored.
    """

    def end(number: int) -> None:
        raise _verdict(number)

    with _first_of_all(end):
        yield


def run_in_order(work: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` of work that is cancelled by the first of these signals, and may wait for what it clears up.

    Raises what `ended_in_order` raises, once the work has ended. A handler that raises would leave a coroutine
    anywhere, past its `except CancelledError`.
    """
    ended: list[int] = []

    async def cancelled_in_order() -> T:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None

        def end(number: int) -> None:
            ended.append(number)
            loop.call_soon_threadsafe(task.cancel)

        with _first_of_all(end):
            return await work

    try:
        return asyncio.run(cancelled_in_order())
    except asyncio.CancelledError:
        if not ended:
            raise
        raise _verdict(ended[0]) from None


@contextmanager
def _first_of_all(end: Callable[[int], None]) -> Iterator[None]:
    """`end` is called for the first signal; what ends in order is not to be interrupted by the next ones.

    Signals reach the main thread alone: another one is ended by who waits for it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: was for number in ENDS if (was := signal.getsignal(number)) is not signal.SIG_IGN}
    first = True

    def told(number: int, _frame: object) -> None:
        nonlocal first
        if first:
            first = False
            end(number)

    for number in before:
        signal.signal(number, told)
    try:
        yield
    finally:
        for number, was in before.items():
            signal.signal(number, was)


def _verdict(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)
