"""A job is finished only when storage has its outputs, whole; a storage that is away is asked again."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from sqlalchemy import update

from act_core.atlas import validate
from act_core.atlas.final import STAGE_OUT_FAILED
from act_core.atlas.outputs import Judged
from act_core.atlas.validate import after_check
from act_core.db.models import Ce
from act_core.settings.app_model import Validation
from act_core.simulators.faults import Kind
from act_core.states import PandaState
from tests.atlas.house import BOOKED, CE, House

P = PandaState
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
VALIDATE = "fetch-validate"


async def ended(house: House, n: int = 1) -> list[int]:
    """Jobs whose outputs are to be validated."""
    numbers = await house.bound(n)
    for number in numbers:
        await house.ended(number)
    assert set((await house.states()).values()) == {P.TOVALIDATE.value}
    return numbers


def output(house: House, number: int) -> tuple[str, bytes]:
    """Path and content of the job's first output on storage."""
    produced = house.produced(number)
    name, url = next(iter(house.urls(produced).items()))
    return urlsplit(url).path, produced.files[name]


def missing(house: House, number: int) -> None:
    house.shelf.files.delete(output(house, number)[0])


def shorter(house: House, number: int) -> None:
    path, content = output(house, number)
    house.shelf.files.put(path, content[:-1])


def altered(house: House, number: int) -> None:
    """Of the right size."""
    path, content = output(house, number)
    house.shelf.files.put(path, content[:-1] + bytes([content[-1] ^ 1]))


async def test_good_outputs_make_a_finished_job(queue: House) -> None:
    numbers = await ended(queue, 3)
    assert await validate.due(queue.rt) == [validate.KEY]
    assert await queue.run(VALIDATE) == {"files match": 6, "validated": 3}
    assert await validate.due(queue.rt) == []
    assert set((await queue.states()).values()) == {P.TOREPORT.value}
    assert {row.check_due_at for row in (await queue.rows()).values()} == {None}
    await queue.run("heartbeat")
    assert {queue.book(number).status for number in numbers} == {"finished"}


@pytest.mark.parametrize(
    ("spoil", "words"), [(missing, "absent"), (shorter, "size is 999, not 1000"), (altered, "adler32 is")]
)
async def test_a_bad_output_fails_its_job_and_no_other(queue: House, spoil: object, words: str) -> None:
    queue.configure(validation={"on_missing": "fail", "on_different": "fail"})
    bad, good = await ended(queue, 2)
    assert callable(spoil)
    spoil(queue, bad)
    before = json.loads(str((await queue.row(bad)).report))
    assert (await queue.run(VALIDATE))["validated"] == 2
    row = await queue.row(bad)
    report = json.loads(str(row.report))
    assert (row.state, report["job_status"], report["pilot_error_code"]) == (
        P.TOREPORT.value,
        "failed",
        STAGE_OUT_FAILED,
    )
    assert output(queue, bad)[0].rpartition("/")[2] in report["pilot_error_diag"]
    assert words in str(row.error)
    changed = {"job_status", "pilot_error_code", "pilot_error_diag"}
    assert {k: v for k, v in report.items() if k not in changed} == {
        k: v for k, v in before.items() if k not in changed
    }
    await queue.run("heartbeat")
    assert (queue.book(bad).status, queue.book(good).status) == ("failed", "finished")
    assert queue.book(bad).columns["pilotErrorCode"] == STAGE_OUT_FAILED


@pytest.mark.parametrize("kind", [Kind.DOWN, Kind.ERROR, Kind.RESET_BEFORE])
async def test_a_storage_that_is_away_is_asked_again_and_fails_no_job(queue: House, kind: Kind) -> None:
    (number,) = await ended(queue)
    await queue.fault(queue.storage, kind)
    assert await queue.run(VALIDATE) == {"files unreachable": 2}
    row = await queue.row(number)
    assert (row.state, row.checks) == (P.TOVALIDATE.value, 1)
    assert "unreachable" in str(row.error)
    assert await validate.due(queue.rt) == []  # it is not stormed
    queue.later(seconds=16)
    assert await queue.run(VALIDATE) == {"files unreachable": 2}
    await queue.storage.faults.remove()
    queue.later(seconds=29)
    assert await queue.run(VALIDATE) == {}
    queue.later(seconds=2)
    assert await queue.run(VALIDATE) == {"files match": 2, "validated": 1}
    assert (await queue.row(number)).error is None
    await queue.run("heartbeat")
    assert queue.book(number).status == "finished"


async def test_a_storage_that_rests_uses_up_nobodys_tries(queue: House) -> None:
    queue.configure(validation={"tries": 2, "failures": 1, "rest": timedelta(hours=1)})
    (number,) = await ended(queue)
    await queue.fault(queue.storage, Kind.DOWN)
    assert await queue.run(VALIDATE) == {"files unreachable": 2}
    for _ in range(5):
        queue.later(minutes=2)
        assert await queue.run(VALIDATE) == {"files unreachable": 2}
        row = await queue.row(number)
        assert (row.state, row.checks) == (P.TOVALIDATE.value, 1)
        assert "it rests for" in str(row.error)
    queue.later(hours=24)
    assert (await queue.run(VALIDATE))["validated"] == 1
    assert "could not be checked within 24 h" in str((await queue.row(number)).error)


