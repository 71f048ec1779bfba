"""Turns at a host: how many there are at a time, and that none is lost, whoever waits, hangs or goes away."""

import asyncio
import random
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from act_core.storage.turns import SCOUTS, Turn, Turns

MOST = 3


async def taken(turns: Turns, count: int) -> list[Turn]:
    async with asyncio.timeout(5):
        return [await turns.take() for _ in range(count)]


async def passes() -> None:
    """Who can go on does."""
    for _ in range(5):
        await asyncio.sleep(0)


def waiting(turns: Turns, count: int) -> list["asyncio.Task[Turn]"]:
    return [asyncio.create_task(turns.take()) for _ in range(count)]


def served(tasks: list["asyncio.Task[Turn]"]) -> int:
    return sum(task.done() for task in tasks)


async def test_while_a_host_is_silent_one_goes_at_a_time() -> None:
    turns = Turns(MOST)
    first = await taken(turns, MOST)
    others = waiting(turns, 5)
    await passes()
    assert served(others) == 0
    for turn in first:
        turn.step_aside()
    await passes()
    assert served(others) == 1
    scout = others[0].result()
    scout.heard = True
    scout.end()
    await passes()
    assert served(others) == 1 + MOST, "it has come back"
    for turn in [*first, *(task.result() for task in others[1:4])]:
        turn.end()
    await passes()
    assert served(others) == 5


async def test_a_slow_host_is_asked_for_no_more_at_a_time() -> None:
    """The answers come late, but they come: those who wait for one count as if they had not stepped aside."""
    turns = Turns(MOST)
    first = await taken(turns, MOST)
    others = waiting(turns, 9)
    for turn in first:
        turn.step_aside()
    await passes()
    assert served(others) == 1, "it may hang"
    others[0].result().step_aside()
    await passes()
    assert served(others) == 2
    first[0].heard = True
    first[0].end()
    await passes()
    assert served(others) == 2
    for turn in (first[1], others[0].result()):
        turn.heard = True
        turn.end()
    await passes()
    assert served(others) == 3, "one aside, and two turns"


async def test_who_hung_with_the_host_takes_no_turn_when_it_becomes_slow() -> None:
    turns = Turns(MOST)
    lost = await taken(turns, MOST)
    for turn in lost:
        turn.step_aside()
    (scout,) = await taken(turns, 1)
    scout.heard = True
    scout.end()
    slow, *others = await taken(turns, MOST)
    slow.step_aside()
    assert not slow.aside, "as many as may be asked are aside"
    lost[0].end()
    slow.step_aside()
    assert slow.aside
    slow.heard = True
    slow.end()
    assert len(await taken(turns, MOST - len(others))) == 1


async def test_where_there_is_no_room_a_turn_is_kept() -> None:
    turns, aside = Turns(1), 0
    for _ in range(20):
        turn = (await taken(turns, 1))[0]
        turn.step_aside()
        if not turn.aside:
            break
        aside += 1
    assert aside == 1 + SCOUTS
    kept = Turns(1, aside=False)
    turn = (await taken(kept, 1))[0]
    turn.step_aside()
    assert not turn.aside


async def test_who_goes_while_waiting_takes_no_turn_along() -> None:
    turns = Turns(1)
    (turn,) = await taken(turns, 1)
    others = waiting(turns, 3)
    await passes()
    others[0].cancel()
    turn.end()  # the second one's now, which is cancelled before it knows
    others[1].cancel()
    await passes()
    assert served(others) == 3
    assert [task.cancelled() for task in others] == [True, True, False]


Act = Callable[[Turns, list["asyncio.Task[Turn]"], random.Random], None]


def some_turn(tasks: list["asyncio.Task[Turn]"], draw: random.Random) -> "asyncio.Task[Turn] | None":
    mine = [task for task in tasks if task.done() and not task.cancelled()]
    return draw.choice(mine) if mine else None


def asks(turns: Turns, tasks: list["asyncio.Task[Turn]"], _: random.Random) -> None:
    tasks.append(asyncio.create_task(turns.take()))


def goes_away(_: Turns, tasks: list["asyncio.Task[Turn]"], draw: random.Random) -> None:
    if waits := [task for task in tasks if not task.done()]:
        draw.choice(waits).cancel()


def steps_aside(_: Turns, tasks: list["asyncio.Task[Turn]"], draw: random.Random) -> None:
    if task := some_turn(tasks, draw):
        task.result().step_aside()


def ends(_: Turns, tasks: list["asyncio.Task[Turn]"], draw: random.Random) -> None:
    if task := some_turn(tasks, draw):
        task.result().heard = draw.random() < 0.5
        task.result().end()
        tasks.remove(task)


@given(st.lists(st.sampled_from((asks, asks, goes_away, steps_aside, ends)), max_size=60), st.randoms())
def test_no_turn_is_lost_and_none_too_many(acts: list[Act], draw: random.Random) -> None:
    async def walk() -> None:
        turns, tasks = Turns(MOST), list["asyncio.Task[Turn]"]()
        for act in acts:
            act(turns, tasks, draw)
            if draw.random() < 0.7:
                await passes()
            mine = [task.result() for task in tasks if task.done() and not task.cancelled()]
            aside = sum(turn.aside for turn in mine)
            assert aside <= MOST + SCOUTS
            assert len(mine) - aside <= MOST
            assert turns._aside + turns._lost == aside
            assert MOST >= turns._taken >= len(mine) - aside, "or who has it does not know it yet"
        for _ in range(len(tasks)):
            await passes()
            ends(turns, tasks, draw)
        assert all(task.cancelled() for task in tasks), "nobody waits for ever"
        assert [turns._taken, turns._aside, turns._lost] == [0, 0, 0]

    asyncio.run(walk())
