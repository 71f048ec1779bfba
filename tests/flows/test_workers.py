"""The same deployment in both kinds of pools: the worker that runs flows inside itself, and Prefect's own."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import DeploymentSort
from prefect.events import Event
from prefect.events.clients import AssertingEventsClient
from prefect.events.filters import EventAnyResourceFilter, EventFilter
from prefect.events.worker import EventsWorker
from prefect.server.events.schemas.automations import EventTrigger
from prefect.server.events.schemas.events import ReceivedEvent
from prefect.states import Cancelling
from prefect.workers.process import ProcessWorker

from flows.server import TYPE, zombie_trigger
from flows.worker import BEAT_S, ENDED, HEAR_S, HEARTBEAT, LOOK_S, InProcessWorker

PREFECT_YAML = Path(__file__).parents[2] / "prefect.yaml"
DEPLOYMENT = "submit-now"
TEMPLATES = {
    TYPE: InProcessWorker.get_default_base_job_template,
    "process": ProcessWorker.get_default_base_job_template,
}
NOISE = ("Traceback", "ERROR", "Unclosed", "never retrieved", "was destroyed")
PATIENCE = 90
Eventually = Callable[..., Awaitable[Any]]

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.xdist_group("prefect"),
    # Prefect's websockets for events live in threads and are closed when they are collected
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


class Pool:
    """A work pool with the deployment in it, and the workers that were started for it."""

    def __init__(self, client: PrefectClient, kind: str, environment: dict[str, str], root: Path) -> None:
        self.client, self.kind, self.name = client, kind, f"pool-of-{kind}"
        self.environment, self.root = environment, root
        self.log = root / "worker.log"
        self.workers: list[subprocess.Popen[bytes]] = []

    async def holds_deployment(self) -> bool:
        found = await self.client.read_deployments(sort=DeploymentSort.NAME_ASC, limit=200)
        return any(one.name == DEPLOYMENT and one.work_pool_name == self.name for one in found)

    async def run(self, **parameters: Any) -> FlowRun:
        deployment = await self.client.read_deployment_by_name(f"submit/{DEPLOYMENT}")
        return await self.client.create_flow_run_from_deployment(deployment.id, parameters=parameters)

    def start(self, *words: str) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as out:
            worker = subprocess.Popen(
                [sys.executable, "-m", *words], env=self.environment, cwd=self.root, stdout=out, stderr=out
            )
        self.workers.append(worker)
        return worker

    def serve(self) -> "subprocess.Popen[bytes]":
        return self.start("flows.serve", self.name)

    def noise(self) -> list[str]:
        lines = self.log.read_text().splitlines()
        return [line for line in lines if any(word in line for word in NOISE) and "in state Cancelled" not in line]


async def opened(client: PrefectClient, server: Any, grid: Any, kind: str) -> Pool:
    made = Pool(client, kind, {**os.environ, **server.environment, **grid.environment}, grid.root)
    template = TEMPLATES[kind]()
    await client.create_work_pool(WorkPoolCreate(name=made.name, type=kind, base_job_template=template), overwrite=True)
    words = ("--prefect-file", str(PREFECT_YAML), "--name", DEPLOYMENT, "--pool", made.name)
    if not await made.holds_deployment():
        done = server.run("prefect", "--no-prompt", "deploy", *words, cwd=grid.root)
        assert done.returncode == 0, done.stdout + done.stderr
    assert await made.holds_deployment()
    return made


@pytest.fixture
async def pool(request: pytest.FixtureRequest, client: PrefectClient, server: Any, grid: Any) -> AsyncIterator[Pool]:
    made = await opened(client, server, grid, getattr(request, "param", TYPE))
    yield made
    for worker in made.workers:
        worker.kill()
        worker.wait()


@pytest.fixture
def becomes(client: PrefectClient, pool: Pool) -> Callable[..., Awaitable[Any]]:
    """Wait until a run's state has this name; returns its message. A worker takes its time to start."""

    async def wait(run: FlowRun, name: str) -> str | None:
        last = asyncio.get_running_loop().time() + PATIENCE
        while True:
            state = (await client.read_flow_run(run.id)).state
            assert state is not None
            if state.name == name:
                return state.message
            over = state.is_final() or asyncio.get_running_loop().time() > last
            assert not over, f"{run.name} is {state!r}, not {name}: {pool.log.read_text()}"
            await asyncio.sleep(0.05)

    return wait


async def heeded(client: PrefectClient, pool: Pool, run: FlowRun) -> dict[str, bool]:
    """The run's own events, and whether the automation for zombies heeds them."""
    trigger = zombies(pool)
    of_run = EventFilter(any_resource=EventAnyResourceFilter(id=[f"prefect.flow-run.{run.id}"]))
    found = await client.read_events(filter=of_run, limit=50)
    events = [ReceivedEvent.model_validate(one.model_dump()) for one in found.events]
    return {one.event: trigger.covers(one) for one in events if one.resource.id.startswith("prefect.flow-run.")}


def zombies(pool: Pool) -> EventTrigger:
    """The trigger, as the server understands it."""
    return EventTrigger.model_validate(zombie_trigger(pool.name).model_dump())


