"""Closed PanDA jobs leave the hot table, whole, once they have rested."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import select

from act_core.atlas import handed
from act_core.atlas.retire import forget_handed, retire
from act_core.db.panda_models import PandaArchive
from act_core.settings.model import Jobs
from act_core.settings.retention import Retention
from act_core.states import PandaState
from tests.atlas.house import House

CLOSED = PandaState.CLOSED.value


async def archived(house: House) -> Sequence[PandaArchive]:
    return await house.rt.read(lambda session: session.scalars(select(PandaArchive).order_by(PandaArchive.id)).all())


async def test_a_closed_job_moves_with_all_its_columns(queue: House) -> None:
    first, second = await queue.taken(2)
    await queue.change(first, state=CLOSED, told="finished", node="wn7", error="Zoë", report='{"job_id": 7}')
    names = [column.name for column in PandaArchive.__table__.columns]
    before = await queue.row(first)
    queue.later(seconds=1)
    assert await retire(queue.rt) == {"retired": 1}
    (kept,) = await archived(queue)
    assert {name: getattr(kept, name) for name in names} == {name: getattr(before, name) for name in names}
    assert list(await queue.rows()) == [second]
    assert await retire(queue.rt) == {}


async def test_a_job_that_is_not_closed_stays(queue: House) -> None:
    numbers = await queue.taken(len(PandaState))
    for number, state in zip(numbers, PandaState, strict=True):
        await queue.change(number, state=state.value)
    queue.later(days=400)
    assert await retire(queue.rt) == {"retired": 1}
    assert await retire(queue.rt) == {}
    assert set((await queue.states()).values()) == set(PandaState) - {PandaState.CLOSED}


async def test_a_closed_job_rests_first(queue: House) -> None:
    jobs = Jobs(archiveafter=timedelta(hours=1))
    arc = queue.rt.settings.arc.model_copy(update={"jobs": jobs})
    queue.rt.settings = queue.rt.settings.model_copy(update={"arc": arc})
    (number,) = await queue.taken()
    await queue.change(number, state=CLOSED, modified=queue.rt.now())
    queue.later(minutes=59)
    assert await retire(queue.rt) == {}
    queue.later(minutes=2)
    assert await retire(queue.rt) == {"retired": 1}


async def test_the_clean_stage_retires_and_a_new_job_takes_no_old_id(queue: House) -> None:
    (old,) = await queue.taken()
    await queue.change(old, state=CLOSED)
    queue.later(seconds=1)
    assert (await queue.run("clean"))["retired"] == 1
    (new,) = await queue.taken()
    (kept,) = await archived(queue)
    assert (kept.panda_id, (await queue.row(new)).id > kept.id) == (old, True)


async def test_after_its_time_it_leaves_the_archive_once_its_day_is_closed(queue: House) -> None:
    arc = queue.rt.settings.arc.model_copy(update={"retention": Retention(archive=timedelta(days=30))})
    queue.rt.settings = queue.rt.settings.model_copy(update={"arc": arc})
    (number,) = await queue.taken()
    await queue.change(number, state=CLOSED)
    queue.later(seconds=1)
    await queue.run("clean")
    queue.later(days=31)
    assert "old PanDA jobs" not in await queue.run("clean")
    assert len(await archived(queue)) == 1, "the books of its day are open"
    await queue.run("close-books")
    queue.later(minutes=11)
    assert (await queue.run("clean"))["old PanDA jobs"] == 1
    assert await archived(queue) == []


async def test_who_handed_a_job_over_is_known_as_long_as_the_job_is_at_work(queue: House) -> None:
    (working, over) = await queue.taken(2)
    ids = {number: row.id for number, row in (await queue.rows()).items()}
    links = [handed.Link(ids[number], "h", number, None, False) for number in (working, over)]
    await queue.rt.write(handed.enter, links, queue.rt.now())
    await queue.change(over, state=CLOSED)
    queue.later(days=31)
    assert (await retire(queue.rt)) == {"retired": 1}
    before = queue.rt.now() - timedelta(days=30)
    assert await queue.rt.write(forget_handed, before) == 1
    assert set(await queue.rt.read(handed.links, ids.values())) == {ids[working]}
