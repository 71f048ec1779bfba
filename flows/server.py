"""What the tower needs in Prefect's server: `python -m flows.server [--first]` brings it there.

A process of its own: the supervisor does not import Prefect, and Prefect reads its settings once.
"""

import asyncio
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from prefect.automations import AutomationCore
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState, RunDeployment
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.exceptions import ObjectNotFound

from act_core.installed import applications
from act_core.settings import Settings
from act_core.timetable import STAGES, Stage
from flows.deployments import ANCHOR, EACH_MINUTE, deploy, offset
from flows.keeper import settings as load
from flows.worker import BEAT_S, HEAR_S, HEARTBEAT, LOOK_S, InProcessWorker

LIMITS = {"panda-api": 2, "storage-checks": 1}  # stages that want it
ZOMBIE_S = 2 * (BEAT_S + LOOK_S + HEAR_S) + 30  # the first heartbeat of a run is the worker's second one
SOON_S = 8.0
FIRST = ("refresh-queues", "renew-credentials")
ZOMBIES = "act: crash zombie flow runs"
SECOND_LOOK = "act: read the list of a CE whose brake is on"
CES_OF_EVENT = '["{{ event.resource["act.ce"] }}"]'
TYPE = InProcessWorker.type


async def furnish(client: PrefectClient, settings: Settings) -> int:
    """Pool, limits, deployments, the automations; can be repeated. Returns the number of deployments."""
    name = settings.arc.prefect.pool
    try:
        pool = await client.read_work_pool(name)
    except ObjectNotFound:
        pool = await client.create_work_pool(WorkPoolCreate(name=name, type=TYPE, base_job_template=_template()))
    prefect = settings.arc.prefect
    for limit, stages in LIMITS.items():  # a window of each worker, and one that overlaps the next
        await client.upsert_global_concurrency_limit_by_name(limit, stages * (prefect.workers + 1))
    made = await deploy(client, name, prefect.window.total_seconds(), own_stages(settings), prefect.workers)
    if pool.type == TYPE:  # other types of workers send no heartbeats of this kind
        await _zombies(client, name)
    await _second_look(client)
    return made


def own_stages(settings: Settings) -> list[Stage]:
    """Those of the applications, in the order in which they are configured."""
    return [stage for app in applications(settings) for stage in app.stages]


def _template() -> Mapping[str, object]:
    return InProcessWorker.get_default_base_job_template()


def zombie_trigger(pool: str) -> EventTrigger:
    """No word of a run of this pool for ZOMBIE_S after it began, or after a heartbeat of the worker.

    The engine's own heartbeats tell no state and do not count: the first one of a short run comes after its end.
    """
    return EventTrigger(
        after={"prefect.flow-run.Running", HEARTBEAT},
        expect={"prefect.flow-run.*"},
        match={"prefect.resource.id": ["prefect.flow-run.*"], "prefect.state-type": ["*"]},
        match_related={"prefect.resource.role": ["work-pool"], "prefect.resource.name": [pool]},
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=timedelta(seconds=ZOMBIE_S),
    )


async def _zombies(client: PrefectClient, pool: str) -> None:
    """A run of which nothing is heard is marked Crashed, so that it holds no slot."""
    action = ChangeFlowRunState(state=StateType.CRASHED, message="no heartbeat: its worker is gone")
    await _automate(client, AutomationCore(name=ZOMBIES, trigger=zombie_trigger(pool), actions=[action]))


def brake_trigger() -> EventTrigger:
    """A brake of a CE has come on."""
    return EventTrigger(
        expect={"act.brake.brake-*"},
        match={"prefect.resource.id": ["act.ce.*"]},
        for_each={"prefect.resource.id"},
        posture=Posture.Reactive,
        threshold=1,
        within=timedelta(0),
    )


async def _second_look(client: PrefectClient) -> None:
    """The example of an automation: where a brake is on, the CE's own list is read at once, as a second witness."""
    deployment = await client.read_deployment_by_name("reconcile-ces/reconcile-ces-now")
    of_event = {"__prefect_kind": "json", "value": {"__prefect_kind": "jinja", "template": CES_OF_EVENT}}
    action = RunDeployment(source="selected", deployment_id=deployment.id, parameters={"ces": of_event})
    found = await client.read_automations_by_name(SECOND_LOOK)
    if not found:  # it is the operators': what they change or switch off stays so
        await client.create_automation(AutomationCore(name=SECOND_LOOK, trigger=brake_trigger(), actions=[action]))


async def _automate(client: PrefectClient, wanted: AutomationCore) -> None:
    found = await client.read_automations_by_name(wanted.name)
    if found:
        await client.update_automation(found[0].id, wanted)
    else:
        await client.create_automation(wanted)


async def first_windows(client: PrefectClient, settings: Settings) -> None:
    """Begin at once: the rest of each stage's present minute as a window, and one look at queues and credentials."""
    now = datetime.now(UTC)
    for number, stage in enumerate((*STAGES.values(), *own_stages(settings))):
        if stage.every is not None and stage.name not in FIRST:
            continue
        since = (now - ANCHOR - offset(number)).total_seconds()
        left = 0.0 if stage.every else EACH_MINUTE.total_seconds() - since % EACH_MINUTE.total_seconds()
        if not stage.every and left < SOON_S:  # the clock's own window is as good
            continue
        name = f"{stage.name}/{stage.name}" if stage.every is None else f"{stage.name}/{stage.name}-now"
        deployment = await client.read_deployment_by_name(name)
        await client.create_flow_run_from_deployment(
            deployment.id, name=f"{stage.name} at the start", parameters={"window": left}
        )


async def main() -> None:
    settings = load()
    async with get_client() as client:
        await furnish(client, settings)
        if "--first" in sys.argv:
            await first_windows(client, settings)


if __name__ == "__main__":
    asyncio.run(main())
