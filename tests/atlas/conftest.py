"""The ATLAS application with simulators around it, on both databases."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from act_core.settings.model import Settings
from act_core.simulators.pki import TestPki
from tests.atlas.house import House, open_house


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
