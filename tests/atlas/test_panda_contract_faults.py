"""The contract in bad weather: what is lost, late or spoilt is told as such in both dialects; nothing counts twice."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from act_core.atlas.reports import Outcome
from act_core.errors import CredentialError, OutcomeUnknown, ProtocolError, Transient
from act_core.simulators import panda_http
from act_core.simulators.faults import Kind
from act_core.simulators.pki import TestPki
from tests.atlas.panda_contract import QUEUE, House, open_contract, update


@pytest.fixture(params=["v1", "legacy"])
async def house(request: pytest.FixtureRequest, grid_pki: TestPki) -> AsyncIterator[House]:
    """The client asks for the dialect: trouble of a call is no trouble of asking."""
    async with open_contract(grid_pki, request.param, "auto", request.param) as house:
        yield house


@pytest.mark.parametrize(
    ("fault", "verdict", "reserved"),
    [
        ({"kind": Kind.ACCEPT_HANGUP}, OutcomeUnknown, True),
        ({"kind": Kind.HALF_ANSWER}, OutcomeUnknown, True),
        ({"kind": Kind.MALFORMED_JSON}, OutcomeUnknown, True),
        ({"kind": Kind.EMPTY}, OutcomeUnknown, True),
        ({"kind": Kind.RESET_BEFORE}, OutcomeUnknown, False),
        ({"kind": Kind.HANG, "seconds": 60}, OutcomeUnknown, False),
        ({"kind": Kind.LATENCY, "seconds": 60}, OutcomeUnknown, None),
        ({"kind": Kind.ERROR, "status": 500}, OutcomeUnknown, False),
        ({"kind": Kind.ERROR, "status": 502}, OutcomeUnknown, False),
        ({"kind": Kind.ERROR, "status": 503}, Transient, False),
        ({"kind": Kind.ERROR, "status": 429}, Transient, False),
        ({"kind": Kind.ERROR, "status": 403}, CredentialError, False),
        ({"kind": Kind.ERROR, "status": 404}, ProtocolError, False),
    ],
    ids=lambda value: str(value)[-40:],
)
async def test_a_lost_acquisition_is_told_from_one_that_never_left(
    house: House, fault: dict[str, Any], verdict: type[Exception], reserved: bool | None
) -> None:
    (number,) = house.make()
    client = house.client(timeout=2 if "seconds" in fault else 20)
    assert await client.is_alive()
    await house.fault(call="acquire", **fault)
    with pytest.raises(verdict):
        await client.acquire_jobs(QUEUE, 1)
    assert reserved is None or (house.book(number).acquisitions == 1) is reserved


@pytest.mark.parametrize(
    ("kind", "verdict", "applied"),
    [
        (Kind.ACCEPT_HANGUP, Transient, True),
        (Kind.HALF_ANSWER, Transient, True),
        (Kind.ERROR, Transient, False),
        (Kind.MALFORMED_JSON, ProtocolError, True),
        (Kind.EMPTY, ProtocolError, True),
        (Kind.RESET_BEFORE, Transient, False),
    ],
)
async def test_a_report_is_said_again_until_it_is_heard(
    house: House, kind: Kind, verdict: type[Exception], applied: bool
) -> None:
    (number,) = house.make()
    client = house.client()
    await house.fault(kind, "update", status=500)
    with pytest.raises(verdict):
        await client.update_jobs_bulk([update(number, "failed")])
    assert (house.book(number).finals == 1) is applied
    await house.simulator.faults.remove()
    answer = (await client.update_jobs_bulk([update(number, "failed")]))[number]
    assert (answer.settled, answer.already_done, house.book(number).finals) == (True, applied, 1)


async def test_a_lost_shard_is_for_later_and_the_others_live(house: House) -> None:
    numbers = house.make(n=150)
    client = house.client(threads=1)
    await house.fault(Kind.ACCEPT_HANGUP, "update", times=1)
    answers = await client.update_jobs_bulk([update(number, "starting") for number in numbers])
    outcomes = [answers[number].outcome for number in numbers]
    assert sorted({(word, outcomes.count(word)) for word in outcomes}) in (
        [(Outcome.ACCEPTED, 50), (Outcome.LATER, 100)],
        [(Outcome.ACCEPTED, 100), (Outcome.LATER, 50)],
    )
    again = await client.update_jobs_bulk([update(number, "starting") for number in numbers])
    assert {answer.outcome for answer in again.values()} == {Outcome.ACCEPTED}


async def test_a_slow_server_is_waited_for(house: House) -> None:
    numbers = house.make(n=3)
    await house.fault(Kind.LATENCY, seconds=0.05)
    client = house.client()
    assert len(await client.acquire_jobs(QUEUE, 3)) == 3
    answers = await client.update_jobs_bulk([update(number) for number in numbers])
    assert {answer.outcome for answer in answers.values()} == {Outcome.ACCEPTED}


async def test_shards_go_side_by_side(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = house.make(n=300)
    together = asyncio.Barrier(3)

    def waiting(read: Callable[[web.Request], Awaitable[Any]]) -> Callable[[web.Request], Awaitable[Any]]:
        async def given(request: web.Request) -> Any:
            if "update" in request.path:
                await together.wait()  # nobody is answered before all three are here
            return await read(request)

        return given

    for name in ("_given", "_given_to_legacy"):  # the server is real, but that it waits
        monkeypatch.setattr(panda_http, name, waiting(getattr(panda_http, name)))
    answers = await house.client(threads=3).update_jobs_bulk([update(number) for number in numbers])
    assert [answers[number].outcome for number in numbers] == [Outcome.ACCEPTED] * 300
