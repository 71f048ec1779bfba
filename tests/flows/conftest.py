"""One Prefect server for all of these tests, and towers whose flows run against it."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import State, TaskRun
from prefect.client.schemas.sorting import TaskRunSort
from prefect.events.worker import EventsWorker
from prefect.flows import Flow
from prefect.settings import temporary_settings

from act_core import logs
from act_core.ce.base import ComputingElement
from act_core.db import listing
from act_core.db.arrivals import NewJob, add_jobs
from act_core.jobspec import JobSpec
from act_core.runtime import Runtime
from act_core.settings import Settings, load_settings
from act_core.simulators.pki import TestPki
from flows.children import free_port
from flows.environment import client_environment
from flows.standing import healthy
from flows.supervise import Supervisor, prepare
from tests.flows.probes import probe as probe  # a fixture

UP_S, COMMAND_S = 120.0, 120.0
SOONER = {
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": "0.2",
    # each task run at once; its interval is cut to whole seconds, and with 0 of them the server does nothing else
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "1",
}


@dataclass(frozen=True, slots=True)
class Server:
    """A Prefect server, and the environment of those who speak to it."""

    environment: Mapping[str, str]
    log: Path

    def run(self, *words: str, cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run a Python module that speaks to the server."""
        return subprocess.run(
            [sys.executable, "-m", *words],
            cwd=cwd,
            env={**os.environ, **self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPki:
    return TestPki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, pki: TestPki) -> Iterator[Server]:
    """Started as `act up` starts it, in a directory and on a port of its own; it only writes down sooner."""
    settings = Settings(state_dir=tmp_path_factory.mktemp("prefect"))
    port = free_port()
    child = Supervisor(settings, port, lambda _words: None).server
    child.environment = {**child.environment, **SOONER}
    # each of Prefect's clients reads all certificates of the world, unless it is told which
    environment = client_environment(settings, port) | {"PREFECT_API_SSL_CERT_FILE": str(pki.ca_file)}
    child.start()
    try:
        end, pause = time.monotonic() + UP_S, threading.Event()
        while not healthy(environment["PREFECT_API_URL"].removesuffix("/api")):
            assert not child.died(), child.log.read_text(errors="replace")[-2000:]
            assert time.monotonic() < end, "Prefect's server never answered"
            pause.wait(0.1)
        yield Server(environment, child.log)
        EventsWorker.drain_all()  # else they wait at the end of this process for a server that is gone
    finally:
        child.stop()


@pytest.fixture
def as_client(server: Server) -> Iterator[Server]:
    """Flows and clients in this process speak to the server."""
    said = server.environment
    updates = {
        "home": Path(said["PREFECT_HOME"]),
        "api.url": said["PREFECT_API_URL"],
        "api.auth_string": said["PREFECT_API_AUTH_STRING"],
        "api.ssl_cert_file": said["PREFECT_API_SSL_CERT_FILE"],
        "logging.level": said["PREFECT_LOGGING_LEVEL"],
        "logging.to_api.enabled": False,
        "server.ephemeral.enabled": False,
    }
    with temporary_settings(updates=updates):
        yield server


@pytest.fixture
async def client(as_client: Server) -> AsyncIterator[PrefectClient]:
    async with get_client() as opened:
        yield opened


class Grid:
    """A tower with the local CEs `one` and `two`, and `broken`, an ARC CE where nothing listens."""

    def __init__(self, root: Path, pki: TestPki) -> None:
        self.root, self.state_dir = root, root / "state"
        local = {"kind": "local", "options": {"slots": 2}}
        broken = {"endpoint": f"https://127.0.0.1:{free_port()}/arex"}
        arc = {
            "sites": {"one": local, "two": local, "broken": broken},
            "jobs": {"checkinterval": 0, "checkmintime": 0, "archiveafter": 0},
            "breaker": {"failures": 2, "first": "10 min"},
            "voms": {"proxypath": str(pki.proxy("alice", timedelta(hours=96))), "cacertdir": str(pki.ca_dir)},
            "prefect": {"pause": 0.05},
        }
        (root / "arc.yaml").write_text(yaml.safe_dump(arc))
        (root / "app.yaml").write_text(yaml.safe_dump({"modules": {"app": ["manual"]}}))
        self.environment = {
            "ACT_STATE_DIR": str(self.state_dir),
            "ACTCONFIGARC": str(root / "arc.yaml"),
            "ACTCONFIGAPP": str(root / "app.yaml"),
        }

    @property
    def settings(self) -> Settings:
        return load_settings(env=self.environment).settings

    async def add(self, **jobs: int) -> None:
        """`add(one=3)`: so many jobs, each for this CE."""
        spec = JobSpec(executable="/bin/true")
        new = [
            NewJob("manual", f"{ce}{i}", spec, frozenset({ce}), attempts_left=5)
            for ce, n in jobs.items()
            for i in range(n)
        ]
        async with Runtime.open(self.settings) as rt:
            await rt.write(add_jobs, rt.tower, new, rt.now())

    async def states(self) -> dict[str, str]:
        """Job → the state of its newest attempt."""
        async with Runtime.open(self.settings) as rt:
            rows = await rt.read(listing.jobs, listing.Filter(), 100)
            return {row.app_job_id: row.state for row in rows}


@pytest.fixture
async def grid(
    tmp_path: Path,
    pki: TestPki,
    monkeypatch: pytest.MonkeyPatch,
    end_all: Callable[[ComputingElement, Path], Awaitable[None]],
) -> AsyncIterator[Grid]:
    made = Grid(tmp_path, pki)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    await asyncio.to_thread(prepare, made.settings, lambda _words: None)
    yield made
    logs.close()
    async with Runtime.open(made.settings) as rt:
        for name in ("one", "two"):
            await end_all(await rt.ce(name), made.state_dir / "local" / name)


@dataclass(frozen=True, slots=True)
class Ran:
    """A flow run that is over: its state, and its task runs by name."""

    state: State[Any]
    tasks: Mapping[str, TaskRun]


@pytest.fixture
def tasks_of(client: PrefectClient, eventually: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """The ended task runs of a flow run, by name; the server writes them down a second late."""

    async def found(run_id: UUID, n: int) -> dict[str, TaskRun]:
        async def ended() -> dict[str, TaskRun] | None:
            these = FlowRunFilter(id=FlowRunFilterId(any_=[run_id]))
            found = await client.read_task_runs(flow_run_filter=these, sort=TaskRunSort.NAME_ASC, limit=200)
            runs = {run.name: run for run in found}
            return runs if len(runs) >= n and all(run.state and run.state.is_final() for run in runs.values()) else None

        return dict(await eventually(ended, f"{n} ended task runs"))

    return found


@pytest.fixture
def ran(grid: Grid, tasks_of: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Ran]]:
    """Run a flow here, as a plain call; `n`: how many task runs it shall have."""

    async def run(flow: Flow[Any, Any], n: int, **parameters: Any) -> Ran:
        running: Awaitable[State[Any]] = flow(**parameters, return_state=True)  # type: ignore[assignment]
        state = await running
        assert state.state_details.flow_run_id is not None
        tasks = await tasks_of(state.state_details.flow_run_id, n) if n else {}
        return Ran(state, tasks)

    return run
