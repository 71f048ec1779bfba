"""Which dialect a PanDA server is spoken to in: asked before the first call, and anew after trouble."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from act_core.atlas.panda_errors import NotSpoken
from act_core.errors import CredentialError, ProtocolError, Transient
from act_core.settings.app_model import Panda
from act_core.simulators.faults import FaultRule, Kind
from act_core.simulators.pki import TestPki
from tests.atlas.panda_contract import QUEUE, Dialect, House, open_contract, update


@pytest.fixture
async def house(grid_pki: TestPki) -> AsyncIterator[House]:
    """A server of both generations, and clients that ask."""
    async with open_contract(grid_pki, "both", "auto", "v1") as house:
        yield house


async def serve(house: House, api: str, status: int = 200) -> None:
    """The server is another one from now on."""
    url = f"{house.simulator.control_url}/api"
    async with aiohttp.ClientSession() as session, session.post(url, json={"api": api}) as answer:
        assert answer.status == status


async def trouble(house: House, path: str, **fault: Any) -> None:
    await house.simulator.faults.add(FaultRule.model_validate({"kind": Kind.ERROR, "path": path} | fault))


def asked(house: House, call: str = "alive") -> dict[Dialect, int]:
    return {"v1": house.requests(call, "v1"), "legacy": house.requests(call, "legacy")}


async def test_the_new_api_is_preferred_and_remembered(house: House) -> None:
    client = house.client()
    for _ in range(3):
        assert await client.acquire_jobs(QUEUE, 1) == []
    assert asked(house) == {"v1": 1, "legacy": 0}
    assert asked(house, "acquire") == {"v1": 3, "legacy": 0}


async def test_no_server_speaks_what_there_never_was(house: House) -> None:
    await serve(house, "v2", status=400)
    assert await house.client().is_alive()
    assert asked(house)["v1"] == 2  # which dialect, and whether it is well


async def test_an_old_server_is_found_out(house: House) -> None:
    await serve(house, "legacy")
    client = house.client()
    for _ in range(3):
        assert await client.acquire_jobs(QUEUE, 1) == []
    assert asked(house) == {"v1": 1, "legacy": 1}
    assert asked(house, "acquire") == {"v1": 0, "legacy": 3}


async def test_many_calls_at_once_ask_once(house: House) -> None:
    client = house.client()
    await asyncio.gather(*(client.acquire_jobs(QUEUE, 1) for _ in range(8)))
    assert asked(house) == {"v1": 1, "legacy": 0}


@pytest.mark.parametrize(("old", "new"), [("legacy", "v1"), ("v1", "legacy"), ("legacy", "both"), ("both", "legacy")])
async def test_another_version_costs_at_most_one_call(house: House, old: str, new: str) -> None:
    reports = [update(number) for number in house.make(n=100)]
    await serve(house, old)
    client = house.client()
    assert all(answer.settled for answer in (await client.update_jobs_bulk(reports)).values())
    await serve(house, new)
    if new != "both":
        with pytest.raises(NotSpoken, match="is forbidden"):
            await client.update_jobs_bulk(reports)
    assert all(answer.settled for answer in (await client.update_jobs_bulk(reports)).values())
    assert sum(asked(house, "update").values()) <= 3  # no report is looked for that could be to blame


async def test_a_server_that_is_away_is_not_guessed_at(house: House) -> None:
    client = house.client()
    await trouble(house, "is_alive", kind=Kind.DOWN)
    with pytest.raises(Transient):
        await client.acquire_jobs(QUEUE, 1)
    await house.simulator.faults.remove()
    for kind in (Kind.ERROR, Kind.ACCEPT_HANGUP, Kind.HALF_ANSWER, Kind.RESET_BEFORE):
        await trouble(house, "is_alive", kind=kind)
        with pytest.raises(Transient) as caught:
            await client.acquire_jobs(QUEUE, 1)
        assert type(caught.value) is Transient  # nothing left that could have reserved jobs
        await house.simulator.faults.remove()
    assert asked(house)["legacy"] == 0
    assert asked(house, "acquire") == {"v1": 0, "legacy": 0}
    assert await client.acquire_jobs(QUEUE, 1) == []


async def test_it_is_asked_anew_after_trouble(house: House) -> None:
    client = house.client()
    await client.acquire_jobs(QUEUE, 1)
    await trouble(house, "acquire_jobs", times=1)
    with pytest.raises(Transient):
        await client.acquire_jobs(QUEUE, 1)
    assert asked(house)["v1"] == 1
    await serve(house, "legacy")
    assert await client.acquire_jobs(QUEUE, 1) == []
    assert asked(house) == {"v1": 2, "legacy": 1}


async def test_a_new_api_that_lacks_the_pilots_part_is_left_alone(house: House) -> None:
    """Servers up to 0.5 are alive in both, and hand out jobs in one."""
    await trouble(house, "/api/v1/pilot/", status=404)
    client = house.client()
    with pytest.raises(NotSpoken):
        await client.acquire_jobs(QUEUE, 1)
    for _ in range(3):
        assert await client.acquire_jobs(QUEUE, 1) == []
    assert asked(house) == {"v1": 1, "legacy": 1}


async def test_a_front_that_forbids_the_new_paths_hides_no_old_server(house: House) -> None:
    await serve(house, "legacy")
    await trouble(house, "/api/v1/", status=403, reason="Forbidden")
    assert await house.client().acquire_jobs(QUEUE, 1) == []


async def test_who_is_refused_by_both_hears_why(house: House) -> None:
    await trouble(house, "", status=403)
    with pytest.raises(CredentialError, match="is_alive with 403"):
        await house.client().acquire_jobs(QUEUE, 1)


async def test_another_kind_of_server_is_named(house: House) -> None:
    await trouble(house, "", status=404)
    client = house.client()
    with pytest.raises(ProtocolError, match="speaks neither PanDA's new API nor its legacy one"):
        await client.acquire_jobs(QUEUE, 1)
    assert not await client.is_alive()


@pytest.mark.parametrize(("api", "other"), [("v1", "legacy"), ("legacy", "v1")])
async def test_a_dialect_that_is_configured_is_not_asked_for(house: House, api: Dialect, other: Dialect) -> None:
    client = house.client(api=api)
    assert await client.acquire_jobs(QUEUE, 1) == []
    assert asked(house) == {"v1": 0, "legacy": 0}
    assert (asked(house, "acquire")[api], asked(house, "acquire")[other]) == (1, 0)
    await serve(house, other)
    for _ in range(2):
        with pytest.raises(NotSpoken):
            await client.acquire_jobs(QUEUE, 1)
    assert not await client.is_alive()


@pytest.mark.parametrize("tail", ["", "/", "/server/panda", "/server/panda/"])
def test_the_originals_address_is_understood(tail: str) -> None:
    assert Panda(server=f"https://panda.example:25443{tail}").server == "https://panda.example:25443"
