"""A tower with the ATLAS application, and the real simulators around it: PanDA, CRIC, a storage, a local CE."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import urlsplit

from sqlalchemy import Connection, event, select, update
from sqlalchemy.orm import Session

from act_core.apps import Application
from act_core.atlas.books import Booked
from act_core.atlas.wire import encode_for_pilot
from act_core.db.models import CeJob
from act_core.db.panda_models import PandaQueue, PandaRow
from act_core.engine.results import result_dir
from act_core.hooks import BROKEN
from act_core.runtime import Counts, Runtime
from act_core.settings.model import Settings
from act_core.settings.policy import Voms
from act_core.simulators import pilot
from act_core.simulators.cric_http import QUEUES, Cric
from act_core.simulators.cric_queues import CeDescription, QueueDescription, entry_of
from act_core.simulators.faults import FaultRule, Kind
from act_core.simulators.panda import PandaOptions, build_panda
from act_core.simulators.panda_books import Books
from act_core.simulators.panda_http import Clock
from act_core.simulators.panda_jobs import JobOrder, inputs_of
from act_core.simulators.panda_methods import Generation
from act_core.simulators.panda_records import Job, Patience
from act_core.simulators.panda_workers import Workers
from act_core.simulators.pilot_file import wrapper
from act_core.simulators.pilot_ways import Produced
from act_core.simulators.pki import ORGANISATION, TestPki, server_context
from act_core.simulators.serve import Simulator
from act_core.simulators.storage_control import StorageControl
from act_core.simulators.storage_files import Files, Inputs
from act_core.simulators.storage_http import Manners, Shelf
from act_core.stages import Tower, sweep
from act_core.states import PandaState
from tests.atlas.house_settings import Urls, house_settings

P = ParamSpec("P")
T = TypeVar("T")

WRAPPER = "/pilot/runpilot2-wrapper.sh"
QUEUE, CE = "TEST", "here"
TOWER = f"{ORGANISATION}/CN=tower"
BULK, ACQUIRE = "update_jobs_bulk", "acquire_jobs"

BOOKED = Booked(
    id=1, version=0, server="s", panda_id=7, attempt_nr=1, queue=QUEUE, label="managed", state=PandaState.STARTING,
    told=None, told_at=None, wanted="starting", refused=0, ce=None, node=None, cores=1, started_at=None, ended_at=None,
    outputs=None, checks=0, reporter="tower", report=None, error=None, job="{}",
)  # fmt: skip


class Worker(Runtime):
    """A runtime whose clock can be put forward, and that can be held up between asking and writing."""

    ahead = timedelta(0)
    meanwhile: Callable[[], Awaitable[object]] | None = None

    def now(self) -> datetime:
        return super().now() + self.ahead

    async def write(self, fn: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Before the next transaction, and only that one, `meanwhile` happens."""
        deed, self.meanwhile = self.meanwhile, None
        if deed is not None:
            await deed()
        return await super().write(fn, *args, **kwargs)


class Killed(BaseException):
    """The process dies here: what was not committed is gone."""


@contextmanager
def killed_at(rt: Runtime, moment: str) -> Iterator[None]:
    """The process dies just before the statement that begins so, or before the commit."""
    engine = rt._db.engine  # the only way to die inside a transaction

    def statement(_conn: Any, _cursor: Any, words: str, *_: Any) -> None:
        if words.startswith(moment):
            raise Killed

    def commit(_conn: Connection) -> None:
        raise Killed

    name, hook = ("commit", commit) if moment == "COMMIT" else ("before_cursor_execute", statement)
    event.listen(engine, name, hook)
    try:
        yield
    finally:
        event.remove(engine, name, hook)


