"""Every cell of the fault matrix: nothing lost, nothing run twice, every report delivered, nothing left, in time."""

from collections.abc import Callable
from pathlib import Path

import pytest

from act_core.settings.model import Settings
from act_core.simulators.pki import TestPki
from tests.faults.matrix.cells import CALLS, HIDDEN, UPKEEP, WRITES, Group, groups
from tests.faults.matrix.lives import LIVES
from tests.faults.matrix.trial import Tried, healthy, tried

pytestmark = pytest.mark.faults
OF_OTHERS = ("storage: GET /pilot/", "storage: PUT /out/")  # the CE's own


@pytest.mark.parametrize(
    ("database", "group"),
    [pytest.param(group.database, group, id=group.name) for group in groups()],
    indirect=["database"],
)
async def test_the_jobs_survive(
    group: Group, db_settings: Settings, matrix_pki: TestPki, tmp_path: Path, record: Callable[[Tried], None]
) -> None:
    found = await tried(group, db_settings, matrix_pki, tmp_path)
    for one in found:
        record(one)
    assert {one.cell.name: one.wrong for one in found if one.wrong} == {}


@pytest.mark.parametrize("life", [life for life in LIVES if life not in HIDDEN])  # of those a death is part
async def test_the_table_names_what_a_life_does(
    life: str, db_settings: Settings, matrix_pki: TestPki, tmp_path: Path
) -> None:
    """No write and no call of these lives is without its cells, and no cell is about what never happens."""
    async with healthy(life, db_settings, matrix_pki, tmp_path) as bench:
        writes, calls = bench.fate.seen, bench.striker.seen
    named = {name for names in WRITES.values() for name in names}
    assert {name for name in writes if name not in named and not name.startswith(UPKEEP)} == set()
    known = {call for names in CALLS.values() for call in names}
    assert {name for name in calls if name not in known and not name.startswith(OF_OTHERS)} == set()
    assert set(CALLS.get(life, ())) <= calls.keys()
    assert {name.partition(" #")[0] for name in WRITES.get(life, ())} <= writes.keys()
