"""A worker that runs flows inside its own process: 0.3 CPU seconds a run instead of 3 to 5.

One long-lived thread with one event loop a deployment, so that sessions to the CEs stay warm. Prefect's own code that
is used: BaseWorker (documented), `run_flow`, `load_flow_from_entrypoint`.
"""

import asyncio
import os
import socket
import threading
from collections import Counter
from collections.abc import Collection, Coroutine
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from time import monotonic
from typing import Any
from uuid import UUID

import anyio
import anyio.abc
import httpx
from prefect import Flow
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.responses import WorkerFlowRunResponse
from prefect.client.schemas.sorting import FlowRunSort
from prefect.events import emit_event
from prefect.flow_engine import run_flow
from prefect.flows import load_flow_from_entrypoint
from prefect.states import Crashed
from prefect.workers.base import BaseJobConfiguration, BaseVariables, BaseWorker, BaseWorkerResult

from act_core.logs import log
from act_core.processes import lives, process_start
from flows import keeper, stops

logger = log(__name__)
DRAIN_S = 10.0
OTHERS = timedelta(seconds=4)  # that other workers have to take a run
LOOK_S, HEAR_S = 2.0, 20.0  # between looks for runs that people cancel; that an answer may take
HEARTBEAT = "prefect.flow-run.heartbeat"
ENDED = "prefect.flow-run.ended"  # ours: the last word of a run that had a heartbeat
BEAT_S = 60.0  # between heartbeats: a window has none; `flows.server` says how long a run may be silent
MOST = 200  # runs in an answer: the server's default limit


class LoopThread:
    """A thread with an event loop that lives as long as the worker."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        keeper.last(self.loop)
        self._thread = threading.Thread(target=self.loop.run_forever, name=f"act-{name}", daemon=True)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, Any]) -> "Future[Any]":
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def ending(self) -> "Future[Any]":
        """Begin to close what the loop keeps."""
        return self.submit(keeper.close())

    def end(self, closed: "Future[Any]") -> None:
        """End the loop when that is done."""
        try:
            closed.result(DRAIN_S)
        except Exception as err:  # noqa: BLE001 - the other loops are to be ended, too
            logger.warning("%s does not end well: %s", self._thread.name, err or type(err).__name__)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(DRAIN_S)
        if not self._thread.is_alive():
            self.loop.close()


@lru_cache(maxsize=256)
def loaded(entrypoint: str) -> Flow[Any, Any]:
    return load_flow_from_entrypoint(entrypoint)


def identifier(run_id: UUID) -> str:
    """Where a run lives: host, process, and the run."""
    return f"{socket.gethostname()}:{os.getpid()}:{process_start(os.getpid())}:{run_id}"


def is_dead(found: str | None) -> bool:
    """Whether a run's identifier names a process of this host that lives no longer."""
    parts = (found or "").split(":")
    if len(parts) != 4 or parts[0] != socket.gethostname() or not parts[1].isdigit():
        return False
    return not lives(int(parts[1]), parts[2])


def left_for_others(run: FlowRun, loads: Collection[UUID | None], now: datetime) -> bool:
    """Whether another worker should take it: here runs one of its deployment already. Nobody did for a while: ours."""
    planned = run.next_scheduled_start_time or run.expected_start_time
    return run.deployment_id in loads and planned is not None and now - planned < OTHERS


class InProcessResult(BaseWorkerResult):
    """What became of a run."""


