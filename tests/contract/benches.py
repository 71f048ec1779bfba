"""The back ends on the bench, each over a real server or real processes."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from act_core.ce.base import (
    ComputingElement,
    Fetched,
    FetchPlan,
    OutcomeLost,
    Refused,
    RemoteId,
    TowerId,
)
from act_core.ce.registry import open_ce
from act_core.db.attempts import new_key
from act_core.jobspec import COMMIT_FILE, InputFile, JobSpec
from act_core.settings.model import ArcSettings, Settings, Site
from act_core.settings.policy import Voms
from act_core.simulators.arc import ArcOptions, serve_arc
from act_core.simulators.arc_pace import Pace
from act_core.simulators.arc_process import real_payload
from act_core.simulators.arc_transfers import StagingOptions
from act_core.simulators.arc_wire import Flavour
from act_core.simulators.pki import TestPki
from act_core.states import CeState

TOWER = TowerId("tower001")
COMMIT = InputFile(name=COMMIT_FILE, content="ok\n")
NEVER_S = 3600.0


@dataclass
class Bench:
    """A back end on the bench. `settle` lets the CE make one step, where it needs to be told."""

    ce: ComputingElement
    root: Path
    settle: Callable[[], Awaitable[None]]
    eventually: Callable[..., Awaitable[Any]]
    walked: dict[RemoteId, list[CeState]] = field(default_factory=dict)

    async def submit(self, *specs: JobSpec, tower: TowerId = TOWER) -> list[RemoteId]:
        """Jobs that the CE has taken and that wait for their inputs."""
        keys = {new_key(tower): spec for spec in specs}
        answers = await self.ce.submit(keys)
        assert set(answers) == set(keys)
        assert not any(isinstance(answer, Refused | OutcomeLost) for answer in answers.values()), answers
        return [RemoteId(str(answers[key])) for key in keys]

    async def commit(self, *jobs: RemoteId) -> None:
        assert await self.ce.put_inputs({job: [COMMIT] for job in jobs}) == dict.fromkeys(jobs)

    async def run(self, *specs: JobSpec) -> list[RemoteId]:
        jobs = await self.submit(*specs)
        await self.commit(*jobs)
        return jobs

    async def reach(self, job: RemoteId, *states: CeState) -> CeState:
        """Wait until the job is in one of these states; `walked` remembers the way."""

        async def there() -> CeState | None:
            await self.settle()
            seen = (await self.ce.states([job])).get(job)
            way = self.walked.setdefault(job, [])
            if seen and seen.state and seen.state not in way[-1:]:
                way.append(seen.state)
            return seen.state if seen and seen.state in states else None

        found: CeState = await self.eventually(there, f"{job} in {states}; it walked {self.walked.get(job)}")
        return found

    async def end(self, job: RemoteId) -> CeState:
        return await self.reach(job, CeState.FINISHED, CeState.FAILED, CeState.CANCELLED)

    async def fetch(self, job: RemoteId, *patterns: str, declared: tuple[str, ...] = ()) -> dict[str, str]:
        """What comes home, by name."""
        home = self.home(job)
        answer = (await self.ce.fetch({job: FetchPlan(home, patterns or ("/",), declared)}))[job]
        assert isinstance(answer, Fetched), answer
        files = {str(path.relative_to(home)): path.read_text() for path in home.rglob("*") if path.is_file()}
        assert answer.files == len(files)
        assert answer.size == sum(path.stat().st_size for path in home.rglob("*") if path.is_file())
        return files

    def home(self, job: RemoteId) -> Path:
        return self.root / "home" / job[-8:]


class Help(NamedTuple):
    """What the openers need of pytest."""

    root: Path
    pki: TestPki
    end_all: Callable[[ComputingElement, Path], Awaitable[None]]
    servers: Any  # tests/real/real_benches.py: the real ones, started when they are asked for


Opened = tuple[ComputingElement, Callable[[], Awaitable[None]]]


async def _nothing() -> None:
    """It goes on by itself."""


@asynccontextmanager
async def _local(helps: Help) -> AsyncIterator[Opened]:
    settings = Settings(state_dir=helps.root)
    ce = open_ce(settings, "ce", lambda: datetime.now(UTC), Site(kind="local", options={"slots": 4}))
    yield ce, _nothing
    await helps.end_all(ce, helps.root / "local" / "ce")
    await ce.close()


@asynccontextmanager
async def _arc(helps: Help, flavour: Flavour, *, late: bool = False) -> AsyncIterator[Opened]:
    """`late`: the CE's documents are written only when it is told to make a step."""
    pace = Pace(run_s=(0.0, 0.0), step_s=0.0, kill_s=0.0, info_period=NEVER_S if late else 0.0)
    options = ArcOptions(
        helps.pki.root, flavour=flavour, pace=pace, staging=StagingOptions(really=True), payload=real_payload
    )
    voms = Voms(proxypath=helps.pki.root / "proxy.pem", cacertdir=helps.pki.ca_dir)
    settings = Settings(state_dir=helps.root, arc=ArcSettings(voms=voms))
    async with await serve_arc(options) as simulator, aiohttp.ClientSession() as session:

        async def written() -> None:
            async with session.post(f"{simulator.control_url}/provider") as answer:
                assert answer.status == 200

        ce = open_ce(settings, "ce", lambda: datetime.now(UTC), Site(endpoint=f"{simulator.url}/arex"))
        yield ce, written if late else _nothing
        await ce.close()


BACK_ENDS: dict[str, Callable[[Help], AbstractAsyncContextManager[Opened]]] = {
    "local": _local,
    "arc-rest 6.17": partial(_arc, flavour=Flavour.V6),
    "arc-rest 7": partial(_arc, flavour=Flavour.V7),
    "arc-rest 7, late": partial(_arc, flavour=Flavour.V7, late=True),
}
# Over real servers, for tests that are marked `real`: they stand in tests/real/real_benches.py.
REAL_BACK_ENDS = ("arc-rest 6.17, real", "arc-rest 7, real", "arc-internal 6.17", "arc-internal 7", "htcondor")
