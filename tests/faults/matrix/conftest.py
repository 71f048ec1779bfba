"""Servers' keys for all cells of a process, tables for each cell, and what was found as a file."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from act_core.settings.model import Settings
from act_core.simulators.pki import TestPki
from tests.faults.matrix.trial import Tried
from tests.fixtures.databases import Servers, settings_for

RESULTS = Path(__file__).resolve().parents[3] / ".faults"


@pytest.fixture(scope="session")
def matrix_pki(tmp_path_factory: pytest.TempPathFactory) -> TestPki:
    return TestPki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def database(request: pytest.FixtureRequest) -> str:
    """Each cell says which; most are about the wires and the order of writes, for which SQLite will do."""
    return str(getattr(request, "param", "sqlite"))


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where SQLite's file of each cell lies, one after the other: so its connections can be kept for the next one."""
    return tmp_path_factory.mktemp("tables")


@pytest.fixture
def db_settings(database: str, servers: Servers, tables: Path, tmp_path: Path) -> Settings:
    for former in tables.glob("act.sqlite*"):
        former.unlink()
    return settings_for(tmp_path / "state", servers.ready(database, tables))


@pytest.fixture(scope="session")
def record() -> Iterator[Callable[[Tried], None]]:
    """Each process of the run writes a file of its own; the page is made from all of them."""
    found: dict[str, object] = {}

    def keep(one: Tried) -> None:
        found[one.cell.name] = asdict(one)

    yield keep
    RESULTS.mkdir(exist_ok=True)
    name = f"{os.environ.get('PYTEST_XDIST_WORKER', 'all')}.json"
    (RESULTS / name).write_text(json.dumps(found, indent=1))
