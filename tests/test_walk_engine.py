"""Random lives of jobs on a CE that loses answers, hangs and forgets, under two workers that crash.

The engine's promises hold after every step, and once the faults stop every job comes to its end. Correctness must rest
on `settle` alone, so the workers take no leases here.
"""

import asyncio
import shutil
import tempfile
from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck
from hypothesis import settings as profile
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import select

from act_core import manual
from act_core.db import arrivals, bootstrap, brakes, evidence, past, wishes
from act_core.db.models import CeJob, CeJobEvent
from act_core.db.session import Database
from act_core.engine.unseen import abandon
from act_core.errors import ActError
from act_core.jobspec import JobSpec
from act_core.settings.model import ArcSettings, Db, Jobs, Settings, Site
from act_core.settings.policy import Brake, Clean
from act_core.stages import Tower
from act_core.states import FINAL, LIFE, CeState, Request
from tests.walk.fake_ce import FAULTS, OVER, Crash, World
from tests.walk.worker import Worker, template

STAGES = ("submit", "sweep-status", "fetch-validate", "clean", "reconcile-ces")
WORKERS = (0, 1)
DRAIN = 120  # rounds
RELEASED = timedelta(minutes=30)


class Engine(RuleBasedStateMachine):
    """What may happen, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory(prefix="act-walk-")
        state_dir = Path(self.directory.name)
        shutil.copy(template(), state_dir / "act.sqlite")
        jobs = Jobs.model_validate({"checkinterval": 5, "checkmintime": 0, "spread": 0})
        sites = {"ce": Site(kind="local", patience=timedelta(minutes=2))}
        policy = {"clean": Clean(keepfailed=timedelta(0)), "brake": Brake(floor=2)}
        arc = ArcSettings(db=Db(pool=2), sites=sites, jobs=jobs, **policy)
        self.settings = Settings(state_dir=state_dir, arc=arc)
        self.loop = asyncio.Runner()
        self.world = World()
        self.db = Database(self.settings)
        self.tower = self.db.read(bootstrap.tower_id)
        self.workers = [self.opened() for _ in WORKERS]
        self.names: list[str] = []
        self.again: set[str] = set()  # of these somebody wished another run
        self.snapshots: dict[datetime, Counter[tuple[str, str]]] = {}

    def opened(self) -> Tower:
        cls: type[Worker] = type("Worker", (Worker,), {"world": self.world})
        return Tower(cls.open(self.settings, self.db), apps=(manual.APP,))

    async def work(self, worker: int, stage: str) -> None:
        """One round of a stage, whether or not it is due; a crash costs the worker its memory."""
        tower = self.workers[worker]
        try:
            for part in tower.parts(stage):
                await part.run(tower.rt, "ce")
            await tower.house(stage)
        except ActError:
            pass
        except Crash:
            await tower.rt.close()
            self.workers[worker] = self.opened()

    # --- what may happen -------------------------------------------------------------------------------------------

    @initialize(n=st.integers(1, 3))
    def jobs_are_there(self, n: int) -> None:
        self.jobs_come(n)

    @rule(n=st.integers(1, 3))
    def jobs_come(self, n: int) -> None:
        names = [f"j{len(self.names) + i}" for i in range(n)]
        made = [
            arrivals.NewJob("manual", name, JobSpec(name=name, executable="x"), frozenset({"ce"}), 3) for name in names
        ]
        self.db.write(arrivals.add_jobs, self.tower, made, self.world.now)
        self.names += names

    @precondition(lambda self: bool(self.names))
    @rule(which=st.integers(0, 20), request=st.sampled_from(Request))
    def somebody_wishes(self, which: int, request: Request) -> None:
        name = self.names[which % len(self.names)]
        if request in (Request.RESUBMIT, Request.RERUN):
            self.again.add(name)
        self.db.write(wishes.wish, "manual", [name], request, self.world.now)

    @rule(seconds=st.sampled_from((1, 10, 31, 95, 700)))
    def time_passes(self, seconds: int) -> None:
        self.world.advance(seconds)

    @rule(good=st.booleans())
    def the_ce_goes_on(self, good: bool) -> None:
        self.world.step(good)

    @precondition(lambda self: bool(self.world.jobs))
    @rule(which=st.integers(0, 20))
    def the_ce_forgets(self, which: int) -> None:
        jobs = self.world.jobs
        del jobs[list(jobs)[which % len(jobs)]]

    @rule(worker=st.sampled_from(WORKERS), stages=st.lists(st.sampled_from(STAGES), min_size=1, max_size=3))
    def rounds(self, worker: int, stages: list[str]) -> None:
        self.world.fault = None
        for stage in stages:
            self.loop.run(self.work(worker, stage))

    @rule(worker=st.sampled_from(WORKERS), good=st.booleans())
    def a_good_minute(self, worker: int, good: bool) -> None:
        self.rounds(worker, ["submit"])
        self.world.step(good)
        self.rounds(worker, ["sweep-status"])

    @rule(
        worker=st.sampled_from(WORKERS),
        stage=st.sampled_from(STAGES),
        fault=st.sampled_from(FAULTS),
        strikes_at=st.integers(0, 2),
    )
    def a_round_goes_wrong(self, worker: int, stage: str, fault: str, strikes_at: int) -> None:
        self.world.fault, self.world.strikes_at = fault, strikes_at
        self.loop.run(self.work(worker, stage))

    @rule(worker=st.sampled_from(WORKERS), stage=st.sampled_from(STAGES), moment=st.integers(0, 9))
    def a_worker_dies_at_a_write(self, worker: int, stage: str, moment: int) -> None:
        self.world.fault, self.world.crash_at = None, moment
        self.loop.run(self.work(worker, stage))
        self.world.crash_at = None

    @rule()
    def the_identity_is_mapped_to_another_account_or_back(self) -> None:
        self.world.blind = not self.world.blind

    @rule()
    def an_operator_gives_the_ce_up(self) -> None:
        self.loop.run(abandon(self.workers[1].rt, "ce", "it does not come back", "operator"))

    @rule()
    def the_ce_forgets_everything(self) -> None:
        self.world.jobs.clear()

    @rule(
        stage=st.sampled_from(STAGES),
        where=st.sampled_from(("pause before", "pause after")),
        strikes_at=st.integers(0, 1),
        pause=st.sampled_from((0, 31, 95, 700)),
        others=st.lists(st.sampled_from(STAGES), max_size=2),
        wish=st.none() | st.sampled_from(Request),
    )
    def two_rounds_overlap(
        self, stage: str, where: str, strikes_at: int, pause: int, others: list[str], wish: Request | None
    ) -> None:
        self.world.fault, self.world.strikes_at = where, strikes_at
        self.loop.run(self.overlap(stage, pause, [stage, *others], wish))

    async def overlap(self, stage: str, pause: int, meanwhile: list[str], wish: Request | None) -> None:
        """Worker 0 stands still in the middle of its question while worker 1, the clock and people go on.

        It sleeps through its lease, if it had one.
        """
        self.more_happens_now()
        self.world.paused, self.world.go = asyncio.Event(), asyncio.Event()
        first = asyncio.create_task(self.work(0, stage))
        paused = asyncio.create_task(self.world.paused.wait())
        await asyncio.wait({first, paused}, return_when=asyncio.FIRST_COMPLETED)
        paused.cancel()
        self.world.fault = None
        self.world.advance(pause)
        if wish and self.names:
            self.somebody_wishes(len(self.names) - 1, wish)
        for other in meanwhile:
            await self.work(1, other)
        self.world.go.set()
        await first

    # --- what always holds -----------------------------------------------------------------------------------------

    @invariant()
    def no_job_lives_twice(self) -> None:
        living = [job.name for job in self.world.jobs.values() if job.state not in (*OVER, "PREPARING", "KILLING")]
        assert len(living) == len(set(living)), f"two living remote jobs: {sorted(living)}"

    @invariant()
    def nothing_runs_again_unless_wished(self) -> None:
        twice = {name for name, n in self.world.runs.items() if n > 1} - self.again
        assert not twice, f"ran twice: {twice}"

    @invariant()
    def every_walk_stays_on_life(self) -> None:
        walks: dict[int, list[Any]] = {}
        for event in self.read(select(CeJobEvent).order_by(CeJobEvent.id)):
            walks.setdefault(event.job_id, []).append(event)
        for walk in walks.values():
            assert walk[0].from_state == CeState.TOSUBMIT
            for event in walk:
                old, new = CeState(event.from_state), CeState(event.to_state)
                assert old is new or new in LIFE[old], f"{old} → {new}: {event.reason}"
            assert all(one.to_state == two.from_state for one, two in pairwise(walk))

    @invariant()
    def how_it_stands_is_remembered(self) -> None:
        """What else happens at this moment belongs to it."""
        rows = self.read(select(CeJob).where(CeJob.state.not_in([state.value for state in FINAL])))
        self.snapshots[self.world.now] = Counter((row.ce or "", row.state) for row in rows)

    def more_happens_now(self) -> None:
        """Before the clock goes on: what was remembered is not how this moment ends."""
        self.snapshots.pop(self.world.now, None)

    def read(self, question: Any) -> list[Any]:
        return list(self.db.read(lambda session: session.scalars(question).all()))

    # --- the faults stop -------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        try:
            self.loop.run(self.drain())
            self.all_is_over()
        finally:
            for tower in self.workers:
                self.loop.run(tower.rt.close())
            self.loop.close()
            self.db.close()
            self.directory.cleanup()

    async def drain(self) -> None:
        """Time enough for orphans to be sighted twice, and for the back-offs of what failed often."""
        self.world.fault, self.world.blind = None, False
        self.more_happens_now()
        for _ in range(DRAIN):
            for stage in STAGES:
                await self.work(0, stage)
            self.operator_releases()
            self.world.step(good=True)
            self.world.advance(100)
            rows = self.read(select(CeJob))
            if all(CeState(row.state) in FINAL and not row.request for row in rows) and not self.world.jobs:
                return

    def operator_releases(self) -> None:
        """What `act brake release` does, to every brake that holds."""
        now = self.world.now
        for row in self.db.read(brakes.on):
            n = self.db.read(evidence.would_move, row).n
            assert self.db.write(brakes.release, row.id, "operator", now + RELEASED, now, "it is so", n)

    def all_is_over(self) -> None:
        self.every_walk_stays_on_life()
        self.no_job_lives_twice()
        self.nothing_runs_again_unless_wished()
        for when, snapshot in self.snapshots.items():
            told = {(one.ce, one.state.value): one.n for one in self.db.read(past.stood, when)}
            assert told == snapshot, f"the past tells another story of {when}"
        rows = self.read(select(CeJob))
        left = [(row.app_job_id, row.state, row.request, row.due_at) for row in rows if CeState(row.state) not in FINAL]
        assert not left, f"not final: {left}"
        wished = [(row.app_job_id, row.state, row.request, row.due_at) for row in rows if row.request]
        assert not wished, f"wishes that nobody heard: {wished}"
        assert not self.world.jobs, f"left on the CE: {self.world.jobs}"


TestEngine = Engine.TestCase
TestEngine.settings = profile(
    max_examples=20,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
