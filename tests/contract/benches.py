"""The back ends on the bench, each over a real server or real processes."""

import asyncio
import contextlib
import os
import signal
import subprocess
import tempfile
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
from act_core.settings.model import ArcSettings, Settings, Site, Voms
from act_core.simulators.arc import ArcOptions, serve_arc
from act_core.simulators.arc_pace import Pace
from act_core.simulators.arc_payload import PayloadJob, PayloadResult
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


async def real_payload(job: PayloadJob) -> PayloadResult:
    """The job's program, run for real; the plain files that it leaves are its files on the CE."""
    with tempfile.TemporaryDirectory(prefix="act-contract-") as folder:
        await asyncio.to_thread(_lay_out, Path(folder), job)
        code = await _run(Path(folder), job)
        return PayloadResult(code, await asyncio.to_thread(_gather, Path(folder)), wall_s=0.0, memory_kb=1000)


def _lay_out(folder: Path, job: PayloadJob) -> None:
    for name, content in job.inputs.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())
    if not job.executable.startswith("/"):
        (folder / job.executable).chmod(0o755)


async def _run(folder: Path, job: PayloadJob) -> int:
    process = _started(folder, job)
    try:
        return await asyncio.to_thread(process.wait)
    finally:  # at once also when the CE ends a killed job, for which it does not wait
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _started(folder: Path, job: PayloadJob) -> subprocess.Popen[bytes]:
    program = job.executable if job.executable.startswith("/") else f"./{job.executable}"
    with (folder / job.stdout).open("wb") as out, (folder / job.stderr).open("wb") as err:
        words = [program, *job.arguments]
        return subprocess.Popen(words, cwd=folder, stdout=out, stderr=err, start_new_session=True)


def _gather(folder: Path) -> dict[str, bytes]:
    plain = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {str(path.relative_to(folder)): path.read_bytes() for path in plain}


BACK_ENDS: dict[str, Callable[[Help], AbstractAsyncContextManager[Opened]]] = {
    "local": _local,
    "arc-rest 6.17": partial(_arc, flavour=Flavour.V6),
    "arc-rest 7": partial(_arc, flavour=Flavour.V7),
    "arc-rest 7, late": partial(_arc, flavour=Flavour.V7, late=True),
}
