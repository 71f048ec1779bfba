"""The table of deployments, and that Prefect takes it: from prefect.yaml and from `act up` alike."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import DeploymentSort, FlowRunSort
from prefect.events import emit_event
from prefect.flows import load_flow_from_entrypoint

from act_core.db.policy_models import LedgerLine
from act_core.settings import Settings
from act_core.timetable import STAGES, Stage
from flows.deployments import POOL, all_deployments, deploy, form, offset
from flows.happenings import event_of
from flows.server import LIMITS, TYPE, ZOMBIES, furnish
from flows.window import SCARCE

Eventually = Callable[..., Awaitable[Any]]
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
    assert set(made["parameters"]) == {"window"} <= set(flow.parameters.properties)
    assert set(form(flow, by_clock=False)["properties"]) == set(flow.parameters.properties) - {"window"}
    assert all(one.get("description") for one in form(flow, by_clock=True)["properties"].values())


def test_an_applications_stage_has_a_flow_of_its_name() -> None:
    more = [Stage("make-widgets", "make widgets"), Stage("count-widgets", "count", timedelta(hours=1))]
    every = list(all_deployments(more=more))
    made = {one["name"]: one for one in every[2 * len(STAGES) :]}
    assert list(made) == ["make-widgets", "make-widgets-now", "count-widgets", "count-widgets-now"]
    flow: Any = load_flow_from_entrypoint(made["make-widgets"]["entrypoint"])
    assert (flow.name, set(flow.parameters.properties)) == ("make-widgets", {"window", "ces"})
    assert load_flow_from_entrypoint(made["make-widgets-now"]["entrypoint"]) is flow
    assert made["count-widgets"]["schedules"][0]["interval"] == 3600
    starts = [one["schedules"][0]["anchor_date"] for one in every if one["schedules"]]
    assert len({datetime.fromisoformat(start).second for start in starts}) == len(starts)


def test_sixty_stages_start_in_sixty_seconds() -> None:
    assert len({offset(number) for number in range(60)}) == 60


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


async def second_look(client: PrefectClient, deployment: DeploymentResponse, eventually: Eventually) -> Any:
    """What the run asks that the example of an automation starts when a brake comes on."""
    now = datetime.now(UTC)
    line = LedgerLine(id=1, at=now, topic="brake", ce="ce one", share="", job_id=0, code="brake-lose", n=7, facts={})
    of_deployment = DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id]))

    async def started() -> Any:
        runs = await client.read_flow_runs(deployment_filter=of_deployment, sort=FlowRunSort.START_TIME_ASC, limit=5)
        return runs[0].parameters if runs else None

    await asyncio.to_thread(emit_event, **event_of("t1", line))
    return await eventually(started, "a run of the automation")


@pytest.mark.prefect
@pytest.mark.xdist_group("prefect")
async def test_prefect_takes_the_table(
    server: Any, client: PrefectClient, tmp_path: Path, eventually: Eventually
) -> None:
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
            if not one.schedules:  # a form by hand does not ask for the window
                schema = one.parameter_openapi_schema
                assert schema is not None
                del schema["properties"]["window"]
            assert told(furnished[name]) == told(one), "`act up` and prefect.yaml say the same"
            assert furnished[name].id == one.id
        await deploy(client, POOL, more=[Stage("make-widgets", "make widgets")])
        assert "make-widgets-now" in await held(client)
        await furnish(client, Settings(state_dir=tmp_path))
        assert set(await held(client)) == set(written), "what no application has goes"
        assert len(await client.read_automations_by_name(ZOMBIES)) == 1, "once more does no harm"
        assert await second_look(client, furnished["reconcile-ces-now"], eventually) == {
            "window": 0.0,
            "ces": ["ce one"],
        }
    finally:
        for one in (await held(client)).values():
            await client.delete_deployment(one.id)


def test_several_workers_have_a_window_each_a_second_after_one_another() -> None:
    made = {one["name"]: one for one in all_deployments(workers=3)}
    times = made["submit"]["schedules"]
    assert [one["slug"] for one in times] == ["submit-1", "submit-2", "submit-3"]
    starts = [datetime.fromisoformat(one["anchor_date"]) for one in times]
    assert [(start - starts[0]).total_seconds() for start in starts] == [0, 1, 2]
    assert made["submit"]["concurrency_limit"]["limit"] == 4
    assert len(made["refresh-queues"]["schedules"]) == 1, "what is read each ten minutes is read once"
    assert made["refresh-queues"]["concurrency_limit"]["limit"] == 2
    assert list(all_deployments(workers=1)) == list(all_deployments())