async def test_a_log_that_is_missing_is_a_missing_output(queue: House) -> None:
    queue.configure(validation={"on_missing": "fail"})
    (number,) = await ended(queue)
    log = json.loads(str((await queue.row(number)).job))["logFile"]
    queue.shelf.files.delete(urlsplit(queue.urls(queue.produced(number))[log]).path)
    await queue.run(VALIDATE, "heartbeat")
    assert f"{log}: absent" in str(queue.book(number).columns["pilotErrorDiag"])


async def test_a_storage_that_stays_away_fails_the_job_in_the_end(queue: House) -> None:
    queue.configure(validation={"tries": 3})
    (number,) = await ended(queue)
    queue.shelf.manners.forbidden = ("/out",)
    for _ in range(2):
        assert await queue.run(VALIDATE) == {"files forbidden": 2}
        assert (await queue.row(number)).state == P.TOVALIDATE.value
        queue.later(hours=1)
    assert await queue.run(VALIDATE) == {"files forbidden": 2, "validated": 1}
    await queue.run("heartbeat")
    job = queue.book(number)
    assert (job.status, job.columns["pilotErrorCode"]) == ("failed", STAGE_OUT_FAILED)
    assert "could not be checked 3 times" in str(job.columns["pilotErrorDiag"])


async def test_what_storage_cannot_tell_is_no_reason_to_fail(queue: House) -> None:
    (number,) = await ended(queue)
    queue.shelf.manners.digest = False
    assert await queue.run(VALIDATE) == {"files unverifiable": 2, "validated": 1}
    await queue.run("heartbeat")
    assert queue.book(number).status == "finished"


async def test_panda_hears_that_the_job_is_in_transfer_meanwhile(queue: House) -> None:
    (number,) = await ended(queue)
    await queue.fault(queue.storage, Kind.DOWN)
    await queue.run(VALIDATE, "heartbeat")
    assert queue.book(number).status == "transferring"


async def test_a_job_that_is_killed_while_storage_is_asked_stays_killed(queue: House) -> None:
    (number,) = await ended(queue)

    async def killed() -> None:
        await queue.change(number, state=P.TOKILL.value)

    queue.rt.meanwhile = killed
    assert (await validate.validate(queue.rt, validate.KEY))["validated"] == 0
    assert (await queue.row(number)).state == P.TOKILL.value


RULES = Validation(tries=100, patience="1000 d")
GOOD = '{"job_id": 7, "job_status": "finished"}'


@pytest.mark.parametrize(
    ("checks", "pause"),
    [(0, 15), (1, 30), (2, 60), (7, 1920), (8, 3600), (98, 3600)],
)
def test_the_pauses_grow_up_to_an_hour(checks: int, pause: int) -> None:
    row = replace(BOOKED, state=P.TOVALIDATE, checks=checks, report=GOOD)
    change = after_check(row, Judged("retry", "a: unreachable"), NOW, RULES)
    assert (change.to, change.columns["checks"]) == (None, checks + 1)
    assert change.columns["check_due_at"] == NOW + timedelta(seconds=pause)


def test_a_question_that_nobody_asked_uses_up_no_try_and_ends_with_the_patience() -> None:
    rules = Validation(tries=3)
    row = replace(BOOKED, state=P.TOVALIDATE, checks=2, report=GOOD, state_since=NOW)
    unasked = Judged("retry", "a: unreachable: it rests", asked=False)
    change = after_check(row, unasked, NOW + timedelta(hours=23), rules)
    assert (change.to, change.columns.get("checks")) == (None, None)
    change = after_check(row, unasked, NOW + timedelta(hours=25), rules)
    assert change.to is P.TOREPORT
    assert "could not be checked within 24 h" in change.columns["error"]


def test_a_job_that_cannot_run_anew_fails_and_says_why() -> None:
    row = replace(BOOKED, state=P.TOVALIDATE, report=GOOD)
    assert after_check(row, Judged("rerun", "a: absent"), NOW, RULES).to is P.STARTING
    change = after_check(row, Judged("rerun", "a: absent"), NOW, RULES, "no attempt is left")
    assert change.to is P.TOREPORT
    assert json.loads(change.columns["report"])["pilot_error_diag"].endswith("(no attempt is left): a: absent")


@pytest.mark.parametrize("mode", ["offline", "abandoned"])
async def test_a_ce_that_is_asked_no_more_holds_up_no_verdict_and_no_kill(queue: House, mode: str) -> None:
    """Their attempts are over: neither a next attempt nor a kill needs the CE."""
    anew, killed = await queue.bound(2)
    for number in (anew, killed):
        await queue.over(number, ce=CE, remote_id=f"r{number}")
    queue.shelf.files.delete(urlsplit(next(iter(queue.urls(queue.produced(anew)).values()))).path)
    await queue.tower.news()
    await queue.rt.write(lambda session: session.execute(update(Ce).values(mode=mode)) and None)
    queue.books.kill([killed], None, queue.clock.now())
    await queue.run("heartbeat", "fetch-validate", "submit")
    await queue.tower.news()
    await queue.run("heartbeat")
    assert [one.state for one in await queue.attempts(anew)] == ["done", "tosubmit"]
    assert queue.book(killed).status == "cancelled"
    assert (await queue.row(killed)).state == PandaState.CLOSED
