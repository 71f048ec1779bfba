"""The deployments: one scheduled and one by hand for each stage. `python -m flows.deployments > prefect.yaml`."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import yaml
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import ConcurrencyLimitStrategy, ConcurrencyOptions
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.flows import Flow, load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema

from act_core.stages import STAGES, Stage

POOL = "act"
ANCHOR = datetime(2026, 1, 1, tzinfo=UTC)
EACH_MINUTE = timedelta(minutes=1)
STAGGER = 4  # seconds between the starts of two stages
WINDOW = 58.0
HEAD = "# Made by `make docs` from flows/deployments.py. `prefect --no-prompt deploy --all` takes it as it is.\n"


def entrypoint(stage: str) -> str:
    name = stage.replace("-", "_")
    return f"flows.{name}.{name}"


def scheduled(stage: Stage, number: int, window: float = WINDOW) -> dict[str, Any]:
    """The deployment that the clock starts. One window may overlap the next by a breath; a backlog is skipped."""
    interval = stage.every or EACH_MINUTE
    anchor = ANCHOR + timedelta(seconds=STAGGER * number)
    return {
        "name": stage.name,
        "description": f"{stage.says[:1].upper()}{stage.says[1:]}.",
        "entrypoint": entrypoint(stage.name),
        "parameters": {"window": 0.0 if stage.every else window},
        "schedules": [
            {
                "interval": int(interval.total_seconds()),
                "anchor_date": anchor.isoformat(),
                "timezone": "UTC",
                "slug": f"{stage.name}-{int(interval.total_seconds())}",
            }
        ],
        "concurrency_limit": {"limit": 2, "collision_strategy": "CANCEL_NEW", "grace_period_seconds": 60},
    }


def by_hand(stage: Stage) -> dict[str, Any]:
    """The deployment that people start: one pass, waits for its turn and for leases."""
    return {
        "name": f"{stage.name}-now",
        "description": f"Once, now: {stage.says}. `ces` chooses; it waits up to 30 s for what a window holds.",
        "entrypoint": entrypoint(stage.name),
        "parameters": {"window": 0.0},
        "schedules": [],
        "concurrency_limit": {"limit": 4, "collision_strategy": "ENQUEUE", "grace_period_seconds": 60},
    }


def all_deployments(window: float = WINDOW) -> Iterator[dict[str, Any]]:
    for number, stage in enumerate(STAGES.values()):
        yield scheduled(stage, number, window)
        yield by_hand(stage)


def document() -> str:
    """prefect.yaml."""
    common = {"work_pool": {"name": POOL}, "pull": []}
    deployments = [one | common for one in all_deployments()]
    return HEAD + yaml.safe_dump({"name": "act-flows", "deployments": deployments}, sort_keys=False, width=118)


async def deploy(client: PrefectClient, pool: str, window: float = WINDOW) -> int:
    """Make or renew every deployment; returns how many."""
    made = 0
    for one in all_deployments(window):
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
            parameter_openapi_schema=parameter_schema(flow).model_dump(exclude_unset=True),
            enforce_parameter_schema=True,
        )
        made += 1
    return made


def _schedule(one: dict[str, Any]) -> DeploymentScheduleCreate:
    schedule = IntervalSchedule(
        interval=timedelta(seconds=one["interval"]),
        anchor_date=datetime.fromisoformat(one["anchor_date"]),
        timezone=one["timezone"],
    )
    return DeploymentScheduleCreate(schedule=schedule, active=True, slug=one["slug"])


if __name__ == "__main__":
    sys.stdout.write(document())
