"""What can go wrong with a transfer that lives longer than the round that began it."""

import asyncio
import logging
from typing import Any

import pytest

from act_core.ce.base import Refused
from act_core.db import claims, queries, wishes
from act_core.engine import transfers
from act_core.engine.fetch import fetch
from act_core.engine.rerun import rerun
from act_core.engine.submit import send_inputs
from act_core.engine.transfers import CLAIM, lot
from act_core.errors import DatabaseAway, Transient
from act_core.stages import Tower, sweep
from act_core.states import CeState, Request
from tests.engine.house import CE, House

S = CeState
ODD = "500 caf\udce9"  # a reason phrase that is no UTF-8


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfers, "PATIENCE_S", 0.2)
    monkeypatch.setattr(transfers, "BATCH_S", 0.02)


async def held(house: House, state: CeState, request: Request | None = None) -> asyncio.Event:
    """The only job is on its way; the event lets it come."""
    (job,) = await house.jobs(1, state)
    event = house.end.held[job] = asyncio.Event()
    if request:
        await wished(house, request)
    await (send_inputs if state is S.SUBMITTED else fetch)(house, CE)
    return event


async def wished(house: House, request: Request) -> None:
    names = [row.app_job_id for row in await house.rows()]
    await house.write(wishes.wish, "manual", names, request, house.now())


async def test_what_was_begun_for_a_former_life_does_not_end_the_next_one(house: House) -> None:
    """The failed job was on its way home when it was restarted; its second life left other outputs."""
    await held(house, S.FAILED, Request.FETCH)
    await wished(house, Request.RERUN)
    assert await rerun(house, CE) == {"submitted": 1}
    (row,) = await house.rows()
    house.ahead = 2 * CLAIM
    await house.changed(row.id, S.FINISHED)
    house.end.held.clear()
    for _ in range(3):
        await fetch(house, CE)
    (row,) = await house.rows()
    assert row.state == "done"
    assert len(house.end.begun) == 2


@pytest.mark.parametrize("request_", [Request.CANCEL, Request.CLEAN, Request.RESUBMIT])
async def test_a_kill_that_a_claim_covered_is_uncovered_by_the_next_one(house: House, request_: Request) -> None:
    await held(house, S.SUBMITTED)
    await wished(house, request_)
    (row,) = await house.rows()
    covered = row.due_at
    await house.changed(row.id, S.SUBMITTED)  # as a claim that had not seen the wish: the version moves
    await lot(house, CE, "submit").claim(house, CE)
    (row,) = await house.rows()
    assert covered is not None
    assert row.due_at is None or row.due_at <= house.now()
    assert await house.read(queries.wished, CE, [request_], house.now(), 10)


async def test_a_rerun_does_not_wait_for_the_fetch(house: House) -> None:
    await held(house, S.FAILED, Request.FETCH)
    await wished(house, Request.RERUN)
    await lot(house, CE, "fetch-validate").claim(house, CE)
    assert await rerun(house, CE) == {"submitted": 1}


async def test_an_answer_that_cannot_be_kept_holds_up_nobody(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "act")
    jobs = await house.jobs(5, S.SUBMITTED)
    put, settle = house.end.put_inputs, claims.settle

    async def answers(files: Any) -> Any:
        return {
            job: Refused(ODD, for_good=False) if job == jobs[0] else told for job, told in (await put(files)).items()
        }

    def strict(session: Any, decisions: Any, *args: Any) -> Any:
        words = [word for one in decisions.values() for word in (one.reason, *one.columns.values())]
        if any(ODD in str(word) for word in words):
            raise ValueError("cannot be stored")
        return settle(session, decisions, *args)

    monkeypatch.setattr(house.end, "put_inputs", answers)
    monkeypatch.setattr(claims, "settle", strict)
    with pytest.raises(ValueError, match="cannot be stored"):
        await send_inputs(house, CE)
    rows = await house.rows()
    assert sum(row.inputs_sent_at is not None for row in rows) >= 3  # its neighbour of the same call waits with it
    assert all(row.due_at and row.due_at > house.now() for row in rows if row.inputs_sent_at is None)
    assert not lot(house, CE, "submit").over()


async def test_odd_text_is_kept_as_far_as_it_can_be(house: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "act")  # our own log cleans it; what pytest captures cannot leave a worker
    (job,) = await house.jobs(1, S.FINISHED)
    house.end.trouble[job] = Transient(ODD)
    assert await sweep(Tower(house, apps=()), "fetch-validate", [CE]) == {"errors": 1}
    row = await house.read(queries.ce_row, CE)
    assert row is not None
    assert (row.failures, row.trouble) == (1, "500 caf?")


async def test_the_databases_trouble_is_not_the_ces(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.jobs(1, S.FINISHED)

    def away(*_args: Any) -> Any:
        raise DatabaseAway("database: Lock wait timeout")

    with monkeypatch.context() as patched:
        patched.setattr(claims, "settle", away)
        assert await sweep(Tower(house, apps=()), "fetch-validate", [CE]) == {"errors": 1}
    row = await house.read(queries.ce_row, CE)
    assert row is not None
    assert row.failures == 0
    await fetch(house, CE)
    assert set((await house.states()).values()) == {"done"}


async def test_a_transfer_over_which_we_stumble_is_not_begun_again_at_once(house: House) -> None:
    jobs = await house.jobs(1, S.FINISHED)
    house.end.trouble[jobs[0]] = KeyError("ours")
    with pytest.raises(KeyError):
        await fetch(house, CE)
    assert await fetch(house, CE) == {}
    assert len(house.end.begun) == 1
