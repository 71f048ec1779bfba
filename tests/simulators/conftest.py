"""Simulators that these tests share."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from aiohttp.test_utils import TestClient, TestServer

from act_core.simulators.arc_wire import Flavour
from act_core.simulators.panda_http import Door
from act_core.simulators.panda_methods import Desk
from act_core.simulators.panda_roles import Roles
from act_core.simulators.panda_workers import Workers
from act_core.simulators.pki import TestPki
from tests.simulators.arc_client import Ce, Opener
from tests.simulators.panda_house import NAME, TOKENS, House


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPki:
    return TestPki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
async def opened(pki: TestPki) -> AsyncIterator[Opener]:
    async with AsyncExitStack() as stack:
        yield Opener(pki, stack)


@pytest.fixture(params=list(Flavour))
async def ce(request: pytest.FixtureRequest, opened: Opener) -> Ce:
    return await opened(request.param)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    roles = Roles({NAME: ("/atlas/Role=production",)}, TOKENS, frozenset({"/CN=Banned"}))
    door = Door(Desk(house.books, Workers(house.books)), roles, house.clock, lambda _: house.name)
    async with TestClient(TestServer(door.app())) as house.client:
        yield house
