"""Random lives of PanDA jobs: a CE and a PanDA that lose answers, pilots of every kind, storage that doubts.

What PanDA is told is a legal walk, ends in one final state and never goes back; once the faults stop every job is over
in PanDA's books, which the tower cannot write but by its reports.
"""

import asyncio
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

from hypothesis import HealthCheck
from hypothesis import settings as profile
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import select

from act_core.atlas import closed_days
from act_core.atlas.accounts import total
from act_core.atlas.app import APP
from act_core.atlas.instance import server_of
from act_core.atlas.refresh import refresh
from act_core.db.models import CeJob
from act_core.db.panda_models import PandaRow
from act_core.db.session import Database
from act_core.errors import ActError
from act_core.simulators.panda_jobs import JobOrder
from act_core.stages import Tower
from act_core.states import FINAL, CeState
from act_core.storage.base import Outcome
from tests.walk.atlas_worker import QUEUES, AtlasWorker, settings_in
from tests.walk.fake_ce import Crash
from tests.walk.fake_panda import (
    PILOTS,
    WORDS,
    AtlasWorld,
    finals,
    report_of_pilot,
)
from tests.walk.worker import template

STAGES = ("fetch-jobs", "translate", "submit", "sweep-status", "fetch-validate", "heartbeat", "clean")
RANK = {"starting": 0, "running": 1, "transferring": 2, "finished": 3, "failed": 3}
OVER = ("finished", "failed", "cancelled")
PANDA_FAULTS = ("hang", "lose", "half", "busy")
DRAIN = 150  # rounds


