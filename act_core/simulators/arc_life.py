"""How jobs move on the simulated CE, from acceptance to their end."""

import logging
import random
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from act_core.simulators.arc_description import Output
from act_core.simulators.arc_pace import Pace
from act_core.simulators.arc_payload import Payload, PayloadJob, PayloadResult, witness_key
from act_core.simulators.arc_provider import Provider
from act_core.simulators.arc_records import CANCELLED, Batch, Books, Internal, Job, internal_word
from act_core.simulators.arc_timers import Timers, Work
from act_core.simulators.arc_transfers import Transfers, uploads
from act_core.simulators.witness import Witness

NODES = 20
EXIT_OF_FAILURE = 1  # of a run that the settings let fail
_AT_ONCE_KILLED = (Internal.ACCEPTED, Internal.PREPARING)

log = logging.getLogger(__name__)
T = TypeVar("T")


class Life:
    """Moves the jobs of one CE. `timers.run(life.step)` has to run in the loop."""

    def __init__(
        self,
        name: str,
        books: Books,
        pace: Pace,
        provider: Provider,
        transfers: Transfers,
        payload: Payload,
        witness: Witness | None,
    ) -> None:
        self._name, self._books, self.pace, self._provider = name, books, pace, provider
        self._transfers, self._payload, self._witness = transfers, payload, witness
        self.timers, self.work = Timers(), Work()
        self._queue: deque[Job] = deque()
        self.running = 0

    def accept(self, job: Job) -> None:
        self._books.add(job)
        self._enter(job, Internal.ACCEPTED)
        self.timers.later(job.id, self.pace.step_s)

    def uploaded(self, job: Job, name: str) -> None:
        """An input of the client has come whole."""
        if name not in job.arrived:
            job.arrived.append(name)
        job.missing.discard(name)
        self._check_inputs(job)

    def kill(self, job: Job) -> None:
        if job.over or job.cancelled:
            return
        job.cancelled, job.failed_state = True, job.state
        self.work.stop(job.id)
        if job.state in _AT_ONCE_KILLED:
            self._finish(job)
        else:
            self._enter(job, Internal.CANCELING)
            self.timers.later(job.id, self.pace.kill_s)

    def clean(self, job: Job) -> None:
        """Does not kill: a living job goes when it is over."""
        job.to_clean = True
        if job.over:
            self.forget(job)

    def restart(self, job: Job) -> str:
        """Why not; empty: it will be."""
        if not job.over or not job.failed_state:
            return "Job has not failed"
        if job.reruns <= 0:
            return "No more restarts allowed"
        self.timers.later(job.id, self.pace.step_s)
        return ""

    def forget(self, job: Job) -> None:
        """From now on the CE does not know the job."""
        self.work.stop(job.id)
        self.timers.cancel(job.id)
        self._release(job)
        self._books.remove(job)
        self._fill()

    def repace(self, pace: Pace) -> None:
        """Other settings; jobs that wait for the client's inputs get the new patience from now on."""
        self.pace = pace
        for job in self._books.jobs.values():
            if job.state is Internal.PREPARING and job.missing:
                self.timers.later(job.id, pace.stagein_timeout)
        self._provider.set_period(pace.info_period)
        self._fill()

    def step(self, job_id: str) -> None:
        """The alarm of a job has rung."""
        job = self._books.jobs.get(job_id)
        if job is not None:
            _STEPS[job.state](self, job)

    def _prepare(self, job: Job) -> None:
        self._provider.picked_up(job)
        job.pending = False
        self._enter(job, Internal.PREPARING)
        if random.random() < self.pace.fail_stagein:
            job.failure = "Data download failed"
            self.timers.later(job.id, self.pace.step_s)
            return
        if job.missing:
            self.timers.later(job.id, self.pace.stagein_timeout)
        if any(one.sources for one in job.about.inputs):
            self._start(job, self._transfers.stage_in(job), self._staged_in)
        else:
            self._staged_in(job, "")

    def _staged_in(self, job: Job, problem: str) -> None:
        if problem:
            self._fail(job, problem)
            return
        job.staged = True
        self._check_inputs(job)

    def _check_inputs(self, job: Job) -> None:
        if job.state is Internal.PREPARING and job.staged and not job.missing and not job.ready:
            job.ready = True
            self.timers.later(job.id, self.pace.step_s)

    def _leave_preparing(self, job: Job) -> None:
        if job.failure:
            self._fail(job, job.failure)
        elif not job.ready:
            self._fail(job, f"User file: /{min(job.missing)} - Timeout waiting")
        else:
            self._enter(job, Internal.SUBMIT)
            self.timers.later(job.id, self.pace.step_s)

    def _enqueue(self, job: Job) -> None:
        job.batch = Batch.QUEUED
        self._enter(job, Internal.INLRMS)
        self._queue.append(job)
        self._fill()

    def _fill(self) -> None:
        while self._queue and self.running < self.pace.slots:
            job = self._queue.popleft()
            if job.id in self._books.jobs and job.state is Internal.INLRMS and job.batch is Batch.QUEUED:
                self._execute(job)

    def _execute(self, job: Job) -> None:
        self.running += 1
        job.holds_slot, job.batch, job.node = True, Batch.RUNNING, f"node{random.randrange(NODES)}.{self._name}"
        job.started, job.executions = datetime.now(UTC), job.executions + 1
        self._enter(job, Internal.INLRMS)
        order = _order(job, *self._transfers.shown(job))
        if self._witness is not None:
            self._witness.append(witness_key(order), name=job.about.name, ce=self._name, at=time.time())
        self._start(job, self._payload(order), self._ran)

    def _ran(self, job: Job, result: PayloadResult) -> None:
        """The work is done; the job goes on running until its time is over."""
        job.result = result
        if random.random() < self.pace.fail_run:
            job.result = PayloadResult(EXIT_OF_FAILURE, {}, result.cpu_s, result.wall_s, result.memory_kb)
        wall = random.uniform(*self.pace.run_s) if result.wall_s is None else result.wall_s
        assert job.started is not None
        self.timers.later(job.id, max(0.0, wall - (datetime.now(UTC) - job.started).total_seconds()))

    def _leave_batch(self, job: Job) -> None:
        if not job.pending:
            self._ended_in_batch(job)
        job.pending = False
        self._enter(job, Internal.FINISHING)
        if any(uploads(job, bool(job.failure))):
            self._start(job, self._transfers.stage_out(job, bool(job.failure)), self._staged_out)
        else:
            self.timers.later(job.id, self.pace.step_s)

    def _ended_in_batch(self, job: Job) -> None:
        assert job.result is not None
        self._release(job)
        job.left_batch = datetime.now(UTC)
        job.session.files.update(job.result.files)
        if code := job.result.exit_code:
            job.failed_state = Internal.INLRMS
            job.failure = f"LRMS error: ({code}) Job finished with wrong exit code - {code} != 0"
        self._fill()

    def _staged_out(self, job: Job, problem: str) -> None:
        if problem:
            job.failure, job.failed_state = job.failure or problem, job.failed_state or Internal.FINISHING
        self.timers.later(job.id, self.pace.step_s)

    def _fail(self, job: Job, why: str) -> None:
        job.failure, job.failed_state = why, job.state
        self._finish(job)

    def _finish(self, job: Job) -> None:
        self.timers.cancel(job.id)
        self.work.stop(job.id)
        self._release(job)
        if job.cancelled:
            job.failure = CANCELLED
        _prune(job)
        job.ended, job.pending, job.ready = datetime.now(UTC), False, False
        self._enter(job, Internal.FINISHED)
        if job.to_clean:
            self._books.remove(job)
        self._fill()

    def _again(self, job: Job) -> None:
        """Restart: back to the beginning of the part that failed."""
        uploaded = job.failed_state == Internal.FINISHING
        job.reruns, job.failure, job.failed_state, job.cancelled = job.reruns - 1, "", "", False
        job.ended, job.pending = None, True
        if not uploaded:
            job.result, job.staged, job.left_batch = None, False, None
            job.missing = {one.name for one in job.about.inputs if not one.sources} - set(job.session.files)
        self._enter(job, Internal.INLRMS if uploaded else Internal.ACCEPTED)
        self.timers.later(job.id, self.pace.step_s)

    def _enter(self, job: Job, state: Internal) -> None:
        before, job.state = internal_word(job), state
        self._provider.note(job)
        job.log.append(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} Job state change {before} -> {internal_word(job)}")

    def _release(self, job: Job) -> None:
        if job.holds_slot:
            job.holds_slot = False
            self.running -= 1

    def _start(self, job: Job, work: Coroutine[Any, Any, T], then: Callable[[Job, T], None]) -> None:
        def failed(error: BaseException) -> None:
            log.error("job %s of %s: %r", job.id, self._name, error)
            self._fail(job, f"{type(error).__name__}: {error}")

        self.work.start(job.id, work, lambda result: then(job, result), failed)


