"""The one door through which PanDA jobs change."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from act_core.atlas import books
from act_core.atlas.books import Booked, Change, app_job_id, panda_ids
from act_core.atlas.instance import server_of
from act_core.db.models import ERROR_LENGTH
from act_core.db.panda_models import PandaRow
from act_core.states import PANDA_LIFE, PandaState
from tests.atlas.house import BOOKED, House
from tests.atlas.statements import heard_statements

P = PandaState
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


async def picked(house: House) -> list[Booked]:
    """All rows, by PandaID: PanDA hands jobs out in any order."""
    rows = await house.rt.read(books.picked, PandaRow.server == server_of(house.rt), limit=1000)
    return sorted(rows, key=lambda row: (row.panda_id, row.attempt_nr))


async def test_what_has_changed_since_it_was_picked_is_left_alone(queue: House) -> None:
    first, second = await queue.taken(2)
    rows = await picked(queue)
    await queue.change(first, error="somebody else was here")
    now = queue.rt.now() + timedelta(hours=1)
    settled = await queue.rt.write(books.settle, {row: Change(P.STARTING, {"ce": "x"}) for row in rows}, now)
    assert [row.panda_id for row in settled.written] == [second]
    old, new = await queue.row(first), await queue.row(second)
    assert (old.state, old.ce, old.error) == (P.SENT.value, None, "somebody else was here")
    assert (new.state, new.ce, new.state_since, new.modified) == (P.STARTING.value, "x", now, now)
    assert new.version == next(row.version for row in rows if row.panda_id == second) + 1
    assert await queue.rt.write(books.settle, {row: Change(P.TOKILL) for row in rows}, now) == books.Settled()


async def test_columns_alone_do_not_touch_the_state(queue: House) -> None:
    (number,) = await queue.taken()
    (row,) = await picked(queue)
    before = await queue.row(number)
    await queue.rt.write(books.settle, {row: Change(None, {"error": "é" * 5000})}, queue.rt.now())
    after = await queue.row(number)
    assert (after.state, after.state_since) == (before.state, before.state_since)
    assert after.error == "é" * ERROR_LENGTH
    assert after.modified > before.modified


@pytest.mark.parametrize("old", PandaState)
def test_an_illegal_move_is_our_bug_and_nothing_is_asked_of_the_database(old: PandaState) -> None:
    for new in set(PandaState) - PANDA_LIFE[old] - {old}:
        row = replace(BOOKED, state=old)
        settled = books.settle(Session(), {row: Change(new)}, NOW)
        assert (settled.written, settled.illegal) == ([], [row])
        assert settled.counts(told=0) == {"illegal": 1}


async def test_an_illegal_move_does_not_hold_up_the_others(queue: House) -> None:
    first, second = await queue.taken(2)
    odd, good = await picked(queue)
    changes = {odd: Change(P.TRANSFERRING), good: Change(P.STARTING)}
    settled = await queue.rt.write(books.settle, changes, queue.rt.now())
    assert ([row.panda_id for row in settled.illegal], [row.panda_id for row in settled.written]) == ([first], [second])
    assert (await queue.row(first)).state == P.SENT.value


@pytest.mark.parametrize("column", ["state", "version", "panda_id", "attempt_nr", "job", "server", "queue", "id"])
def test_a_change_writes_only_what_it_may(column: str) -> None:
    with pytest.raises(ValueError, match=column):
        books.settle(Session(), {BOOKED: Change(None, {column: "x"})}, NOW)


async def test_many_rows_cost_a_few_statements(queue: House) -> None:
    await queue.taken(90)
    rows = await picked(queue)
    changes = {row: Change(P.STARTING, {"error": str(row.id)}) for row in rows}
    with heard_statements(queue) as sent:
        await queue.rt.write(books.settle, changes, queue.rt.now())
    assert len([one for one in sent if "panda_jobs" in one]) == 2
    assert {row.error for row in (await queue.rows()).values()} == {str(row.id) for row in rows}


async def test_a_job_that_is_booked_already_is_left_as_it_is(queue: House) -> None:
    (number,) = await queue.taken()
    await queue.change(number, error="mine")
    row = await queue.row(number)
    names = ("server", "panda_id", "attempt_nr", "queue", "label", "cores", "state", "state_since", "job", "created")
    again = {name: getattr(row, name) for name in (*names, "modified")}
    another = again | {"attempt_nr": row.attempt_nr + 1}
    assert await queue.rt.write(books.insert_jobs, [again]) == 0
    assert await queue.rt.write(books.insert_jobs, []) == 0
    assert await queue.rt.write(books.insert_jobs, [again, another]) == 1
    assert [(one.attempt_nr, one.error) for one in await picked(queue)] == [(1, "mine"), (2, None)]


async def test_a_job_that_an_answer_holds_twice_is_booked_once(queue: House) -> None:
    (number,) = await queue.taken()
    row = await queue.row(number)
    kept = {column.name: getattr(row, column.name) for column in row.__table__.columns if column.name != "id"}
    fresh = [kept | {"panda_id": number + n, "error": words} for n, words in ((1, "a"), (2, "b"), (1, "c"))]
    assert await queue.rt.write(books.insert_jobs, fresh) == 2
    assert [one.error for one in await picked(queue)] == [None, "a", "b"]


@pytest.mark.parametrize("texts", [(), ("job",), ("outputs", "report")], ids=str)
async def test_long_texts_are_read_by_who_asks_for_them(queue: House, texts: tuple[books.LongText, ...]) -> None:
    (number,) = await queue.taken()
    await queue.change(number, outputs="[1]", report="{2}")
    with heard_statements(queue) as sent:
        (row,) = await queue.rt.read(books.picked, PandaRow.panda_id == number, limit=1, texts=texts)
    found = {"job": row.job != "{}", "outputs": row.outputs == "[1]", "report": row.report == "{2}"}
    assert {name for name, there in found.items() if there} == set(texts)
    assert {name for name in found if re.search(rf"panda_jobs\.{name}\b", sent[-1])} == set(texts)


async def test_no_step_reads_texts_that_it_does_not_need(queue: House) -> None:
    (number,) = await queue.bound()
    await queue.moved(number, "running")
    with heard_statements(queue) as sent:
        await queue.tower.news()
        await queue.run("heartbeat")
    assert not [one for one in sent if "panda_jobs.job" in one or "panda_jobs.outputs" in one]
    assert (await queue.row(number)).told == "running"


async def test_jobs_are_found_by_what_the_engine_calls_them(queue: House) -> None:
    first, second = await queue.taken(2)
    names = [app_job_id(first, 1), app_job_id(second, 2), "17.1"]
    found = await queue.rt.read(books.by_app_job_ids, server_of(queue.rt), names)
    assert {name: row.panda_id for name, row in found.items()} == {names[0]: first}
    assert found[names[0]].app_job_id == names[0]
    assert await queue.rt.read(books.by_app_job_ids, "another.example", names) == {}


def test_the_engines_name_of_a_job_can_be_read_back() -> None:
    assert panda_ids([app_job_id(6_000_000_001, 0), app_job_id(5, 12)]) == {(6_000_000_001, 0), (5, 12)}
