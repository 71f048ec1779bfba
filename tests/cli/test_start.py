"""What a command does not need is not imported before it answers: people and tests start `act` all day long."""

import subprocess
import sys

import pytest

# Tens of milliseconds each; what migrates, calls or signs may have them.
HEAVY = ("prefect", "fastapi", "uvicorn", "starlette", "jinja2", "alembic", "mako", "aiohttp", "act_core.simulators")
ENGINE = ("act_core.engine.submit", "act_core.storage.webdav", "act_core.stages", "act_core.atlas.translate")


def _imported(*modules: str) -> set[str]:
    lines = [f"import {name}" for name in modules]
    command = [sys.executable, "-c", "\n".join([*lines, "import sys; print(*sys.modules)"])]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize(
    ("modules", "not_wanted"),
    [
        (("act_core.cli.tower", "flows.standing"), (*HEAVY, *ENGINE)),
        (("act_core.cli.report",), (*HEAVY, *ENGINE)),
        (("act_core.cli.report", "act_core.atlas.app"), HEAVY),
        (("act_core.cli.jobs",), (*HEAVY, *ENGINE, "cryptography")),
        ((), ("sqlalchemy", "pydantic", *HEAVY)),
    ],
    ids=["status", "report", "report of PanDA", "jobs list", "a typing error"],
)
def test_a_command_imports_no_more_than_it_needs(modules: tuple[str, ...], not_wanted: tuple[str, ...]) -> None:
    found = _imported("act_core.cli.main", *modules)
    assert "act_core.cli.main" in found
    assert found & set(not_wanted) == set()