_STEPS: Mapping[Internal, Callable[[Life, Job], None]] = {
    Internal.ACCEPTED: Life._prepare,
    Internal.PREPARING: Life._leave_preparing,
    Internal.SUBMIT: Life._enqueue,
    Internal.INLRMS: Life._leave_batch,
    Internal.FINISHING: Life._finish,
    Internal.CANCELING: Life._finish,
    Internal.FINISHED: Life._again,
}


def _prune(job: Job) -> None:
    """Only what was declared stays, and of a failed job what a restart would need."""
    restartable = bool(job.failure and job.reruns)
    if restartable and job.failed_state == Internal.FINISHING:
        return
    brought = [one.name for one in job.about.inputs if not one.sources and restartable and not job.cancelled]
    job.session.keep_only([*job.about.outputs, *map(Output, brought)])


def _order(job: Job, proxy: bytes, ca_dir: str) -> PayloadJob:
    about, files = job.about, job.session.files
    inputs: dict[str, bytes | str] = {one.name: one.sources[0] for one in about.inputs if one.sources}
    return PayloadJob(
        name=about.name,
        executable=about.executable,
        arguments=about.arguments,
        environment=about.environment,
        inputs=inputs | {one.name: files[one.name] for one in about.inputs if one.name in files},
        outputs={one.name: one.target for one in about.outputs},
        stdin=about.stdin,
        stdout=about.stdout,
        stderr=about.stderr,
        cores=about.cores,
        node=job.node,
        walltime_s=about.walltime_s,
        proxy=proxy,
        ca_dir=ca_dir,
    )
