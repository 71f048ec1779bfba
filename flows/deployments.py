"""The deployments: one scheduled and one by hand for each stage. `python -m flows.deployments > prefect.yaml`."""

import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import yaml
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.filters import WorkPoolFilter, WorkPoolFilterName
from prefect.client.schemas.objects import ConcurrencyLimitStrategy, ConcurrencyOptions
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.client.schemas.sorting import DeploymentSort
from prefect.flows import Flow, load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema

from act_core.timetable import STAGES, Stage
from flows import stage as own

POOL = "act"
ANCHOR = datetime(2026, 1, 1, tzinfo=UTC)
EACH_MINUTE = timedelta(minutes=1)
STAGGER = 4  # seconds between the starts of two stages
WINDOW = 58.0
MOST = 200  # deployments in an answer: the server's default limit
HEAD = "# Made by `make docs` from flows/deployments.py. `prefect --no-prompt deploy --all` takes it as it is.\n"


def entrypoint(stage: str) -> str:
    if stage not in STAGES:
        return own.entrypoint(stage)
    name = stage.replace("-", "_")
    return f"flows.{name}.{name}"


def offset(number: int) -> timedelta:
    """When in its minute the stage of this number starts: no two of the first sixty in the same second."""
    in_a_minute = int(EACH_MINUTE.total_seconds()) // STAGGER
    return timedelta(seconds=(STAGGER * number + number // in_a_minute) % 60)


def schedules(stage: Stage, number: int, workers: int = 1) -> list[dict[str, Any]]:
    """When it starts: a window for each worker, a second after one another. What has an interval is done once in it."""
    interval = int((stage.every or EACH_MINUTE).total_seconds())
    several = workers if stage.every is None else 1
    return [
        {
            "interval": interval,
            "anchor_date": (ANCHOR + offset(number) + timedelta(seconds=n)).isoformat(),
            "timezone": "UTC",
            "slug": f"{stage.name}-{n + 1 if several > 1 else interval}",
        }
        for n in range(several)
    ]


def scheduled(stage: Stage, number: int, window: float = WINDOW, workers: int = 1) -> dict[str, Any]:
    """The deployment that the clock starts. One window may overlap the next by a breath; a backlog is skipped."""
    times = schedules(stage, number, workers)
    return {
        "name": stage.name,
        "description": f"{stage.says[:1].upper()}{stage.says[1:]}.",
        "entrypoint": entrypoint(stage.name),
        "parameters": {"window": 0.0 if stage.every else window},
        "schedules": times,
        "concurrency_limit": {"limit": len(times) + 1, "collision_strategy": "CANCEL_NEW", "grace_period_seconds": 60},
    }


def by_hand(stage: Stage) -> dict[str, Any]:
    """The deployment that people start: one pass, waits for its turn and for leases."""
    return {
        "name": f"{stage.name}-now",
        "description": f"Once, now: {stage.says}. It waits up to 30 s for what a window holds.",
        "entrypoint": entrypoint(stage.name),
        "parameters": {"window": 0.0},
        "schedules": [],
        "concurrency_limit": {"limit": 4, "collision_strategy": "ENQUEUE", "grace_period_seconds": 60},
    }


def all_deployments(window: float = WINDOW, more: Iterable[Stage] = (), workers: int = 1) -> Iterator[dict[str, Any]]:
    """Of our stages, and of `more`: the applications' own."""
    for number, stage in enumerate((*STAGES.values(), *more)):
        yield scheduled(stage, number, window, workers)
        yield by_hand(stage)


def document() -> str:
    """prefect.yaml."""
    common = {"work_pool": {"name": POOL}, "pull": []}
    deployments = [one | common for one in all_deployments()]
    return HEAD + yaml.safe_dump({"name": "act-flows", "deployments": deployments}, sort_keys=False, width=118)


async def deploy(
    client: PrefectClient, pool: str, window: float = WINDOW, more: Iterable[Stage] = (), workers: int = 1
) -> int:
    """Make or renew every deployment; returns how many. Those of stages that applications no longer have go."""
    made: set[str] = set()
    for one in all_deployments(window, more, workers):
        flow: Flow[..., Any] = load_flow_from_entrypoint(one["entrypoint"])
        flow_id = await client.create_flow_from_name(flow.name)
        limit = one["concurrency_limit"]
        options = ConcurrencyOptions(
            collision_strategy=ConcurrencyLimitStrategy(limit["collision_strategy"]),
            grace_period_seconds=limit["grace_period_seconds"],
        )
        await client.create_deployment(
            flow_id=flow_id,
            name=one["name"],
            schedules=[_schedule(schedule) for schedule in one["schedules"]],
            concurrency_limit=limit["limit"],
            concurrency_options=options,
            parameters=one["parameters"],
            description=one["description"],
            work_pool_name=pool,
            entrypoint=one["entrypoint"],
            pull_steps=[],
            parameter_openapi_schema=form(flow, by_clock=bool(one["schedules"])),
            enforce_parameter_schema=True,
        )
        made.add(one["name"])
    await _withdraw(client, pool, made)
    return len(made)


async def _withdraw(client: PrefectClient, pool: str, made: set[str]) -> None:
    in_pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[pool]))
    for one in await client.read_deployments(work_pool_filter=in_pool, sort=DeploymentSort.NAME_ASC, limit=MOST):
        if (one.entrypoint or "").startswith(f"{own.PLACE}.") and one.name not in made:
            await client.delete_deployment(one.id)


def form(flow: Flow[..., Any], by_clock: bool) -> dict[str, Any]:
    """What people may fill in. A run by hand is one pass, so that nobody asks them for a length."""
    found = parameter_schema(flow).model_dump(exclude_unset=True)
    if not by_clock:
        found["properties"].pop("window", None)
    return found


def _schedule(one: dict[str, Any]) -> DeploymentScheduleCreate:
    schedule = IntervalSchedule(
        interval=timedelta(seconds=one["interval"]),
        anchor_date=datetime.fromisoformat(one["anchor_date"]),
        timezone=one["timezone"],
    )
    return DeploymentScheduleCreate(schedule=schedule, active=True, slug=one["slug"])


if __name__ == "__main__":
    sys.stdout.write(document())
