"""One tower, PanDA, CRIC, a storage and an ARC CE in one event loop: a handful of jobs lives from PanDA to PanDA."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from act_core.db.models import Ce, CeJob, CeJobEvent
from act_core.db.panda_models import PandaAsk, PandaRow
from act_core.db.policy_models import LedgerLine
from act_core.errors import ActError
from act_core.runtime import Counts
from act_core.settings.app_model import AppSettings
from act_core.settings.model import Breaker, Jobs, Settings, Site
from act_core.settings.policy import Clean, Errors, Reconcile, Voms
from act_core.simulators.arc import Arc, ArcOptions, build_arc
from act_core.simulators.arc_pace import Pace
from act_core.simulators.arc_records import Batch, Job
from act_core.simulators.arc_transfers import StagingOptions
from act_core.simulators.cric_http import QUEUES, Cric
from act_core.simulators.cric_queues import CeDescription
from act_core.simulators.panda import PandaOptions, build_panda
from act_core.simulators.panda_records import Job as PandaJob
from act_core.simulators.panda_records import Patience
from act_core.simulators.pki import TestPki, server_context
from act_core.simulators.serve import Simulator
from act_core.simulators.storage_control import StorageControl
from act_core.simulators.storage_files import Files, Inputs
from act_core.simulators.storage_http import Manners, Shelf
from act_core.simulators.witness import count
from act_core.stages import Tower
from act_core.states import FINAL, CeState, PandaState
from tests.atlas.house import TOWER, WRAPPER, House, Killed
from tests.atlas.house_settings import Urls, house_settings
from tests.faults.matrix import kept
from tests.faults.matrix.mortal import Deaf, Death, Fate, Mortal, Sleep
from tests.faults.matrix.striker import Strike, Striker

if TYPE_CHECKING:
    from tests.faults.matrix.plights import Plight

CE = "ce"
ROUND = ("fetch-jobs", "translate", "submit", "sweep-status", "fetch-validate", "heartbeat", "clean")
STILL = {"busy", "errors", "listed", "foreign", "orphans", "queues", "downtimes"}  # counts of what was only seen
MOVES_S = 60.0  # of a job's way on the CE, in real time
SLEEPS_S = 50.0
BUSY, IDLE = timedelta(seconds=1), timedelta(seconds=5)  # between rounds that did something, and that did nothing
ROUNDS = 100  # what is not over by then never will be


@dataclass
class Bench:
    """A house whose CE is an ARC CE; `fate` and `striker` say what befalls it."""

    house: House
    arc: Arc
    ce: Simulator
    pki: TestPki
    settings: Settings
    fate: Fate
    striker: Striker
    lives: int = 1
    runs_long: bool = False  # jobs that run are not waited for
    planned: Sequence[Strike | Death | Sleep | Deaf] = ()  # what is to befall it once the life says so
    plights: Sequence["Plight"] = ()
    hid: bool = False
    lost: bool = False  # outputs were, once
    told: bool = False  # the tables tell of something unusual
    given_up: frozenset[int] = frozenset()  # PanDA has reserved them for a call of which nobody heard the answer
    errors: list[str] = field(default_factory=list)
    done_at: datetime | None = None  # by the tower's clock: nothing was left but to put it away
    stages: tuple[str, ...] = ROUND

    @property
    def rt(self) -> Mortal:
        assert isinstance(self.house.rt, Mortal)
        return self.house.rt

    @property
    def engine(self) -> Engine:
        """Nobody else can break a connection from within."""
        return self.rt._db.engine

    def arm(self) -> None:
        """From now on what is planned strikes."""
        self.striker.strikes += [one for one in self.planned if isinstance(one, Strike)]
        self.fate.deaths += [one for one in self.planned if isinstance(one, Death | Sleep | Deaf)]

    async def order_again(self) -> None:
        """New jobs in the place of those whose reservation nobody heard of: they stay `sent` until PanDA gives up."""
        sent = {job.number for job in self.house.books.jobs.values() if job.status == "sent"} - self.given_up
        if not sent or self.given_up or not self.struck() or self.rt.dead:
            return
        known = await self.house.rows()
        if not sent & known.keys():
            self.given_up = frozenset(sent)
            self.house.order(len(sent), run_s=0)

    def struck(self) -> bool:
        return bool(self.planned) and all(one.at is not None for one in self.planned)

    @property
    def jobs(self) -> "list[PandaJob]":
        """Those that the tower can know of."""
        return [job for number, job in self.house.books.jobs.items() if number not in self.given_up]

    async def again(self) -> None:
        """The process has died; its supervisor starts another one on the same tables."""
        old, ahead = self.house.tower, self.rt.ahead
        self.rt.die()
        await old.going.give_up()
        await old.rt.close()
        self.lives += 1
        self.house.rt = _opened(self.settings, self.fate, ahead)
        self.striker.die, self.striker.now, self.striker.dead = self.rt.die, self.rt.now, False
        self.house.tower = Tower(self.house.rt, self.house.apps)

    async def meanwhile(self, seconds: float) -> None:
        """Another worker goes on while this one sleeps for so long."""
        asleep, end = self.house.rt, self.rt.now() + timedelta(seconds=seconds)
        self.house.later(seconds=SLEEPS_S)  # its leases are over
        other = _opened(self.settings, self.fate, asleep.ahead)
        self.house.rt, tower = other, self.house.tower
        self.house.tower = Tower(other, self.house.apps)
        while other.now() < end:
            counts = await self.pass_over()
            self.later(BUSY if counts else IDLE)
        await self.house.tower.close()
        asleep.ahead = other.ahead
        self.house.rt, self.house.tower = asleep, tower

    async def pass_over(self, *stages: str) -> Counts:
        """One pass of each stage. A tower that dies begins again; a verdict on a whole stage is kept for the reader."""
        counts = Counts()
        for stage in stages or self.stages:
            try:
                counts += await self.house.run(stage)
            except Killed:
                pass
            except ActError as err:
                self.errors.append(f"{stage}: {err}")
            if self.rt.dead:
                await self.again()
                return counts + Counts(killed=1)
        await self.settle_down()
        return counts

    async def settle_down(self) -> None:
        """Until nothing on the CE moves by itself."""
        async with asyncio.timeout(MOVES_S):
            # a CE has no event for it
            while any(self._moves(job) for job in self.arc.service.books.jobs.values()):  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    def _moves(self, job: Job) -> bool:
        waits = bool(job.missing) or (self.runs_long and job.batch is Batch.RUNNING and not job.cancelled)
        return not (job.over or waits)

    async def live(self, also: Callable[["Bench"], Awaitable[None]]) -> None:
        """Rounds, the clock moving on between them, until all is over."""
        for _ in range(ROUNDS):
            for plight in self.plights:
                plight.look(self)
            counts = await self.pass_over()
            await self.order_again()
            if self.done_at is None and await self.over():
                self.done_at = self.rt.now()
            if self.done_at is not None and await self.over(at_rest=True):
                return
            await also(self)
            self.errors += ["a round ended badly"] * counts["errors"]
            moved = sum(n for word, n in counts.items() if word not in STILL)
            self.later(BUSY if moved else IDLE)

    def later(self, step: timedelta) -> None:
        self.house.later(seconds=step.total_seconds())
        self.house.clock.advance(step)

    async def over(self, *, at_rest: bool = False) -> bool:
        """Nothing of any job is left to do. `at_rest`: and its rows are in the archive."""
        if not all(job.status in ("finished", "failed", "cancelled") for job in self.jobs):
            return False
        try:
            return await self.rt.read(unfinished, at_rest) == 0 and not self.arc.service.books.jobs
        except ActError:
            return False

    def executions(self) -> dict[str, int]:
        return dict(count(self.house.witness))


def stories(session: Session) -> Sequence[str]:
    """What is written down of jobs and CEs for people."""
    told = [*session.scalars(select(CeJobEvent.reason)), *session.scalars(select(CeJob.error).where(CeJob.error != ""))]
    told += [*session.scalars(select(Ce.trouble).where(Ce.trouble.is_not(None)))]
    told += [*session.scalars(select(LedgerLine.code))]
    return [*told, *(f"call lost: {one}" for one in session.scalars(select(PandaAsk.what)))]


def unfinished(session: Session, at_rest: bool) -> int:
    """Rows that somebody still has to do something about."""
    final = [state.value for state in CeState if state in FINAL]
    attempts = select(func.count(CeJob.id)).where(CeJob.state.not_in([] if at_rest else final))
    jobs = select(func.count(PandaRow.id)).where(PandaRow.state.not_in([] if at_rest else [PandaState.CLOSED.value]))
    return sum(session.scalar(question) or 0 for question in (attempts, jobs))


def _opened(settings: Settings, fate: Fate, ahead: timedelta) -> Mortal:
    kind: type[Mortal] = type("Mortal", (Mortal,), {"fate": fate})
    rt = kind.open(settings, kept.connections(settings))
    rt.ahead = ahead
    return rt


def bench_settings(base: Settings, urls: Urls, pki: TestPki, endpoint: str) -> Settings:
    """What is configured where recovery does not hang on it; all that it hangs on is the default."""
    voms = Voms(proxypath=pki.root / "proxy-tower.pem", cacertdir=pki.ca_dir)
    settings = house_settings(base, urls, voms, CE, 1)
    rule = {"pattern": "Data download failed", "action": "rerun", "name": "again"}
    parts = {
        "sites": {CE: Site(endpoint=f"{endpoint}/arex")},
        "jobs": Jobs(checkinterval="10 s", spread="0", archiveafter="0"),
        "errors": Errors.model_validate({"rules": [rule]}),
        "clean": Clean(keepfailed="0"),
        "breaker": Breaker(),
        "reconcile": Reconcile(sightings="60 s"),
    }
    app = settings.app.model_dump(exclude_unset=True)
    app["panda"] |= {"workers": True, "fetchpause": "20 s"}
    changed = {"arc": settings.arc.model_copy(update=parts), "app": AppSettings.model_validate(app)}
    return settings.model_copy(update=changed)


@asynccontextmanager
async def open_bench(base: Settings, pki: TestPki, root: Path, pace: Pace | None = None) -> AsyncIterator[Bench]:
    """Servers that run, and a tower that knows its queue; the witness counts executions."""
    tls, striker, fate, witness = server_context(pki.host, pki.ca_dir), Striker(), Fate(), root / "witness.jsonl"
    if not (pki.root / "proxy-tower.pem").exists():
        pki.proxy("tower", timedelta(hours=96), path=pki.root / "proxy-tower.pem")
    shelf, feed = Shelf(Files(), Inputs(), Manners()), Cric(())
    fqans: dict[str, tuple[str, ...]] = {TOWER: ("/atlas/Role=production",)}
    panda = build_panda(PandaOptions(Patience(adder=timedelta(0)), fqans))
    quick = pace or Pace(run_s=(0.0, 0.0), step_s=0.0, kill_s=0.0, info_period=0.0)
    arc = await build_arc(
        ArcOptions(pki.root, name=CE, pace=quick, staging=StagingOptions(really=True), witness=witness)
    )
    apps = {"storage": shelf.app(), "cric": feed.app(), "panda": panda.app, "arc": arc.app}
    for name, app in apps.items():
        app.middlewares.insert(0, striker.at(name))
    async with (
        Simulator(apps["storage"], StorageControl(shelf).routes(), tls=tls) as storage,
        Simulator(apps["cric"], feed.control(), tls=tls) as cric,
        Simulator(apps["panda"], panda.control, tls=tls) as server,
        Simulator(arc.app, arc.control, tls=arc.tls) as ce,
    ):
        urls = Urls(server.url, f"{cric.url}{QUEUES}?json", f"{storage.url}{WRAPPER}", storage.url)
        settings = bench_settings(base, urls, pki, ce.url)
        rt = _opened(settings, fate, timedelta(0))
        parts = panda.books, panda.desk.workers, fqans, panda.clock, feed, shelf, server, cric, storage
        made = Bench(House(rt, *parts, witness=witness, apps=kept.apps()), arc, ce, pki, settings, fate, striker)
        striker.die, striker.now, fate.meanwhile = rt.die, rt.now, made.meanwhile
        described = CeDescription(name=CE, endpoint=f"{ce.url}/arex", batch_queue="fork")
        made.house.lay_out_pilot()
        await made.house.serve(ces=(described,), pilot_args=f"--storage {storage.url}/out")
        try:
            yield made
        finally:
            for plight in made.plights:
                plight.end()
            await made.house.tower.going.give_up()
            await made.rt.close()
            kept.hang_up(settings)
