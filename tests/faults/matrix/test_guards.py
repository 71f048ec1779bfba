"""Each of the five guards is needed: without it, its cell fails."""

import shutil
from pathlib import Path

import pytest

from act_core.settings.model import Settings
from act_core.simulators.pki import TestPki
from tests.faults.matrix.guards import GUARDS, Guard, shown

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("guard", [pytest.param(guard, id=guard.name) for guard in GUARDS])
async def test_a_cell_fails_without_it(
    guard: Guard, db_settings: Settings, matrix_pki: TestPki, tmp_path: Path
) -> None:
    template = db_settings.sqlite_file

    def settings(place: Path) -> Settings:
        file = Path(shutil.copy(template, place / "act.sqlite"))
        db = db_settings.arc.db.model_copy(update={"file": file})
        return db_settings.model_copy(update={"state_dir": place, "arc": db_settings.arc.model_copy(update={"db": db})})

    found = await shown(guard, settings, matrix_pki, tmp_path)
    assert [one.cell for one in found if one.wrong]
