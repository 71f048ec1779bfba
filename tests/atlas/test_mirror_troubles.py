"""News that come at a bad moment, or that make us stumble: each job's trouble is its own."""

import json
from typing import Any

import pytest

from act_core.atlas import mirror
from act_core.atlas.mirror import Heard, heard
from act_core.atlas.pilot_word import LARGEST
from act_core.db import wishes
from act_core.db.models import CeJob
from act_core.engine.rerun import resubmit
from act_core.states import CeState, PandaState, Request
from tests.atlas.house import CE, House
from tests.atlas.test_mirror import news

C, P = CeState, PandaState


async def test_an_attempt_that_is_followed_by_another_meanwhile_ends_nothing(queue: House) -> None:
    """A late word of attempt n touches neither the PanDA job nor attempt n+1."""
    (number,) = await queue.bound()
    await queue.over(number, "donefailed", ce=CE)

    async def resubmitted() -> None:
        await queue.moved(number, request=Request.RESUBMIT.value)
        await resubmit(queue.rt, CE)

    queue.rt.meanwhile = resubmitted
    await queue.tower.news()
    assert (await queue.row(number)).state == P.STARTING.value
    first, second = await queue.attempts(number)
    assert (first.superseded_by, second.request) == (second.submission_key, None)


async def test_a_wish_that_comes_meanwhile_is_heeded(queue: House) -> None:
    (number,) = await queue.bound()
    await queue.over(number, "cancelled", ce=CE)

    async def wished() -> None:
        await queue.moved(number, request=Request.RESUBMIT.value, version=CeJob.version)

    queue.rt.meanwhile = wished
    await queue.tower.news()
    assert (await queue.row(number)).state == P.STARTING.value
    assert (await queue.attempt(number)).request == Request.RESUBMIT.value


# --- begin again by hand ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wish", [Request.RESUBMIT, Request.RERUN])
@pytest.mark.parametrize("state", [C.CANCELLED, C.FAILED, C.DONEFAILED, C.DONE])
def test_a_job_that_is_to_begin_again_is_not_over(state: CeState, wish: Request) -> None:
    assert news(state, P.RUNNING, request=wish.value) == Heard()


@pytest.mark.parametrize("row", [P.TOKILL, P.TOREPORT, P.CLOSED])
def test_unless_panda_wants_no_more_of_it(row: PandaState) -> None:
    assert news(C.CANCELLED, row, request=Request.RESUBMIT.value).wish is Request.CLEAN


async def test_a_living_job_can_be_resubmitted_by_hand(queue: House) -> None:
    """The engine kills it first; that is not its end."""
    (number,) = await queue.bound()
    await queue.moved(number, "cancelled", request=Request.RESUBMIT.value, remote_id="x", ce=CE)
    await queue.tower.news()
    assert (await queue.row(number)).state == P.STARTING.value
    await resubmit(queue.rt, CE)
    await queue.tower.news()
    first, second = await queue.attempts(number)
    assert first.superseded_by == second.submission_key
    assert second.state == C.TOSUBMIT.value
    assert (await queue.row(number)).state == P.STARTING.value


async def test_what_panda_is_told_has_ended_does_not_begin_again(queue: House) -> None:
    """Somebody resubmits it by hand while PanDA is away, and its rest is cleaned from the CE already."""
    number = await queue.running()
    await queue.ended(number, C.DONEFAILED, ce=CE, remote_id="r1")
    await queue.run("clean")
    asked = [(await queue.attempt(number)).app_job_id]
    answers = await queue.rt.write(wishes.wish, "atlas", asked, Request.RESUBMIT, queue.rt.now())
    assert set(answers.values()) == {Request.RESUBMIT.value}
    await resubmit(queue.rt, CE)
    await queue.tower.news()
    await queue.run("submit", "heartbeat")
    await queue.tower.news()
    assert [one.state for one in await queue.attempts(number)] == [C.DONEFAILED, C.CANCELLED]
    assert (queue.book(number).status, (await queue.row(number)).state) == ("failed", P.CLOSED)