async def test_a_pass_in_the_worker_itself(
    pool: Pool, client: PrefectClient, grid: Any, becomes: Any, tasks_of: Any, eventually: Eventually
) -> None:
    await grid.add(one=2, two=1)
    pool.serve()
    run = await pool.run(ces=["one"])
    assert await becomes(run, "Completed") == "2 submitted, 2 inputs sent"
    assert list(await tasks_of(run.id, 1)) == ["submit one"]
    assert await grid.states() == {"one0": "submitted", "one1": "submitted", "two0": "tosubmit"}
    wrong = await pool.run(ces=["nope"])
    assert await becomes(wrong, "Failed") == "no such CE: nope; known: broken, one, two"

    async def told() -> dict[str, bool] | None:
        seen = await heeded(client, pool, run)
        return seen if {"prefect.flow-run.Running", "prefect.flow-run.Completed"} <= set(seen) else None

    seen = await eventually(told, "the events of the run")
    assert seen["prefect.flow-run.Running"]
    assert seen["prefect.flow-run.Completed"]
    assert HEARTBEAT not in seen, "the engine's own, which may come after the end"


@pytest.fixture
def sent() -> Iterator[Callable[[], Awaitable[list[Event]]]]:
    """The events that this process emitted; they are kept here instead of sent."""
    EventsWorker.set_client_override(AssertingEventsClient)
    AssertingEventsClient.reset()

    async def kept() -> list[Event]:
        await asyncio.to_thread(EventsWorker.drain_all)
        words = [event for client in AssertingEventsClient.all for event in client.events]
        return [event for event in words if event.event in (HEARTBEAT, ENDED)]

    yield kept
    EventsWorker.set_client_override(None)
    AssertingEventsClient.reset()


async def test_a_run_that_goes_on_sends_word(pool: Pool, sent: Callable[[], Awaitable[list[Event]]]) -> None:
    run = uuid4()
    async with InProcessWorker(work_pool_name=pool.name) as worker:
        worker.active.add(run)
        worker.beat()
        assert await sent() == [], "too new for a word"
        worker.beat()
        worker.forget(run)
        worker.beat()
        worker.forget(uuid4())
        words = await sent()
    assert [(one.event, one.resource.id) for one in words] == [
        (HEARTBEAT, f"prefect.flow-run.{run}"),
        (ENDED, f"prefect.flow-run.{run}"),
    ]
    trigger = zombies(pool)
    first = 2 * (BEAT_S + LOOK_S + HEAR_S)  # seconds from a run's beginning to its first heartbeat, at most
    assert trigger.within > timedelta(seconds=first), "it would be dead before it can say that it lives"
    assert all(trigger.covers(ReceivedEvent.model_validate(one.model_dump())) for one in words)
    assert trigger.starts_after("prefect.flow-run.Running")
    assert trigger.starts_after(HEARTBEAT)
    assert trigger.expects(HEARTBEAT)
    assert trigger.expects(ENDED)
    assert not trigger.starts_after(ENDED)
    assert trigger.expects("prefect.flow-run.SkippedLate")


async def test_heartbeats_do_not_wait_for_prefects_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes each question for cancelled runs and answers none."""
    for name, seconds in (("LOOK_S", 0.01), ("BEAT_S", 0.02), ("HEAR_S", 0.05)):
        monkeypatch.setattr(f"flows.worker.{name}", seconds)
    asked, beats, enough = list[str](), list[str](), asyncio.Event()

    async def hangs() -> None:
        asked.append("")
        await asyncio.Event().wait()

    def beat() -> None:
        beats.append("")
        if len(beats) == 3:
            enough.set()

    worker = InProcessWorker(work_pool_name="none")
    monkeypatch.setattr(worker, "_hear_cancels", hangs)
    monkeypatch.setattr(worker, "beat", beat)
    watching = asyncio.create_task(worker.watch())
    async with asyncio.timeout(30):
        await enough.wait()
    watching.cancel()
    assert len(asked) >= 2


async def test_windows_of_a_killed_worker_a_cancel_and_a_quiet_drain(
    pool: Pool, client: PrefectClient, grid: Any, becomes: Any
) -> None:
    killed = pool.serve()
    left = await pool.run(window=60)
    await becomes(left, "Running")
    killed.kill()
    killed.wait()
    worker = pool.serve()
    assert await becomes(left, "Crashed") == "its worker died"
    unwanted = await pool.run(window=60)
    await becomes(unwanted, "Running")
    await client.set_flow_run_state(unwanted.id, Cancelling())
    assert await becomes(unwanted, "Cancelled") == "nothing to do; ended by a person"
    await grid.add(one=1)
    window = await pool.run(window=60)
    await becomes(window, "Running")
    worker.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(worker.wait, 20) == 0
    assert await becomes(window, "Completed")
    assert pool.noise() == []


@pytest.mark.parametrize("pool", ["process"], indirect=True)
async def test_a_pass_in_a_process_of_its_own(pool: Pool, grid: Any, becomes: Any, tasks_of: Any) -> None:
    await grid.add(two=2)
    run = await pool.run()
    pool.start("prefect", "worker", "start", "--type", "process", "--pool", pool.name, "--run-once")
    assert await becomes(run, "Completed") == "2 submitted, 2 inputs sent"
    assert list(await tasks_of(run.id, 1)) == ["submit two"]
    assert await grid.states() == {"two0": "submitted", "two1": "submitted"}
