"""Work that outlives who asked for it."""

import asyncio

import pytest

from act_core.errors import Transient
from act_core.going import Going
from act_core.runtime import Counts


class Work:
    """A round that ends when it is told to."""

    def __init__(self) -> None:
        self.begun, self.ending, self.cancelled = 0, asyncio.Event(), False
        self.err: Exception | None = None

    async def __call__(self) -> Counts:
        self.begun += 1
        try:
            await self.ending.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if self.err:
            raise self.err
        return Counts(done=1)


async def left_behind(going: Going, work: Work) -> None:
    """Somebody asks for it and is cancelled."""
    asked = asyncio.create_task(going.run("w", work, 0))
    await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked


async def test_who_asks_next_gets_what_was_left_behind() -> None:
    going, work = Going(), Work()
    await left_behind(going, work)
    again = asyncio.create_task(going.run("w", work, 0))
    await asyncio.sleep(0)
    work.ending.set()
    assert await again == Counts(done=1)
    assert (work.begun, work.cancelled) == (1, False)
    assert await going.run("w", work, 0) == Counts(done=1)
    assert work.begun == 2


async def test_one_at_a_time_and_one_to_wait_for_it() -> None:
    going, work = Going(), Work()
    first = asyncio.create_task(going.run("w", work, 0))
    await asyncio.sleep(0)
    assert await going.run("w", work, 0) == Counts(busy=1)
    patient = asyncio.create_task(going.run("w", work, 60))
    await asyncio.sleep(0)
    work.ending.set()
    assert await first == Counts(done=1)
    assert await patient == Counts(done=1)
    assert work.begun == 2


@pytest.mark.parametrize(("err", "logged"), [(Transient("down"), False), (KeyError("x"), True)])
async def test_an_end_that_nobody_waits_for_is_told(
    err: Exception, logged: bool, caplog: pytest.LogCaptureFixture
) -> None:
    going, work = Going(), Work()
    work.err = err
    await left_behind(going, work)
    work.ending.set()
    await going.finish()
    assert ("a bug of ours" in caplog.text) is logged


async def test_at_the_end_everything_is_given_up() -> None:
    going, work = Going(), Work()
    await left_behind(going, work)
    await going.give_up()
    assert work.cancelled
    await going.finish()