async def test_a_resubmission_that_is_not_granted_is_the_end(queue: House) -> None:
    (number,) = await queue.bound()
    late = {"remote_id": "x", "ce": CE, "submit_before": queue.rt.now()}
    await queue.moved(number, "cancelled", request=Request.RESUBMIT.value, **late)
    await queue.tower.news()
    await resubmit(queue.rt, CE)
    await queue.tower.news()
    assert (await queue.row(number)).state == P.TOREPORT.value


# --- one bad report --------------------------------------------------------------------------------------------------


def changed(house: House, number: int, **keys: object) -> dict[str, bytes]:
    """The pilot's report of a good job, with changes."""
    report = json.loads(house.produced(number).files["heartbeat.json"]) | keys
    return {"heartbeat.json": json.dumps(report).encode()}


async def over_with(house: House, number: int, **keys: object) -> None:
    await house.over(number)
    await house.came_home(number, changed(house, number, **keys))


async def test_half_a_character_in_a_report_blocks_nobody(queue: House) -> None:
    numbers = await queue.bound(2)
    xml = {"log\ud800": {"surl": "https://se.example/log\ud800"}}
    await over_with(queue, numbers[0], exeErrorDiag="a\ud800b", xml=json.dumps(xml))
    await queue.over(numbers[1])
    await queue.tower.news()
    assert await queue.states() == dict.fromkeys(numbers, P.TOVALIDATE.value)
    row = await queue.row(numbers[0])
    assert json.loads(str(row.report))["exe_error_diag"] == "a?b"
    assert json.loads(str(row.outputs))[0]["url"] == "https://se.example/log?"


@pytest.mark.parametrize(
    ("size", "state", "words"),
    [
        (3_000_000, P.TOVALIDATE, "[too long for the tower, left out: meta_data]"),
        (17_000_000, P.TOREPORT, f"heartbeat.json is larger than {LARGEST} bytes"),
    ],
)
async def test_a_report_that_no_database_takes_blocks_nobody(
    queue: House, size: int, state: PandaState, words: str
) -> None:
    numbers = await queue.bound(2)
    await over_with(queue, numbers[0], metaData="x" * size)
    await queue.over(numbers[1])
    await queue.tower.news()
    assert await queue.states() == {numbers[0]: state.value, numbers[1]: P.TOVALIDATE.value}
    report = json.loads(str((await queue.row(numbers[0])).report))
    assert report["pilot_error_diag"] == words
    assert "meta_data" not in report


async def test_long_reports_that_come_together_are_heard(queue: House) -> None:
    numbers = await queue.bound(20)
    for number in numbers:
        await over_with(queue, number, metaData="'" * 1_000_000)
    assert await queue.tower.news() == {"news": 20, "panda tovalidate": 20}
    assert len(json.loads(str((await queue.row(numbers[-1])).report))["meta_data"]) == 1_000_000


async def test_a_job_over_which_we_stumble_fails_alone(queue: House, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = await queue.bound(3)
    await queue.over(first)
    await queue.over(second)
    await queue.moved(third, "running", ce=CE)

    def buggy(attempt: CeJob, *args: Any) -> Heard:
        if attempt.app_job_id == f"{second}.1":
            return heard(attempt, *args)
        raise OverflowError("too large")

    monkeypatch.setattr(mirror, "heard", buggy)  # no text is known to make it raise
    await queue.tower.news()
    assert await queue.states() == {first: P.TOREPORT.value, second: P.TOVALIDATE.value, third: P.STARTING.value}
    report = json.loads(str((await queue.row(first)).report))
    assert (report["job_status"], report["pilot_error_code"]) == ("failed", 1008)
    assert "OverflowError: too large" in report["pilot_error_diag"]
    assert (await queue.attempt(first)).request == Request.CLEAN.value
    assert await queue.tower.news() == {}
