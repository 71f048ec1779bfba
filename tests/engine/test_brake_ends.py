"""When a brake ends: what is said of many keeps it on, what is said of a few does not; and two who weigh at once."""

import asyncio
import threading
from contextlib import suppress
from datetime import timedelta

import pytest
from sqlalchemy import event, update

from act_core.db import brakes
from act_core.db.attempts import as_attempt, attempts
from act_core.db.brakes import Kind, Weighed
from act_core.db.models import CeJob
from act_core.decisions import Move
from act_core.engine import brake
from act_core.engine.poll import poll
from act_core.engine.settling import settle
from act_core.settings.model import Site
from act_core.states import CeState
from tests.engine.house import CE, House

S = CeState
MINUTE = timedelta(minutes=1)


async def test_single_kills_of_every_day_do_not_keep_it_on(house: House) -> None:
    jobs = await house.jobs(60, S.RUNNING)
    for job in jobs:
        house.end.world.jobs[job].state = "KILLED"
    await poll(house, CE)
    assert [row.n for row in await house.read(brakes.on)] == [60]
    for job in jobs[1:]:
        house.end.world.jobs[job].state = "RUNNING"
    for _ in range(12):
        house.ahead += MINUTE
        await poll(house, CE)
        await brake.look_after(house)
    assert await house.read(brakes.on) == []
    await poll(house, CE)
    assert (await house.states())[jobs[0]] == S.CANCELLED


@pytest.mark.parametrize(
    ("living", "over"),
    [pytest.param(2000, True, id="few of the queue's jobs everywhere"), pytest.param(60, False, id="many of them")],
)
async def test_a_queue_is_measured_as_it_was_weighed(house: House, living: int, over: bool) -> None:
    await house.jobs(60, S.RUNNING)
    missed = update(CeJob).values(share="q", absent_since=house.now())
    await house.write(lambda session: session.execute(missed))
    weighed = Weighed("queue:q", Kind.LOSE, f"ce:{CE}", 120, living, brake.allowed(living, house.settings.arc.brake))
    await house.write(brakes.engage, weighed, 10 * MINUTE, house.now(), {})
    assert bool(await brake.look_after(house)) is over


async def test_a_ce_that_is_seldom_asked_is_not_quiet_between(house: House) -> None:
    site = Site(kind="local", poll=timedelta(minutes=30))
    arc = house.settings.arc.model_copy(update={"sites": {CE: site}})
    house.settings = house.settings.model_copy(update={"arc": arc})
    for job in await house.jobs(60, S.RUNNING):
        house.end.world.jobs[job].state = "KILLED"
    await poll(house, CE)
    house.ahead += 31 * MINUTE
    await brake.look_after(house)
    assert len(await house.read(brakes.on)) == 1


async def test_of_two_who_weigh_at_once_the_second_one_knows_of_the_first(house: House) -> None:
    """Each with forty of eighty jobs, and fifty may go: they would meet where they write what they struck."""
    await house.jobs(80, S.RUNNING)
    rows = await house.read(lambda session: [as_attempt(row) for row in session.execute(attempts())])
    both = threading.Barrier(2)

    def meet(_conn: object, _cursor: object, words: str, *_: object) -> None:
        if words.startswith("INSERT INTO mass_actions"):
            with suppress(threading.BrokenBarrierError):
                both.wait(timeout=0.2)

    event.listen(house._db.engine, "before_cursor_execute", meet)
    killed = Move(S.CANCELLED, "CE: KILLED")
    batches = [dict.fromkeys(half, killed) for half in (rows[:40], rows[40:])]
    counts = await asyncio.gather(*(settle(house, batch, "poll") for batch in batches))
    assert sorted((one["cancelled"], one["braked"]) for one in counts) == [(0, 40), (40, 0)]
