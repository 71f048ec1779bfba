"""CRIC's simulator: the feed, and what one can do to it."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from act_core.simulators.cric_http import DOWNTIMES, QUEUES, Cric
from act_core.simulators.cric_queues import CeDescription, QueueDescription

Client = TestClient[web.Request, web.Application]
ARC = QueueDescription(
    name="TEST_ARC", ces=(CeDescription(name="arc01", endpoint="https://arc01.test.example:443/arex"),)
)


@pytest.fixture
def cric() -> Cric:
    return Cric([ARC])


@pytest.fixture
async def client(cric: Cric) -> AsyncIterator[Client]:
    app = cric.app()
    app.add_routes(cric.control())
    async with TestClient(TestServer(app)) as client:
        yield client


async def feed(client: Client, path: str = QUEUES) -> dict[str, Any]:
    async with client.get(path + "?json") as answer:
        assert answer.headers["Content-Type"].startswith("application/json")
        return json.loads(await answer.read())  # type: ignore[no-any-return]


async def test_the_feed_has_the_keys_that_people_read(client: Client) -> None:
    entry = (await feed(client))["TEST_ARC"]
    assert (entry["nickname"], entry["status"], entry["pilot_manager"], entry["cloud"]) == (
        "TEST_ARC",
        "online",
        "aCT",
        "ND",
    )
    assert entry["acopytools"] == {"pr": ["mv"], "pw": ["mv"], "pl": ["mv"], "default": ["mv"]}
    (ce,) = entry["queues"]
    assert (ce["ce_hostname"], ce["ce_flavour"]) == ("arc01.test.example", "ARC-CE")
    assert (ce["ce_queue_maxwctime"], ce["ce_state"]) == (2880, "ACTIVE")


async def test_a_page_for_people_without_json(client: Client) -> None:
    async with client.get(QUEUES) as answer:
        assert answer.content_type == "text/html"


async def test_entries_change_go_bad_and_go_away(client: Client) -> None:
    async with client.patch("/entries/TEST_ARC", json={"status": "offline", "queues": []}) as answer:
        assert answer.status == 200
    assert (await feed(client))["TEST_ARC"]["status"] == "offline"
    async with client.put("/entries/BAD", json=[None, 7]) as answer:
        assert answer.status == 204
    assert (await feed(client))["BAD"] == [None, 7]
    async with client.patch("/entries/BAD", json={}) as answer:
        assert answer.status == 404
    async with client.delete("/entries/BAD") as answer:
        assert answer.status == 204
    async with client.post("/queues", json={"name": "NEW", "native": False}) as answer:
        assert answer.status == 200
    async with client.post("/queues", json={"nam": "NEW"}) as answer:
        assert answer.status == 400
    assert list(await feed(client)) == ["TEST_ARC", "NEW"]


async def test_there_are_no_downtimes_until_somebody_puts_some(client: Client) -> None:
    assert await feed(client, DOWNTIMES) == {}
    async with client.put("/downtimes", json={"1": {"severity": "OUTAGE"}}):
        pass
    assert await feed(client, DOWNTIMES) == {"1": {"severity": "OUTAGE"}}
