"""A final report that was sent once is never another one: what a second try sends is the same, byte by byte."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import pytest

from act_core.atlas import books, heartbeat
from act_core.atlas.books import Change
from act_core.atlas.instance import server_of
from act_core.simulators.faults import Kind
from act_core.states import PandaState
from tests.atlas.house import BULK, House

P = PandaState


@pytest.fixture
def sent(queue: House, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What PanDA was sent of its jobs, as it came."""
    found: list[str] = []
    update: Callable[[Mapping[str, object], datetime], str] = queue.books.update

    def heard(arguments: Mapping[str, object], now: datetime) -> str:
        found.append(json.dumps(dict(arguments)))
        return update(arguments, now)

    monkeypatch.setattr(queue.books, "update", heard)
    return found


async def sent_once(queue: House, sent: list[str]) -> int:
    """A job whose final report has reached PanDA, and the answer was lost."""
    number = await queue.running()
    await queue.ended(number)
    await queue.run("fetch-validate")
    assert (await queue.row(number)).sent_at is None
    sent.clear()
    await queue.fault(queue.panda, Kind.ACCEPT_HANGUP, path=BULK, times=1)
    await queue.run("heartbeat")
    row = await queue.row(number)
    assert (row.state, row.sent_at is not None, len(sent)) == (P.TOREPORT.value, True, 1)
    return number


async def test_a_second_try_sends_the_same_bytes(queue: House, sent: list[str]) -> None:
    number = await sent_once(queue, sent)
    queue.books.kill([number], None, queue.clock.now())  # a kill order that comes late changes nothing
    await queue.moved(number, "done", error="said later")
    await queue.tower.news()
    queue.later(minutes=1)
    await queue.run("heartbeat")
    assert len(sent) == 2
    assert sent[0] == sent[1]
    assert (await queue.row(number)).state == P.CLOSED.value


async def test_a_report_whose_answer_was_lost_counts_as_what_it_told(queue: House, sent: list[str]) -> None:
    """PanDA has it, and answers the second one with `alreadydone`: the job was not taken back."""
    number = await sent_once(queue, sent)
    queue.later(minutes=1)
    assert (await queue.run("heartbeat"))["final"] == 1
    row = await queue.row(number)
    assert (row.state, row.told, row.ended_as) == (P.CLOSED.value, "finished", "finished")


@pytest.mark.parametrize("columns", [{"report": "{}"}, {"sent_at": None}, {"report": None, "error": "x"}])
async def test_no_verdict_changes_a_report_that_was_sent(
    queue: House, sent: list[str], columns: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    number = await sent_once(queue, sent)
    before = await queue.row(number)
    (row,) = (
        await queue.rt.read(books.by_app_job_ids, server_of(queue.rt), [f"{number}.{before.attempt_nr}"])
    ).values()
    settled = await queue.rt.write(books.settle, {row: Change(None, columns)}, queue.rt.now())
    assert settled.illegal == [row]
    after = await queue.row(number)
    assert (after.report, after.sent_at, after.version) == (before.report, before.sent_at, before.version)
    assert "another report than the one that was sent" in caplog.text


async def test_a_report_that_changed_since_it_was_picked_waits_for_the_next_round(
    queue: House, sent: list[str]
) -> None:
    """The mark and the text belong together: who has changed the row between is not written over."""
    number = await queue.running()
    await queue.ended(number)
    await queue.run("fetch-validate")
    sent.clear()
    other = str((await queue.row(number)).report).replace('"finished"', '"failed"')

    async def verdict() -> None:
        await queue.change(number, report=other)

    queue.rt.meanwhile = verdict
    assert await heartbeat.heartbeat(queue.rt, server_of(queue.rt)) == {}
    assert sent == []
    assert (await queue.run("heartbeat"))["final"] == 1
    assert json.loads(sent[0])["job_status"] == "failed"
