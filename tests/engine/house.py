"""A tower in real tables over one CE in memory whose transfers end when they are told to."""

import asyncio
from collections.abc import Collection, Container, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from act_core.ce.base import (
    Accepted,
    ComputingElement,
    Facts,
    Fetched,
    FetchPlan,
    Gone,
    Listing,
    Refused,
    RemoteId,
    SubmissionKey,
    TowerId,
)
from act_core.db.arrivals import NewJob, add_jobs
from act_core.db.attempts import as_attempt, attempts
from act_core.db.claims import settle
from act_core.db.models import CeJob
from act_core.decisions import Move
from act_core.engine.submit import after_submit, intent
from act_core.jobspec import InputFile, JobSpec
from act_core.runtime import Runtime
from act_core.states import CeState
from tests.walk.fake_ce import FakeCe, RemoteJob, World

CE = "ce"
PATIENCE = timedelta(seconds=30)  # of a submission


class SlowCe(FakeCe):
    """`held`: transfers that wait. `trouble`, `dark`: what transfers, documents of a job raise; `said`: its words."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.held: dict[RemoteId, asyncio.Event] = {}
        self.trouble: dict[RemoteId, Exception] = {}
        self.dark: dict[RemoteId, Exception] = {}
        self.said: dict[RemoteId, Facts] = {}
        self.begun: list[RemoteId] = []
        self.nameless: dict[RemoteId, datetime] = {}

    async def _transfer(self, ids: Collection[RemoteId]) -> None:
        self.begun += ids
        for one in ids:
            if one in self.held:
                await self.held[one].wait()
            if one in self.trouble:
                raise self.trouble[one]

    async def fetch(self, wanted: Mapping[RemoteId, FetchPlan]) -> Mapping[RemoteId, Fetched | Gone | Refused]:
        await self._transfer(wanted)
        return await super().fetch(wanted)

    async def put_inputs(self, files: Mapping[RemoteId, Collection[InputFile]]) -> Mapping[RemoteId, Refused | None]:
        await self._transfer(files)
        return await super().put_inputs(files)

    async def list_mine(self, tower: TowerId, known: Container[RemoteId]) -> Listing:
        return replace(await super().list_mine(tower, known), nameless=self.nameless)

    async def details(self, ids: Collection[RemoteId]) -> Mapping[RemoteId, Facts]:
        for one in ids:
            if one in self.dark:
                raise self.dark[one]
        return {one: self.said.get(one, facts) for one, facts in (await super().details(ids)).items()}

    async def restart(self, ids: Collection[RemoteId]) -> Mapping[RemoteId, Accepted | Gone | Refused]:
        released = [one for one in ids if one in self.world.jobs and self.world.jobs[one].state == "HELD"]
        for one in released:
            self.world.jobs[one].state = "QUEUING"
        others = await super().restart([one for one in ids if one not in released])
        return {**others, **dict.fromkeys(released, Accepted())}


class House(Runtime):
    """A runtime whose clock can be put forward. `end` is its CE."""

    end: SlowCe
    ahead = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.ahead

    async def ce(self, name: str) -> ComputingElement:
        return self.end

    def answers(self, name: str) -> int:
        return self.end.answers

    async def jobs(self, n: int, state: CeState) -> list[RemoteId]:
        """Jobs on the CE that have come to this state."""
        new = [NewJob("manual", f"j{i}", JobSpec(executable="x"), frozenset({CE}), 3) for i in range(n)]
        await self.write(add_jobs, self.tower, new, self.now())
        await self.sent()
        if state is CeState.SUBMITTING:
            return []
        await self._step(lambda one: after_submit(one, RemoteId(f"r-{one.app_job_id}"), self.now()))
        if state is not CeState.SUBMITTED:
            await self._step(lambda one: Move(state, "so it is"))
        rows = await self.rows()
        for row in rows:
            job = RemoteJob(SubmissionKey(row.submission_key), row.app_job_id, self.now(), _NATIVE[state])
            self.end.world.jobs[RemoteId(str(row.remote_id))] = job
        return [RemoteId(str(row.remote_id)) for row in rows]

    async def _step(self, decide: Any) -> None:
        rows = await self.read(lambda session: [as_attempt(row) for row in session.execute(attempts())])
        await self.write(settle, {one: move for one in rows if (move := decide(one))}, self.now(), "test")

    async def sent(self) -> None:
        """The intent of all that wait is written; what follows is the CE's."""
        waits = CeState.TOSUBMIT
        await self._step(lambda one: intent(one, CE, self.now(), PATIENCE) if one.state is waits else None)

    async def changed(self, row: int, to: CeState) -> None:
        """Somebody else moves this attempt."""
        await self._step(lambda one: Move(to, "somebody else") if one.id == row else None)

    async def rows(self) -> list[CeJob]:
        return await self.read(lambda session: list(session.scalars(select(CeJob).order_by(CeJob.id))))

    def tell(self, job: RemoteId, native: str, **facts: Any) -> None:
        """The CE's own word for a job from now on, and what its document says."""
        self.end.world.jobs[job].state = native
        if facts:
            self.end.said[job] = Facts(**facts)

    async def states(self) -> dict[str, str]:
        """States by remote id."""
        return {str(row.remote_id): row.state for row in await self.rows()}


_NATIVE = {
    CeState.SUBMITTED: "PREPARING",
    CeState.RUNNING: "RUNNING",
    CeState.HOLDING: "HELD",
    CeState.FINISHED: "FINISHED",
    CeState.FAILED: "FAILED",
}


def new(name: str, *ces: str, **spec: Any) -> NewJob:
    """A job of the application `manual` that may go to these CEs."""
    return NewJob("manual", name, JobSpec(name=name, executable="x", **spec), frozenset(ces or (CE,)), 3)
