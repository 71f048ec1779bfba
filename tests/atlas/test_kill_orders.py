"""Kill orders of PanDA in mass are obeyed where its books bear them out, else when an operator releases them."""

from datetime import timedelta

import pytest

from act_core.db import brakes
from act_core.settings.policy import Brake
from act_core.simulators.faults import Kind
from act_core.states import PandaState
from tests.atlas.house import CE, House

P = PandaState


@pytest.fixture
def careful(queue: House) -> House:
    """At most three jobs may go on one word."""
    arc = queue.rt.settings.arc.model_copy(update={"brake": Brake(floor=3)})
    queue.rt.settings = queue.rt.settings.model_copy(update={"arc": arc})
    return queue


async def killed(house: House, n: int, *stages: str, known: bool = False) -> list[int]:
    """Jobs that somebody kills in PanDA; `known`: PanDA says that it has them in its books."""
    numbers = await house.taken(n)
    await house.run(*stages, "heartbeat")
    house.books.kill(numbers, None, house.clock.now())
    house.later(minutes=31)
    if not known:
        await house.fault(house.panda, Kind.ERROR, path="get_job_status")
    return numbers


async def states(house: House) -> set[str]:
    return {row.state for row in (await house.rows()).values()}


async def test_a_few_orders_are_obeyed(careful: House) -> None:
    await killed(careful, 3, "translate")
    assert (await careful.run("heartbeat"))["kill orders"] == 3
    assert await states(careful) == {P.TOKILL.value}
    assert await careful.rt.read(brakes.on) == []


@pytest.mark.parametrize("stages", [("translate",), ()], ids=["with attempts", "before they had any"])
async def test_many_are_held_and_the_jobs_go_on(careful: House, stages: tuple[str, ...]) -> None:
    await killed(careful, 4, *stages)
    before = await states(careful)
    counts = await careful.run("heartbeat")
    assert (counts["braked"], counts["kill orders"]) == (4, 0)
    assert await states(careful) == before
    (row,) = await careful.rt.read(brakes.on)
    assert (row.scope, row.kind, row.n, row.living) == ("queue:TEST", "kill", 4, 4)
    assert row.source.startswith("panda:")
    careful.later(minutes=31)
    assert (await careful.run("heartbeat"))["braked"] == 4, "it is said again, and held"
    assert len(await careful.rt.read(brakes.on)) == 1


async def test_an_order_that_is_held_vouches_for_nothing(careful: House) -> None:
    numbers = await killed(careful, 4, "translate")
    before = {(await careful.attempt(number)).vouched_until for number in numbers}
    assert (await careful.run("heartbeat"))["braked"] == 4
    assert {(await careful.attempt(number)).vouched_until for number in numbers} == before


@pytest.mark.parametrize("stages", [("translate",), ()], ids=["with attempts", "before they had any"])
async def test_a_task_that_somebody_killed_is_obeyed_and_nobody_is_called(
    careful: House, stages: tuple[str, ...]
) -> None:
    await killed(careful, 9, *stages, known=True)
    counts = await careful.run("heartbeat")
    assert counts["braked"] == 0
    assert await states(careful) == {(P.TOKILL if stages else P.TOREPORT).value}
    assert await careful.rt.read(brakes.on) == []


@pytest.mark.parametrize(
    ("number_more", "attempt"),
    [
        pytest.param(1_000_000, 1, id="it lost its books"),
        pytest.param(1_000_000, 0, id="and the jobs count from nought"),
        pytest.param(0, 2, id="its books are of an earlier day"),
    ],
)
async def test_a_panda_that_does_not_know_the_jobs_is_not_obeyed(
    careful: House, number_more: int, attempt: int
) -> None:
    """It wants dead what it does not know, or knows by an earlier attempt only."""
    for number in await careful.bound(4):
        await careful.change(number, panda_id=number + number_more, attempt_nr=attempt)
    counts = await careful.run("heartbeat")
    assert (counts["braked"], counts["kill orders"]) == (4, 0)
    assert await states(careful) == {P.STARTING.value}


async def test_a_later_attempt_in_the_books_bears_the_order_out(careful: House) -> None:
    for number in await careful.bound(4):
        careful.books.jobs[number].order = careful.books.jobs[number].order.model_copy(update={"attempt": 2})
    assert (await careful.run("heartbeat"))["kill orders"] == 4


async def test_orders_that_were_held_are_obeyed_as_soon_as_panda_says_that_it_knows_the_jobs(careful: House) -> None:
    await killed(careful, 4, "translate")
    assert (await careful.run("heartbeat"))["braked"] == 4
    await careful.panda.faults.remove()
    careful.later(minutes=31)
    assert (await careful.run("heartbeat"))["kill orders"] == 4
    assert await states(careful) == {P.TOKILL.value}


async def test_single_orders_of_every_day_do_not_keep_the_brake_on(careful: House) -> None:
    numbers = await killed(careful, 4, "translate")
    await careful.run("heartbeat")
    for number in numbers[1:]:
        careful.books.jobs[number].command = None
    for _ in range(3):
        careful.later(minutes=31)
        await careful.run("heartbeat", "sweep-status")
    assert await careful.rt.read(brakes.on) == []
    careful.later(minutes=31)
    assert (await careful.run("heartbeat"))["kill orders"] == 1


async def test_held_jobs_are_reported_to_their_end(careful: House) -> None:
    """PanDA wants them dead and says so each time; they live on, and so does what PanDA is told of them."""
    numbers = await killed(careful, 4, "translate")
    assert (await careful.run("heartbeat"))["braked"] == 4
    for number in numbers:
        await careful.moved(number, "running", ce=CE)
    await careful.tower.news()
    assert (await careful.run("heartbeat"))["braked"] == 4
    told = {number: careful.book(number).updates[-1].status for number in numbers}
    assert set(told.values()) == {"running"}
    for number in numbers:
        await careful.ended(number)
    await careful.run("fetch-validate", "heartbeat")
    assert await states(careful) == {P.CLOSED.value}
    assert {careful.book(number).updates[-1].status for number in numbers} == {"finished"}


async def test_a_release_lets_them_be_killed(careful: House) -> None:
    await killed(careful, 4, "translate")
    await careful.run("heartbeat")
    (row,) = await careful.rt.read(brakes.on)
    now = careful.rt.now()
    assert await careful.rt.write(brakes.release, row.id, "operator", now + timedelta(hours=1), now, "a user's wish", 4)
    careful.later(minutes=31)
    assert (await careful.run("heartbeat"))["kill orders"] == 4
    assert await states(careful) == {P.TOKILL.value}
