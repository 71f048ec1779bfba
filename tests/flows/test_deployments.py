"""The table of deployments, and that Prefect takes it: from prefect.yaml and from `act up` alike."""

from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import DeploymentSort
from prefect.flows import load_flow_from_entrypoint

from act_core.settings import Settings
from act_core.stages import STAGES
from flows.deployments import POOL, all_deployments
from flows.server import LIMITS, TYPE, ZOMBIES, furnish
from flows.window import SCARCE

PREFECT_YAML = Path(__file__).parents[2] / "prefect.yaml"
EACH_KIND = ("submit", "submit-now", "renew-credentials")  # by the clock, by hand, rarely; Prefect takes 2 s for each
SAME = ("entrypoint", "parameters", "description", "work_pool_name", "pull_steps", "enforce_parameter_schema", "paused")


def test_each_stage_has_one_by_the_clock_and_one_by_hand() -> None:
    names = [one["name"] for one in all_deployments()]
    assert sorted(names) == sorted([*STAGES, *(f"{name}-now" for name in STAGES)])
    assert {one["name"] for one in all_deployments() if one["schedules"]} == set(STAGES)


def test_two_stages_never_start_in_the_same_second() -> None:
    starts = Counter(
        datetime.fromisoformat(schedule["anchor_date"]).second
        for one in all_deployments()
        for schedule in one["schedules"]
    )
    assert len(starts) == len(STAGES)


def test_a_window_is_shorter_than_its_interval() -> None:
    for one in all_deployments():
        assert all(one["parameters"]["window"] < schedule["interval"] for schedule in one["schedules"])


@pytest.mark.parametrize("stage", STAGES)
def test_the_flow_of_a_stage_bears_its_name(stage: str) -> None:
    made = next(one for one in all_deployments() if one["name"] == stage)
    flow: Any = load_flow_from_entrypoint(made["entrypoint"])
    assert flow.name == stage
    assert set(made["parameters"]) <= set(flow.parameters.properties) == {"window", "ces"}


def test_what_is_scarce_has_a_limit_and_a_stage() -> None:
    assert set(SCARCE.values()) == set(LIMITS)
    assert set(SCARCE) <= set(STAGES)


async def held(client: PrefectClient) -> dict[str, DeploymentResponse]:
    found = await client.read_deployments(sort=DeploymentSort.NAME_ASC, limit=200)
    return {one.name: one for one in found}


def told(one: DeploymentResponse) -> dict[str, Any]:
    """What the table says of a deployment, read back from the server."""
    limit, options = one.global_concurrency_limit, one.concurrency_options
    assert limit is not None
    assert options is not None
    return {key: getattr(one, key) for key in SAME} | {
        "schema": one.parameter_openapi_schema,
        "schedules": [schedule.schedule.model_dump() | {"active": schedule.active} for schedule in one.schedules],
        "limit": (limit.limit, options.collision_strategy, options.grace_period_seconds),
    }


@pytest.mark.prefect
@pytest.mark.xdist_group("prefect")
async def test_prefect_takes_the_table(server: Any, client: PrefectClient, tmp_path: Path) -> None:
    await client.create_work_pool(WorkPoolCreate(name=POOL, type=TYPE))
    named = [word for name in EACH_KIND for word in ("--name", name)]
    done = server.run("prefect", "--no-prompt", "deploy", *named, "--prefect-file", str(PREFECT_YAML), cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    from_file = await held(client)
    try:
        written = {one["name"]: one for one in yaml.safe_load(PREFECT_YAML.read_text())["deployments"]}
        assert set(from_file) == set(EACH_KIND)
        submit = told(from_file["submit"])
        assert submit["limit"] == (2, "CANCEL_NEW", 60)
        assert [(one["interval"].total_seconds(), one["active"]) for one in submit["schedules"]] == [(60.0, True)]
        assert told(from_file["submit-now"])["schedules"] == []
        assert told(from_file["submit-now"])["limit"] == (4, "ENQUEUE", 60)
        assert await furnish(client, Settings(state_dir=tmp_path)) == len(written)
        furnished = await held(client)
        assert set(furnished) == set(written)
        for name, one in from_file.items():
            assert told(furnished[name]) == told(one), "`act up` and prefect.yaml say the same"
            assert furnished[name].id == one.id
        await furnish(client, Settings(state_dir=tmp_path))
        assert len(await client.read_automations_by_name(ZOMBIES)) == 1, "once more does no harm"
    finally:
        for one in (await held(client)).values():
            await client.delete_deployment(one.id)
