"""Work that goes on to its end, however often whoever waits for it is cancelled."""

import asyncio
from typing import Any

import pytest

from act_core.shielded import ended, to_the_end


async def _cancelled_often(waiting: "asyncio.Task[Any]") -> None:
    for _ in range(3):
        await asyncio.sleep(0)
        waiting.cancel()
    await asyncio.sleep(0)
    assert not waiting.done()


async def test_who_is_cancelled_often_waits_for_the_end_all_the_same() -> None:
    work: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(to_the_end(work))
    await _cancelled_often(waiting)
    work.set_result(1)
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_an_error_for_nobody_is_not_complained_of() -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: complaints.append(told))
    work: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(ended(work))
    await _cancelled_often(waiting)
    work.set_exception(OSError("broken off"))
    await waiting
    del work, waiting
    assert complaints == []


async def test_what_comes_of_it() -> None:
    work: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    work.set_result(7)
    assert await to_the_end(work) == 7