@dataclass
class House:
    """All of it. What is changed past all rules is how a test begins."""

    rt: Worker
    books: Books
    workers: Workers
    fqans: dict[str, tuple[str, ...]]  # what PanDA takes the tower's roles for
    clock: Clock
    cric_feed: Cric
    shelf: Shelf
    panda: Simulator
    cric: Simulator
    storage: Simulator
    witness: Path
    apps: Sequence[Application] | None = None  # None: those that the settings name

    def __post_init__(self) -> None:
        self.tower = Tower(self.rt, self.apps)

    # --- settings and time ------------------------------------------------------------------------------------------
    def configure(self, **sections: Mapping[str, object]) -> None:
        """Change keys of aCTConfigAPP.yaml: `configure(panda={"minjobs": 3})`."""
        app = self.rt.settings.app
        fresh = {name: getattr(app, name).model_copy(update=dict(keys)) for name, keys in sections.items()}
        self.rt.settings = self.rt.settings.model_copy(update={"app": app.model_copy(update=fresh)})

    def later(self, **step: float) -> None:
        """Time passes for the tower: `later(minutes=31)`."""
        self.rt.ahead += timedelta(**step)

    async def fault(self, simulator: Simulator, kind: Kind, **more: object) -> None:
        await simulator.faults.add(FaultRule.model_validate({"kind": kind} | more))

    # --- work -------------------------------------------------------------------------------------------------------
    async def run(self, *stages: str) -> Counts:
        """One pass of each stage over what is due."""
        counts = Counts()
        for stage in stages:
            counts += await sweep(self.tower, stage)
        assert not counts[BROKEN], "see the captured log for its traceback"
        return counts

    async def serve(self, **queue: object) -> None:
        """CRIC names a queue, by default one that runs at the local CE, and the tower reads it."""
        ce = CeDescription(name=CE, endpoint="localhost", flavour="LOCAL-CE")
        args = f"--storage {self.storage.url}/out --witness {self.witness}"
        described = QueueDescription.model_validate({"name": QUEUE, "ces": (ce,), "pilot_args": args} | queue)
        self.cric_feed.entries[described.name] = entry_of(described)
        await self.run("refresh-queues")

    def lay_out_pilot(self) -> None:
        """The simulated pilot lies on storage, where jobs fetch their wrapper."""
        self.shelf.files.put(WRAPPER, wrapper())

    def order(self, n: int = 1, **order: object) -> list[int]:
        """PanDA has new jobs, and storage their inputs."""
        numbers = self.books.create(JobOrder.model_validate({"queue": QUEUE, "n": n} | order))
        for file in (file for number in numbers for file in inputs_of(self.books.jobs[number].order, number)):
            self.shelf.inputs.register(file.scope, file.lfn, file.size)
        return numbers

    async def taken(self, n: int = 1, **order: object) -> list[int]:
        """Jobs that the tower has fetched."""
        numbers = self.order(n, **order)
        await self.run("fetch-jobs")
        return numbers

    async def bound(self, n: int = 1, **order: object) -> list[int]:
        """Jobs that attempts stand for."""
        numbers = await self.taken(n, **order)
        await self.run("translate")
        return numbers

    async def running(self) -> int:
        """A job that runs, and PanDA knows it."""
        (number,) = await self.bound()
        await self.moved(number, "running", ce=CE, node="wn7")
        await self.tower.news()
        await self.run("heartbeat")
        assert self.book(number).status == "running"
        return number

    async def over(self, number: int, state: str = "done", **columns: object) -> None:
        """The attempt has ended: its outputs are on storage, what the pilot left came home; nobody has heard of it."""
        produced = self.produced(number)
        for name, url in self.urls(produced).items():
            self.shelf.files.put(urlsplit(url).path, produced.files[name])
        await self.came_home(number, {"heartbeat.json": produced.files["heartbeat.json"]})
        await self.moved(number, state, **columns)

    async def ended(self, number: int, state: str = "done", **columns: object) -> None:
        """The same, and the application has heard of it."""
        await self.over(number, state, **columns)
        await self.tower.news()

    def produced(self, number: int) -> Produced:
        """What the pilot of this job leaves behind."""
        raw = encode_for_pilot(self.books.describe(self.books.jobs[number]))
        told = pilot.PilotArguments(queue=QUEUE, storage=f"{self.storage.url}/out")
        now = self.rt.now().timestamp()
        return pilot.produce(pilot.parse_job(raw), told, pilot.Ran(now - 2, now - 1, cpu=1.0, node="wn7"))

    @staticmethod
    def urls(produced: Produced) -> dict[str, str]:
        """Where the pilot says its outputs are, by name."""
        listed = produced.files["output.list"].decode().splitlines()
        return {name: url for name, _, url in (line.partition(" ") for line in listed)}

    async def came_home(self, number: int, files: Mapping[str, bytes]) -> Path:
        """Files of the job's newest attempt in its result directory."""
        job = (await self.attempts(number))[-1]
        directory = result_dir(self.rt.settings, job.app, job.app_job_id, job.attempt, job.created)
        for name, content in files.items():
            path = directory / name
            await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
            await asyncio.to_thread(path.write_bytes, content)
        return directory

    # --- the tables -------------------------------------------------------------------------------------------------
    async def moved(self, number: int, state: str | None = None, **columns: object) -> None:
        """The engine wrote something of the job's attempts: there are news."""
        values: dict[str, Any] = {"news": True, "version": CeJob.version + 1} | columns
        values |= {"state": state} if state else {}
        asked = update(CeJob).where(CeJob.app_job_id.like(f"{number}.%"), CeJob.superseded_by.is_(None))
        await self.rt.write(lambda session: session.execute(asked.values(**values)) and None)

    async def change(self, number: int, **columns: object) -> None:
        """Columns of the PanDA job's row."""
        values: dict[str, Any] = {"version": PandaRow.version + 1} | columns
        asked = update(PandaRow).where(PandaRow.panda_id == number).values(**values)
        await self.rt.write(lambda session: session.execute(asked) and None)

    async def rows(self) -> dict[int, PandaRow]:
        return {row.panda_id: row for row in await self._all(select(PandaRow).order_by(PandaRow.id))}

    async def row(self, number: int) -> PandaRow:
        return (await self.rows())[number]

    async def states(self) -> dict[int, str]:
        return {number: row.state for number, row in (await self.rows()).items()}

    async def attempts(self, number: int) -> list[CeJob]:
        """Of one job, in their order."""
        question = select(CeJob).where(CeJob.app_job_id.like(f"{number}.%")).order_by(CeJob.attempt)
        return await self._all(question)

    async def attempt(self, number: int) -> CeJob:
        """The only one."""
        (found,) = await self.attempts(number)
        return found

    async def queue(self, name: str = QUEUE) -> PandaQueue:
        (found,) = await self._all(select(PandaQueue).where(PandaQueue.name == name))
        assert isinstance(found, PandaQueue)
        return found

    async def _all(self, question: Any) -> list[Any]:
        return list(await self.rt.read(lambda session: session.scalars(question).all()))

    def book(self, number: int) -> Job:
        """What PanDA has of a job."""
        self.books.tick(self.clock.now())
        return self.books.jobs[number]


