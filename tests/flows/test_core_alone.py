"""The core, the command `act` and the supervisor start without Prefect: it costs seconds and 77 MB."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "modules",
    [("act_core.stages", "act_core.cli.main", "act_core.atlas.app", "act_core.manual"), ("flows.supervise",)],
    ids=["act_core", "supervisor"],
)
def test_prefect_is_not_imported(modules: tuple[str, ...]) -> None:
    lines = [f"import {name}" for name in modules]
    tell = "import sys; print(sorted(name for name in sys.modules if name.split('.')[0] == 'prefect'))"
    command = [sys.executable, "-c", "\n".join([*lines, tell])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
