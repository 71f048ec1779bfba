"""Transfers side by side: a slow one holds up nobody, is begun once, claimed, and settled when it ends."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import update

from act_core.db import modes, queries, wishes
from act_core.db.due import due_ces
from act_core.db.models import CeJob
from act_core.db.modes import OPERATOR, Mode, Wanted
from act_core.engine import transfers
from act_core.engine.due import due_in
from act_core.engine.fetch import PAUSE_OF_THE_DISK, fetch
from act_core.engine.submit import send_inputs
from act_core.engine.transfers import CLAIM, with_transfers
from act_core.errors import ActError, ConfigError, CredentialError, DiskError, Transient
from act_core.runtime import Runtime
from act_core.stages import Tower, sweep
from act_core.states import CeState, Request
from tests.engine.house import CE, House

S = CeState
Step = Callable[[Runtime, str], Awaitable[Any]]
STEPS = [pytest.param(fetch, S.FINISHED, id="fetch"), pytest.param(send_inputs, S.SUBMITTED, id="inputs")]
STAGE: dict[Step, str] = {fetch: "fetch-validate", send_inputs: "submit"}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfers, "PATIENCE_S", 0.2)
    monkeypatch.setattr(transfers, "BATCH_S", 0.02)


async def _over(house: House) -> int:
    """How many rows tell of a transfer that came to its end."""
    return sum(row.state == "done" or row.inputs_sent_at is not None for row in await house.rows())


async def _hold(house: House, step: Step, state: CeState, n: int = 5) -> tuple[str, asyncio.Event]:
    """A round of which one transfer is left behind: its job, and the event that lets it go on."""
    jobs = await house.jobs(n, state)
    event = house.end.held[jobs[0]] = asyncio.Event()
    await step(house, CE)
    return jobs[0], event


@pytest.mark.parametrize(("step", "state"), STEPS)
async def test_a_slow_one_holds_up_only_who_shares_its_call(house: House, step: Step, state: CeState) -> None:
    await _hold(house, step, state)
    assert await _over(house) == 3  # of five, two to a call
    assert len(house.end.begun) == 5


@pytest.mark.parametrize(("step", "state"), STEPS)
async def test_it_is_claimed_and_not_begun_again(house: House, step: Step, state: CeState) -> None:
    job, _event = await _hold(house, step, state)
    due = {row.remote_id: row.due_at for row in await house.rows()}
    claimed = due[job]
    assert claimed is not None
    assert claimed > house.now()
    assert await house.read(due_ces, STAGE[step], house.now()) == []
    house.ahead = 2 * CLAIM  # the claim has run out: whoever has the transfer claims it again
    begun = len(house.end.begun)
    await step(house, CE)
    assert len(house.end.begun) == begun
    again = {row.remote_id: row.due_at for row in await house.rows()}[job]
    assert again is not None
    assert again > claimed


@pytest.mark.parametrize(("step", "state"), STEPS)
async def test_what_ends_later_is_settled_by_a_later_round(
    house: House, step: Step, state: CeState, eventually: Callable[..., Awaitable[Any]]
) -> None:
    _job, event = await _hold(house, step, state)
    assert await with_transfers(house, STAGE[step]) == []
    event.set()

    async def due() -> bool:
        return await due_in(STAGE[step])(house) == [CE]

    await eventually(due, "a CE that is due for a transfer that has ended")
    await step(house, CE)
    assert await _over(house) == 5
    assert await due_in(STAGE[step])(house) == []


@pytest.mark.parametrize(("step", "state"), STEPS)
async def test_what_ends_at_a_ce_that_is_offline_by_then_is_settled_and_draws_nothing_after_it(
    house: House, step: Step, state: CeState, eventually: Callable[..., Awaitable[Any]]
) -> None:
    _job, event = await _hold(house, step, state)
    await house.write(modes.set_mode, CE, Wanted(Mode.OFFLINE, OPERATOR), house.now())
    again = next(row.id for row in await house.rows() if row.state == "done" or row.inputs_sent_at is not None)
    anew: dict[str, Any] = {"state": state.value, "inputs_sent_at": None, "due_at": house.now(), "request": None}
    await house.write(lambda s: s.execute(update(CeJob).where(CeJob.id == again).values(**anew)) and None)
    tower, begun, over = Tower(house, apps=()), len(house.end.begun), await _over(house)
    assert await tower.due(STAGE[step]) == []
    event.set()

    async def due() -> bool:
        return bool(await with_transfers(house, STAGE[step]))

    await eventually(due, "the end of the transfer")
    await sweep(tower, STAGE[step])
    assert await _over(house) == over + 2  # with the one that shared its call
    assert len(house.end.begun) == begun  # nobody asks the CE for the other one
    assert await tower.due(STAGE[step]) == []
    await house.write(modes.back_on, CE, "", None, house.now())
    await sweep(tower, STAGE[step])
    assert len(house.end.begun) == begun + 1


@pytest.mark.parametrize(("step", "state"), STEPS)
async def test_a_row_that_changed_is_left_alone(
    house: House, step: Step, state: CeState, eventually: Callable[..., Awaitable[Any]]
) -> None:
    job, event = await _hold(house, step, state)
    row = next(row for row in await house.rows() if row.remote_id == job)
    await house.changed(row.id, S.LOST)
    event.set()
    under_way = transfers.lot(house, CE, STAGE[step])

    async def over() -> bool:
        return under_way.over()

    await eventually(over, "the end of the transfer")
    counts = await step(house, CE)
    assert counts["stale"] == 1
    assert (await house.states())[job] == "lost"
    assert await _over(house) == 4


async def test_a_claim_does_not_delay_a_kill(house: House) -> None:
    job, _event = await _hold(house, send_inputs, S.SUBMITTED)
    name = next(row.app_job_id for row in await house.rows() if row.remote_id == job)
    await house.write(wishes.wish, "manual", [name], Request.CANCEL, house.now())
    await transfers.lot(house, CE, "submit").claim(house, CE)
    killed = await house.read(queries.wished, CE, [Request.CANCEL], house.now(), 10)
    assert [attempt.remote_id for attempt in killed] == [job]


async def test_claims_are_renewed_while_the_transfer_lives(
    house: House, monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., Awaitable[Any]]
) -> None:
    monkeypatch.setattr(transfers, "RENEW_S", 0.01)
    job, _event = await _hold(house, fetch, S.FINISHED)
    house.ahead = 2 * CLAIM

    async def renewed() -> bool:
        due = next(row.due_at for row in await house.rows() if row.remote_id == job)
        return due is not None and due > house.now()

    await eventually(renewed, "a claim that is renewed without a round")


async def test_the_runtime_gives_them_up_when_it_closes(house: House) -> None:
    await _hold(house, fetch, S.FINISHED)
    under_way = transfers.lot(house, CE, "fetch-validate")
    assert len(under_way) == 2
    await under_way.close()
    assert len(under_way) == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_process_that_ends_with_its_round_waits_for_all(house: House) -> None:
    house.lasting = False
    jobs = await house.jobs(3, S.FINISHED)
    event = house.end.held[jobs[0]] = asyncio.Event()
    asyncio.get_running_loop().call_later(1.5 * transfers.PATIENCE_S, event.set)
    await fetch(house, CE)
    assert set((await house.states()).values()) == {"done"}


@pytest.mark.parametrize(
    "trouble",
    [Transient("the CE is away"), DiskError("the disk is full"), CredentialError("the proxy has expired")],
    ids=lambda err: type(err).__name__,
)
@pytest.mark.parametrize(("step", "state"), STEPS)
async def test_without_an_answer_no_try_is_counted_and_the_others_are_settled(
    house: House, step: Step, state: CeState, trouble: ActError
) -> None:
    jobs = await house.jobs(5, state)
    house.end.trouble[jobs[0]] = trouble
    for turn in range(10):
        if turn == 0 and isinstance(trouble, Transient):
            assert (await step(house, CE))["errors"] == 1  # the CE answers others
        else:
            with pytest.raises(type(trouble), match=str(trouble)):
                await step(house, CE)
        house.ahead = 2 * house.ahead + CLAIM
    rows = {row.remote_id: row for row in await house.rows()}
    assert (rows[jobs[0]].state, rows[jobs[0]].tries, rows[jobs[0]].error) == (state.value, 0, None)
    assert await _over(house) == 3
    house.end.trouble.clear()
    await step(house, CE)
    assert await _over(house) == 5


@pytest.mark.parametrize(
    ("trouble", "failures", "ours"),
    [
        pytest.param(DiskError("full"), 0, False, id="a disk of ours"),
        pytest.param(Transient("away"), 1, False, id="the CE"),
        pytest.param(CredentialError("old"), 1, True, id="a credential of ours"),
        pytest.param(ConfigError("odd"), 1, True, id="our configuration"),
    ],
)
async def test_whom_the_breaker_hears_of(house: House, trouble: ActError, failures: int, ours: bool) -> None:
    (job,) = await house.jobs(1, S.FINISHED)
    house.end.trouble[job] = trouble
    assert await sweep(Tower(house, apps=()), "fetch-validate", [CE]) == {"errors": 1}
    row = await house.read(queries.ce_row, CE)
    assert row is not None
    assert (row.failures, row.own_trouble) == (failures, ours)


async def test_a_full_disk_gets_a_pause(house: House) -> None:
    first, _second = await house.jobs(2, S.FINISHED)
    house.end.trouble[first] = DiskError("the disk is full")
    with pytest.raises(DiskError):
        await fetch(house, CE)
    house.ahead = PAUSE_OF_THE_DISK / 2
    assert await due_in("fetch-validate")(house) == []
    house.ahead = PAUSE_OF_THE_DISK * 2
    assert await due_in("fetch-validate")(house) == [CE]


async def test_what_failed_is_not_due_at_once(house: House) -> None:
    (job,) = await house.jobs(1, S.FINISHED)
    house.end.trouble[job] = Transient("away")
    with pytest.raises(Transient):
        await fetch(house, CE)
    assert await house.read(due_ces, "fetch-validate", house.now()) == []


async def test_a_bug_of_ours_is_raised_and_the_others_are_settled(house: House) -> None:
    jobs = await house.jobs(5, S.FINISHED)
    house.end.trouble[jobs[0]] = ValueError("ours")
    with pytest.raises(ValueError, match="ours"):
        await fetch(house, CE)
    assert await _over(house) == 3
    assert len(transfers.lot(house, CE, "fetch-validate")) == 0