@asynccontextmanager
async def open_house(
    base: Settings, pki: TestPki, root: Path, slots: int = 4, api: Generation = "v1"
) -> AsyncIterator[House]:
    """Servers that run, and a tower whose settings name them; `api`: what PanDA serves."""
    tls = server_context(pki.host, pki.ca_dir)
    proxy = pki.root / "proxy-tower.pem"
    if not proxy.exists():
        pki.proxy("tower", path=proxy)
    shelf, feed = Shelf(Files(), Inputs(), Manners()), Cric(())
    fqans: dict[str, tuple[str, ...]] = {TOWER: ("/atlas/Role=production",)}
    panda = build_panda(PandaOptions(Patience(adder=timedelta(0)), fqans, api=api))
    async with (
        Simulator(shelf.app(), StorageControl(shelf).routes(), tls=tls) as storage,
        Simulator(feed.app(), feed.control(), tls=tls) as cric,
        Simulator(panda.app, panda.control, tls=tls) as server,
    ):
        urls = Urls(server.url, f"{cric.url}{QUEUES}?json", f"{storage.url}{WRAPPER}", storage.url)
        settings = house_settings(base, urls, Voms(proxypath=proxy, cacertdir=pki.ca_dir), CE, slots)
        async with Worker.open(settings) as rt:
            parts = panda.books, panda.desk.workers, fqans, panda.clock, feed, shelf, server, cric, storage
            yield House(rt, *parts, witness=root / "witness.jsonl")
