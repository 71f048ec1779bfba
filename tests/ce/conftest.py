"""Simulated ARC CEs, and control directories of an A-REX, that these tests share."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from act_core.ce.base import ComputingElement, RemoteId, Seen
from act_core.simulators.arc_wire import Flavour
from act_core.simulators.pki import TestPki
from tests.ce.arc_host import Host
from tests.ce.arc_house import Builder, House, commit


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPki:
    made = TestPki(tmp_path_factory.mktemp("pki"))
    made.proxy("alice", path=made.root / "proxy.pem")
    return made


@pytest.fixture
async def build(pki: TestPki, tmp_path: Path) -> AsyncIterator[Builder]:
    async with AsyncExitStack() as stack:
        yield Builder(pki, tmp_path, stack)


@pytest.fixture(params=list(Flavour))
async def house(request: pytest.FixtureRequest, build: Builder) -> House:
    """A CE of either generation."""
    return await build(request.param)


@pytest.fixture
async def late(build: Builder) -> House:
    """A CE whose documents are written only when it is told to."""
    return await build(pace={"info_period": 3600.0})


@pytest.fixture
def over(eventually: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[dict[RemoteId, Seen]]]:
    """Let jobs run, and wait for the end of all of them."""

    async def run(ce: ComputingElement, jobs: Collection[RemoteId]) -> dict[RemoteId, Seen]:
        await commit(ce, jobs)

        async def all_ended() -> dict[RemoteId, Seen] | None:
            found = dict(await ce.ended(jobs))
            return found if len(found) == len(jobs) else None

        found: dict[RemoteId, Seen] = await eventually(all_ended, "the end of all jobs")
        return found

    return run


@pytest.fixture(params=[False, True], ids=["6.17", "7"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    """A control directory in both layouts."""
    made = Host(tmp_path, request.param)
    made.lay_out()
    yield made
    made.end()
