"""A CE in memory, deterministic, that can hang, lose answers, let requests arrive late, pause and forget."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Container, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from act_core.ce.base import (
    Accepted,
    Capacity,
    Facts,
    Fetched,
    FetchPlan,
    Gone,
    Listing,
    OutcomeLost,
    Refused,
    RemoteId,
    Seen,
    Shown,
    SubmissionKey,
    TowerId,
    Traits,
    key_belongs,
)
from act_core.errors import OutcomeUnknown, Transient
from act_core.jobspec import InputFile, JobSpec
from act_core.states import CeState

T = TypeVar("T")
FAULTS = ("hang", "lose", "late", "crash", "half")
NATIVE = {
    "PREPARING": CeState.SUBMITTED,
    "QUEUING": CeState.SUBMITTED,
    "RUNNING": CeState.RUNNING,
    "HELD": CeState.HOLDING,
    "FINISHED": CeState.FINISHED,
    "FAILED": CeState.FAILED,
    "KILLED": CeState.CANCELLED,
    "KILLING": None,
}
OVER = ("FINISHED", "FAILED", "KILLED")


class Crash(BaseException):
    """The worker dies: between ask and settle, or before or after any write."""


@dataclass
class RemoteJob:
    key: SubmissionKey
    name: str  # the application's id
    made: datetime
    state: str = "PREPARING"
    runs: int = 0
    mark: str = ""


@dataclass
class World:
    """The CE as it is, whatever anybody was told of it."""

    now: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)
    jobs: dict[RemoteId, RemoteJob] = field(default_factory=dict)
    air: list[tuple[SubmissionKey, JobSpec]] = field(default_factory=list)  # sent, and not there yet
    runs: Counter[str] = field(default_factory=Counter)  # by the application's id
    fault: str | None = None
    strikes_at: int = 0  # calls from now
    crash_at: int | None = None  # of what comes before and after each write, so many from now
    blind: bool = False  # the identity is mapped to another account: its jobs go on unseen
    paused: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, key: SubmissionKey, spec: JobSpec) -> RemoteId:
        made = RemoteId(f"r{len(self.jobs)}-{key[-6:]}-{self.now:%H%M%S}")
        self.jobs[made] = RemoteJob(key, spec.name, self.now, mark=spec.mark or "")
        return made

    def strike(self) -> str | None:
        """The fault of the call that begins now; each strikes once."""
        fault = None
        if self.fault and self.strikes_at == 0:
            fault, self.fault = self.fault, None
        self.strikes_at -= 1
        return fault

    def at_write(self) -> None:
        """A moment before or after a write: the last one, if it was to be here."""
        if self.crash_at is not None:
            self.crash_at -= 1
            if self.crash_at < 0:
                self.crash_at = None
                raise Crash

    @property
    def seen(self) -> dict[RemoteId, RemoteJob]:
        """The jobs that the CE shows to us."""
        return {} if self.blind else self.jobs

    def advance(self, seconds: int) -> None:
        """Nothing is on its way for longer than its send deadline: what is in the air arrives first."""
        for key, spec in self.air:
            self.take(key, spec)
        self.air.clear()
        self.now += timedelta(seconds=seconds)
        for job in self.jobs.values():
            if job.state == "PREPARING" and self.now - job.made > timedelta(minutes=10):
                job.state = "FAILED"

    def step(self, good: bool) -> None:
        for job in self.jobs.values():
            if job.state == "QUEUING":
                job.state, job.runs = "RUNNING", job.runs + 1
                self.runs[job.name] += 1
            elif job.state == "RUNNING":
                job.state = "FINISHED" if good else "FAILED"
            elif job.state == "KILLING":
                job.state = "KILLED"


class FakeCe:
    """The protocol on top of the world; a fault strikes one call."""

    traits = Traits(kind="fake", two_phase=True, needs_credential=False, batch=3, restarts=True, together=2)

    def __init__(self, world: World) -> None:
        self.world = world
        self.answers = 0

    async def _call(self, effect: Callable[[], T], late: Callable[[], None] | None = None) -> T:
        fault = self.world.strike()
        if fault == "hang" or (fault == "late" and late is None):
            raise Transient("no answer")
        if fault == "late" and late is not None:
            late()
            raise OutcomeUnknown("cut off")
        if fault == "pause before":
            await self._pause()
        answer = effect()
        self.answers += 1
        if fault == "pause after":
            await self._pause()
        if fault == "crash":
            raise Crash
        if fault == "lose":
            raise (OutcomeUnknown if late else Transient)("answer lost")
        if fault == "half" and isinstance(answer, dict):
            return {key: answer[key] for key in list(answer)[::2]}  # type: ignore[return-value]
        return answer

    async def _pause(self) -> None:
        self.world.paused.set()
        await self.world.go.wait()

    async def submit(
        self, specs: Mapping[SubmissionKey, JobSpec], deadline: datetime | None = None
    ) -> Mapping[SubmissionKey, RemoteId | Refused | OutcomeLost]:
        def late() -> None:
            if deadline is None or self.world.now < deadline:
                self.world.air += specs.items()

        def effect() -> Mapping[SubmissionKey, RemoteId | Refused | OutcomeLost]:
            if deadline and self.world.now >= deadline:
                return dict.fromkeys(specs, Refused("the send deadline has passed", for_good=False))
            return {key: self.world.take(key, spec) for key, spec in specs.items()}

        return await self._call(effect, late)

    async def put_inputs(self, files: Mapping[RemoteId, Collection[InputFile]]) -> Mapping[RemoteId, Refused | None]:
        def effect() -> Mapping[RemoteId, Refused | None]:
            known = [one for one in files if one in self.world.seen]
            for one in known:
                if self.world.jobs[one].state == "PREPARING":
                    self.world.jobs[one].state = "QUEUING"
            return dict.fromkeys(known)

        return await self._call(effect)

    async def list_mine(self, tower: TowerId, known: Container[RemoteId]) -> Listing:
        def effect() -> Listing:
            ours = {one: job.key for one, job in self.world.seen.items() if key_belongs(job.key, tower)}
            return Listing({one: key for one, key in ours.items() if one not in known}, len(ours), 0)

        return await self._call(effect)

    async def marks(self, ids: Collection[RemoteId]) -> Mapping[RemoteId, str]:
        return await self._call(lambda: {one: self.world.seen[one].mark for one in ids if one in self.world.seen})

    async def ended(self, ids: Container[RemoteId]) -> Mapping[RemoteId, Seen]:
        return await self._call(
            lambda: {
                one: Seen(NATIVE[job.state], job.state)
                for one, job in self.world.seen.items()
                if one in ids and job.state in OVER
            }
        )

    async def states(self, ids: Collection[RemoteId]) -> Mapping[RemoteId, Seen]:
        jobs = self.world.seen
        # a bulk answer is complete or none: half of one would be a lie about the rest
        if self.world.fault == "half":
            self.world.fault = None
        return await self._call(lambda: {o: Seen(NATIVE[jobs[o].state], jobs[o].state) for o in ids if o in jobs})

    async def details(self, ids: Collection[RemoteId]) -> Mapping[RemoteId, Facts]:
        return await self._call(lambda: {one: Facts(wall_s=1) for one in ids if one in self.world.seen})

    async def fetch(self, wanted: Mapping[RemoteId, FetchPlan]) -> Mapping[RemoteId, Fetched | Gone | Refused]:
        return await self._call(lambda: {one: Fetched(1, 1) if one in self.world.seen else Gone() for one in wanted})

    async def cancel(self, ids: Collection[RemoteId]) -> Mapping[RemoteId, Accepted | Gone | Refused]:
        def kill(job: RemoteJob) -> Accepted:
            if job.state not in OVER:
                job.state = "KILLING" if job.state == "RUNNING" else "KILLED"
            return Accepted()

        return await self._each(ids, kill)

    async def restart(self, ids: Collection[RemoteId]) -> Mapping[RemoteId, Accepted | Gone | Refused]:
        def again(job: RemoteJob) -> Accepted | Refused:
            if job.state != "FAILED" or job.runs > 1:
                return Refused("no more restarts", for_good=True)
            job.state = "QUEUING"
            return Accepted()

        return await self._each(ids, again)

    async def clean(self, ids: Collection[RemoteId]) -> Mapping[RemoteId, Accepted | Gone | Refused]:
        def remove(job: RemoteJob) -> Accepted | Refused:
            if job.state not in OVER:
                return Refused("it has not ended", for_good=False)
            self.world.jobs = {one: other for one, other in self.world.jobs.items() if other is not job}
            return Accepted()

        return await self._each(ids, remove)

    async def _each(
        self, ids: Collection[RemoteId], act: Callable[[RemoteJob], Accepted | Refused]
    ) -> Mapping[RemoteId, Accepted | Gone | Refused]:
        return await self._call(
            lambda: {one: act(self.world.seen[one]) if one in self.world.seen else Gone() for one in ids}
        )

    async def renew(self, credential: Shown) -> None: ...

    async def capacity(self) -> Capacity:
        return Capacity()

    async def close(self) -> None: ...
