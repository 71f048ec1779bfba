"""Which queues are asked for jobs, for how many, and when again."""

from datetime import timedelta

from act_core.atlas import queues
from act_core.atlas.instance import queue_of, server_of
from act_core.db.models import ERROR_LENGTH
from act_core.states import CeState, PandaState
from tests.atlas.house import QUEUE, House

COUNTED = {PandaState.SENT, PandaState.STARTING, PandaState.RUNNING, PandaState.TRANSFERRING}
COUNTED |= {PandaState.FORGOTTEN, PandaState.TOVALIDATE, PandaState.TOKILL}


async def room(house: House, maxjobs: int, waiting: int, queue: str = QUEUE) -> int:
    return await house.rt.read(queues.room, (server_of(house.rt), "atlas"), queue, maxjobs, waiting, house.rt.now())


async def test_an_empty_queue_has_room_up_to_the_lower_bound(queue: House) -> None:
    assert (await room(queue, 7, 20), await room(queue, 20, 7), await room(queue, 0, 7)) == (7, 7, 0)


async def test_a_job_takes_room_until_its_final_report_is_written(queue: House) -> None:
    (number,) = await queue.taken()
    found = {}
    for state in PandaState:
        await queue.change(number, state=state.value)
        found[state] = await room(queue, 10, 100)
    assert found == {state: 9 if state in COUNTED else 10 for state in PandaState}


async def test_jobs_that_wait_for_a_ce_bound_what_is_taken(queue: House) -> None:
    (bound,) = await queue.bound()
    await queue.taken(2)
    found = {}
    for state in CeState:
        await queue.moved(bound, state.value)
        found[state] = await room(queue, 1000, 10)
    assert found == {state: 7 if state is CeState.TOSUBMIT else 8 for state in CeState}


async def test_there_is_never_less_than_no_room(queue: House) -> None:
    await queue.taken(5)
    assert (await room(queue, 3, 100), await room(queue, 100, 3)) == (0, 0)


async def test_jobs_of_other_queues_and_servers_take_no_room(queue: House) -> None:
    other = await queue.taken(2)
    await queue.change(other[0], server="another.example")
    assert await room(queue, 10, 100) == 9
    assert await room(queue, 10, 100, "OTHER") == 10


async def test_a_queue_is_asked_again_at_its_time(queue: House) -> None:
    now = queue.rt.now()
    assert await queue.rt.read(queues.due, server_of(queue.rt), now) == [QUEUE]
    await queue.rt.write(queues.asked, server_of(queue.rt), QUEUE, now + timedelta(minutes=1), "x" * 5000)
    assert await queue.rt.read(queues.due, server_of(queue.rt), now + timedelta(seconds=59)) == []
    assert await queue.rt.read(queues.due, server_of(queue.rt), now + timedelta(seconds=60)) == [QUEUE]
    row = await queue.queue()
    assert row.trouble == "x" * ERROR_LENGTH
    await queue.rt.write(queues.asked, server_of(queue.rt), QUEUE, None, None)
    assert await queue.rt.read(queues.due, server_of(queue.rt), now) == [QUEUE]
    assert (await queue.queue()).trouble is None


async def test_a_queue_is_read_as_cric_and_the_configuration_describe_it(queue: House) -> None:
    found = await queue_of(queue.rt, QUEUE)
    assert found is not None
    assert (found.name, found.served, [one.name for one in found.endpoints]) == (QUEUE, True, ["here"])
    assert await queue_of(queue.rt, "NOWHERE") is None
