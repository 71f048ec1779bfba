"""The ATLAS application with simulators around it, on both databases."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from act_core.settings.model import Settings
from act_core.simulators.pki import TestPki
from tests.atlas.house import CE, House, open_house


@pytest.fixture(scope="session")
def grid_pki(tmp_path_factory: pytest.TempPathFactory) -> TestPki:
    return TestPki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
async def atlas(db_settings: Settings, grid_pki: TestPki, tmp_path: Path) -> AsyncIterator[House]:
    """A tower that knows no queue yet."""
    async with open_house(db_settings, grid_pki, tmp_path) as house:
        yield house


@pytest.fixture
async def queue(atlas: House) -> House:
    """A tower that serves the queue TEST at its local CE."""
    await atlas.serve()
    return atlas


@pytest.fixture
async def home(queue: House, end_all: Callable[..., Any]) -> AsyncIterator[House]:
    """A tower whose payloads really run, and that leaves no process behind."""
    queue.lay_out_pilot()
    yield queue
    await end_all(await queue.rt.ce(CE), queue.rt.settings.state_dir / "local" / CE)