class Atlas(RuleBasedStateMachine):
    """What may happen, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory(prefix="act-walk-")
        shutil.copy(template(), Path(self.directory.name) / "act.sqlite")
        self.settings = settings_in(Path(self.directory.name))
        self.loop = asyncio.Runner()
        self.world = AtlasWorld()
        self.db = Database(self.settings)
        self.worker = self.opened()
        self.loop.run(refresh(self.worker.rt, "cric"))
        self.spoken: set[int] = set()  # true pilots that said how it ended
        self.killed: set[int] = set()

    def opened(self) -> Tower:
        cls: type[AtlasWorker] = type("AtlasWorker", (AtlasWorker,), {"world": self.world})
        return Tower(cls.open(self.settings, self.db), apps=(APP,))

    async def work(self, stage: str) -> None:
        """One round of a stage over what is due at PanDA, and over the CE; a crash costs the worker its memory."""
        rt = self.worker.rt
        try:
            for part in self.worker.parts(stage):
                for key in ["ce"] if part.breaker else await part.due(rt):
                    await part.run(rt, key)
            assert not (await self.worker.house(stage))["broken"], "a bug of ours; its traceback is in the log"
        except ActError:
            pass
        except Crash:
            await rt.close()
            self.worker = self.opened()

    # --- what may happen -------------------------------------------------------------------------------------------

    @initialize(native=st.lists(st.sampled_from(PILOTS), min_size=1, max_size=3))
    def jobs_are_there(self, native: list[str]) -> None:
        for pilot in native:
            self.panda_has_jobs("NATIVE", 1, pilot)
        self.panda_has_jobs("TRUE", 2, "good")
        self.rounds(["fetch-jobs", "translate"])

    @rule(queue=st.sampled_from(QUEUES), n=st.integers(1, 2), pilot=st.sampled_from(PILOTS))
    def panda_has_jobs(self, queue: str, n: int, pilot: str) -> None:
        for number in self.world.books.create(JobOrder(queue=queue, n=n)):
            self.world.pilots[str(number)] = pilot

    @rule(stages=st.lists(st.sampled_from(STAGES), min_size=1, max_size=4))
    def rounds(self, stages: list[str]) -> None:
        for stage in stages:
            self.loop.run(self.work(stage))

    @rule(good=st.booleans(), fault=st.none() | st.sampled_from(PANDA_FAULTS))
    def a_minute(self, good: bool, fault: str | None) -> None:
        self.rounds(["fetch-jobs", "translate", "submit"])
        self.world.step(good)
        self.rounds(["sweep-status", "fetch-validate"])
        self.panda_goes_wrong("heartbeat", fault)
        self.world.advance(30)

    @rule(seconds=st.sampled_from((10, 95, 700, 1700, 5000, 9000)))
    def time_passes(self, seconds: int) -> None:
        self.world.advance(seconds)

    @rule(good=st.booleans())
    def the_ce_goes_on(self, good: bool) -> None:
        self.world.step(good)

    @rule(stage=st.sampled_from(("fetch-jobs", "heartbeat")), fault=st.sampled_from(PANDA_FAULTS))
    def panda_goes_wrong(self, stage: str, fault: str | None) -> None:
        self.world.panda_fault = fault
        self.loop.run(self.work(stage))
        self.world.panda_fault = None

    @rule(stage=st.sampled_from(STAGES), fault=st.sampled_from(("hang", "lose", "late")))
    def the_ce_goes_wrong(self, stage: str, fault: str) -> None:
        self.world.fault, self.world.strikes_at = fault, 0
        self.loop.run(self.work(stage))
        self.world.fault = None

    @rule(stage=st.sampled_from(STAGES), moment=st.integers(0, 5))
    def the_worker_dies_at_a_write(self, stage: str, moment: int) -> None:
        self.world.crash_at = moment
        self.loop.run(self.work(stage))
        self.world.crash_at = None

    @rule(outcome=st.sampled_from(Outcome))
    def storage_says(self, outcome: Outcome) -> None:
        self.world.storage = outcome

    @precondition(lambda self: bool(self.world.books.jobs))
    @rule(which=st.integers(0, 20))
    def panda_wants_one_dead(self, which: int) -> None:
        numbers = list(self.world.books.jobs)
        number = numbers[which % len(numbers)]
        self.killed.add(number)
        self.world.books.kill([number], None, self.world.now)

    @precondition(lambda self: bool(self.speakers()))
    @rule(which=st.integers(0, 20), word=st.sampled_from(WORDS))
    def a_true_pilot_speaks(self, which: int, word: str) -> None:
        speakers = self.speakers()
        self.pilot_says(speakers[which % len(speakers)], word)

    def pilot_says(self, number: int, word: str) -> None:
        self.world.books.update(report_of_pilot(self.world, number, word).body(), self.world.now)
        if word in ("finished", "failed"):
            self.spoken.add(number)

    def speakers(self) -> list[int]:
        """Jobs of the true-pilot queue that run at the CE and have not said how they ended."""
        running = [int(job.name) for job in self.world.jobs.values() if job.state == "RUNNING"]
        return [one for one in running if self.world.books.jobs[one].order.queue == "TRUE" and one not in self.spoken]

    # --- what always holds -----------------------------------------------------------------------------------------

    @invariant()
    def what_panda_is_told_never_goes_back(self) -> None:
        ranks: dict[int, int] = {}
        for update in self.world.told:
            rank = RANK[update.job_status]
            assert rank >= ranks.get(update.job_id, 0), f"{update.job_id} went back to {update.job_status}"
            ranks[update.job_id] = rank

    @invariant()
    def each_job_has_one_final_report(self) -> None:
        twice = [number for number, n in finals(self.world.told).items() if n > 1]
        assert not twice, f"two different final reports: {twice}"
        assert all(job.finals <= 1 for job in self.world.books.jobs.values())

    @invariant()
    def nothing_is_sent_that_panda_gave_up(self) -> None:
        assert not self.world.given_up

    @invariant()
    def no_job_runs_twice_at_once(self) -> None:
        living = [job.name for job in self.world.jobs.values() if job.state == "RUNNING"]
        assert len(living) == len(set(living))

    # --- the faults stop -------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        try:
            self.loop.run(self.drain())
            self.all_is_over()
        finally:
            self.loop.run(self.worker.rt.close())
            self.loop.close()
            self.db.close()
            self.directory.cleanup()

    async def drain(self) -> None:
        self.world.panda_fault = self.world.fault = None
        self.world.storage = Outcome.MATCH
        for _ in range(DRAIN):
            for stage in STAGES:
                await self.work(stage)
            self.world.step(good=True)
            for number in self.speakers()[::2]:
                self.pilot_says(number, "finished")
            self.world.advance(100)
            if self.taken_are_over():
                return

    def taken_are_over(self) -> bool:
        self.world.books.tick(self.world.now)
        rows = self.db.read(lambda session: session.scalars(select(PandaRow.state)).all())
        left = self.db.read(lambda session: session.scalars(select(CeJob.state)).all())
        return set(rows) <= {"closed"} and all(CeState(one) in FINAL for one in left) and not self.world.jobs

    def all_is_over(self) -> None:
        rows = list(self.db.read(lambda session: session.scalars(select(PandaRow)).all()))
        assert self.taken_are_over(), [(row.panda_id, row.state, row.error, row.heartbeat_due_at) for row in rows]
        for row in rows:
            job = self.world.books.jobs[row.panda_id]
            assert job.status in OVER, f"{row.panda_id} is {job.status} in PanDA, and closed here"
            pilot = self.world.pilots[str(row.panda_id)]
            if job.status == "finished" and row.queue == "NATIVE":
                assert pilot == "good"
        self.what_panda_is_told_never_goes_back()
        self.each_job_has_one_final_report()
        self.the_books_balance(rows)

    def the_books_balance(self, rows: list[PandaRow]) -> None:
        """Day by day, and in the end with PanDA's own."""
        first = self.world.now.date() - timedelta(days=self.world.days)
        self.world.advance(86400)
        self.loop.run(self.work("close-books"))
        days = [first + timedelta(days=n) for n in range(self.world.days)]
        server = server_of(self.worker.rt)
        closed = [self.db.read(closed_days.read, server, day) for day in days]
        books = [one for one in closed if one]
        assert [one for one in books if one.unbalanced or one.doubly] == []
        sums = total([account for one in books for account in one.accounts])
        good = {row.panda_id for row in rows if self.world.books.jobs[row.panda_id].status == "finished"}
        assert sums.taken == len(rows)
        # a true pilot may be ahead of PanDA's kill order: finished there, and given back here
        assert len(good - self.killed) <= sums.finished <= len(good)


TestAtlas = Atlas.TestCase
TestAtlas.settings = profile(
    max_examples=6,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