class InProcessWorker(BaseWorker[BaseJobConfiguration, BaseVariables, InProcessResult]):
    """See the module."""

    type = "act-inprocess"
    job_configuration = BaseJobConfiguration
    job_configuration_variables = BaseVariables
    _description = "Runs ACT flows inside the worker's process."
    _display_name = "ACT in-process"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._loops: dict[UUID, LoopThread] = {}
        self.active: set[UUID] = set()
        self.several = False  # it works for its tower beside others
        self._loads: Counter[UUID | None] = Counter()  # runs by deployment
        self._settled: set[UUID] = set()  # ran at the last heartbeat already
        self._told: set[UUID] = set()  # of these there was a heartbeat

    async def run(
        self,
        flow_run: FlowRun,
        configuration: BaseJobConfiguration,
        task_status: anyio.abc.TaskStatus[Any] | None = None,
    ) -> InProcessResult:
        assert flow_run.deployment_id is not None
        deployment = await self.client.read_deployment(flow_run.deployment_id)
        assert deployment.entrypoint is not None
        flow = await asyncio.to_thread(loaded, deployment.entrypoint)
        thread = self._loops.get(flow_run.deployment_id) or LoopThread(deployment.name)
        self._loops[flow_run.deployment_id] = thread
        if task_status is not None:
            task_status.started(identifier(flow_run.id))
        self.active.add(flow_run.id)
        self._loads[flow_run.deployment_id] += 1
        try:
            await asyncio.wrap_future(thread.submit(self._engine(flow, flow_run)))
        finally:
            self._loads = +(self._loads - Counter([flow_run.deployment_id]))
            self.forget(flow_run.id)
        return InProcessResult(status_code=0, identifier=identifier(flow_run.id))

    async def _engine(self, flow: Flow[Any, Any], flow_run: FlowRun) -> None:
        out = run_flow(flow, flow_run=flow_run, return_type="state")
        if asyncio.iscoroutine(out):
            await out

    def _emit_flow_run_submitted_event(self, configuration: BaseJobConfiguration) -> None:
        """The run's own events tell all that a worker outside its process would: two fewer of eleven."""

    def _emit_flow_run_executed_event(self, *_: Any, **__: Any) -> None:
        """As above."""

    async def _get_scheduled_flow_runs(self) -> list[WorkerFlowRunResponse]:
        """Of several workers none takes all windows of a stage while others have none of it."""
        now = datetime.now(UTC)
        found = await super()._get_scheduled_flow_runs()
        return [one for one in found if not self.several or not left_for_others(one.flow_run, self._loads, now)]

    async def watch(self) -> None:
        """For ever: end the windows that people cancel (Prefect stops no thread), and tell which runs live."""
        beat = monotonic()
        while True:
            await asyncio.sleep(LOOK_S)
            if monotonic() - beat >= BEAT_S:
                beat = monotonic()
                self.beat()
            try:
                async with asyncio.timeout(HEAR_S):  # the next heartbeat does not wait for Prefect's server
                    await self._hear_cancels()
            except (httpx.HTTPError, TimeoutError) as err:
                logger.info("nobody says whether runs were cancelled: %s", err or type(err).__name__)

    async def _hear_cancels(self) -> None:
        if self.active:
            for run in await self._runs(StateType.CANCELLING, among=list(self.active)):
                stops.stop_run(str(run.id))

    def beat(self) -> None:
        """A heartbeat of each run that is not new: one of a run that ends at once would come after its end."""
        settled, self._settled = self._settled & self.active, set(self.active)
        self._told |= settled
        for run_id in settled:
            self._tell(HEARTBEAT, run_id)

    def forget(self, run_id: UUID) -> None:
        """It is over. Prefect's word of the end waits for its words of the beginning, and can get lost with them."""
        self.active.discard(run_id)
        stops.forget(str(run_id))
        if run_id in self._told:
            self._told.discard(run_id)
            self._tell(ENDED, run_id)

    def _tell(self, event: str, run_id: UUID) -> None:
        pool = {"prefect.resource.role": "work-pool", "prefect.resource.name": self._work_pool_name}
        emit_event(
            event,
            resource={"prefect.resource.id": f"prefect.flow-run.{run_id}", "prefect.state-type": "RUNNING"},
            related=[pool | {"prefect.resource.id": f"prefect.work-pool.{self.work_pool.id}"}],
        )

    async def recover(self) -> int:
        """Mark runs Crashed whose worker on this host is dead; returns how many."""
        crashed = 0
        for run in await self._runs(StateType.RUNNING, StateType.PENDING, StateType.CANCELLING):
            if is_dead(run.infrastructure_pid):
                await self.client.set_flow_run_state(run.id, Crashed(message="its worker died"), force=True)
                crashed += 1
        return crashed

    async def _runs(self, *types: StateType, among: list[UUID] | None = None) -> list[FlowRun]:
        wanted = FlowRunFilter(
            id=FlowRunFilterId(any_=among) if among else None,
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(types))),
        )
        # an answer to a question without sort and limit depends on the version of the server's web framework
        return await self.client.read_flow_runs(
            flow_run_filter=wanted, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=MOST
        )

    def end_loops(self) -> None:
        for thread, closed in [(thread, thread.ending()) for thread in self._loops.values()]:
            thread.end(closed)
        self._loops.clear()
