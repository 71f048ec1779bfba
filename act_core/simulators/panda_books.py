"""PanDA's books: every job, what was said about it and what became of it. No I/O; the time is an argument.

No call looks at all jobs: dues are kept in a heap, waiting jobs in bags, numbers by state in a counter.
"""

import heapq
from collections import Counter
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from enum import IntEnum

from act_core.simulators.panda_adder import DDM_ERROR, add
from act_core.simulators.panda_columns import TIME_FORMAT, columns_of
from act_core.simulators.panda_jobs import JobOrder, JobValue, expected_outputs, render
from act_core.simulators.panda_records import Job, Patience, Update, limit_of, timeout_of
from act_core.simulators.panda_states import EFFECTS, FINAL_REPORTS, Phase, Verdict, status_word
from act_core.simulators.panda_waiting import Waiting, Wish, traits_of

FORCED_KILLS = (9, 52)  # kill codes that do not wait for the pilot
KILLED_IN_SERVER = 100  # taskBufferErrorCode
WORKER_ENDED = 300  # taskBufferErrorCode
OTHER_BATCH = 1  # supErrorCode


class _Due(IntEnum):
    WATCH = 1
    ADD = 2
    DDM = 3
    ARCHIVE = 4


class Books:
    """All jobs of one server. `queue_status` holds only queues in a status that matters (test, paused)."""

    def __init__(self, patience: Patience | None = None, first_number: int = 6_000_000_001, seed: int = 0) -> None:
        self.patience = patience or Patience()
        self.jobs: dict[int, Job] = {}
        self.queue_status: dict[str, str] = {}
        self.counts: Counter[tuple[str, str, str, str, bool]] = Counter()  # queue, resource, label, status, archived
        self.unknown: Counter[int] = Counter()  # updates for jobs that never existed
        self.tallies: Counter[str] = Counter()
        self.worker_ce: dict[tuple[str, int], str | None] = {}
        self._waiting = Waiting(seed)
        self._dues: list[tuple[datetime, int, _Due]] = []
        self._next = first_number

    def create(self, order: JobOrder) -> list[int]:
        """New activated jobs; returns their numbers."""
        numbers = list(range(self._next, self._next + order.n))
        self._next += order.n
        self.jobs.update({number: Job(number, order) for number in numbers})
        self.counts[self._key(order, Phase.ACTIVATED, "")] += order.n
        self._waiting.put(order.queue, traits_of(order), numbers)
        return numbers

    def acquire(self, queue: str, wish: Wish, n: int, now: datetime, columns: Mapping[str, object]) -> list[Job]:
        """Up to `n` jobs, now `sent` and reserved; in no particular order."""
        self.tick(now)
        found: list[Job] = []
        if n < 1:
            return found
        for number in self._waiting.take(queue, wish):
            job = self.jobs[number]
            if job.phase is not Phase.ACTIVATED:
                continue
            job.columns.update(columns, startTime=now.strftime(TIME_FORMAT))
            job.acquisitions += 1
            self._move(job, Phase.SENT)
            self._touch(job, now)
            found.append(job)
            if len(found) == n:
                break
        return found

    def describe(self, job: Job) -> dict[str, JobValue]:
        return render(job.order, job.number)

    def update(self, arguments: Mapping[str, object], now: datetime) -> str:
        """One report whose arguments have the right types and a valid status; returns the command (`NULL`: none)."""
        self.tick(now)
        number, status, attempt = arguments["job_id"], str(arguments["job_status"]), arguments.get("attempt_nr")
        assert isinstance(number, int)
        assert attempt is None or isinstance(attempt, int)
        self.tallies["updates"] += 1
        job = self.jobs.get(number)
        if job is None:
            self.unknown[number] += 1
            return Verdict.TO_BE_KILLED
        command = self._report(job, status, attempt, arguments, now)
        job.updates.append(Update(now, status, attempt, command))
        if self.patience.adder == timedelta(0):
            self.tick(now)
        return command

    def refused(self, number: object, status: object, why: str, now: datetime) -> None:
        """Notes a report of which nothing was applied."""
        self.tallies["refused"] += 1
        if isinstance(number, int) and number in self.jobs:
            self.jobs[number].updates.append(Update(now, str(status), None, refused=why))

    def _report(
        self, job: Job, status: str, attempt: int | None, arguments: Mapping[str, object], now: datetime
    ) -> str:
        if attempt is not None and attempt != job.order.attempt:
            self.tallies["wrong attempt"] += 1
            return Verdict.TO_BE_KILLED
        effect = EFFECTS[job.phase][status]
        if effect.verdict in (Verdict.ALREADY_DONE, Verdict.TO_BE_KILLED):
            self.tallies["final reports too late"] += status in FINAL_REPORTS
            return effect.verdict
        if self._foreign_batch(job, arguments.get("batch_id")):
            job.columns["supErrorCode"] = OTHER_BATCH
            return Verdict.TO_BE_KILLED
        if effect.verdict is Verdict.APPLIED:
            self._apply(job, effect.phase, columns_of(arguments), now)
        if effect.report:
            job.finals += 1
            self.tallies["final reports"] += 1
            job.report = (status, str(arguments.get("job_output_report") or ""))
            self._due(now + self.patience.adder, job, _Due.ADD)
        return job.command or "NULL"

    @staticmethod
    def _foreign_batch(job: Job, batch: object) -> bool:
        ours = str(job.columns.get("batchID") or "")
        theirs = str(batch or "")
        return bool(ours and theirs and ours != theirs and not ours.isdigit() and not theirs.isdigit())

    def _apply(self, job: Job, phase: Phase, columns: dict[str, object], now: datetime) -> None:
        text = now.strftime(TIME_FORMAT)
        if phase is Phase.RUNNING and job.phase is not Phase.RUNNING:
            columns.setdefault("startTime", text)
        if job.phase is Phase.RUNNING and phase in (Phase.HOLDING, Phase.HOLDING_FINAL, Phase.TRANSFERRING):
            columns.setdefault("endTime", text)
        columns["computingElement"] = self.worker_ce.get(job.worker) if job.worker else None
        job.columns.update(columns)
        self._move(job, phase)
        self._touch(job, now)

    def kill(self, numbers: Collection[int], code: int | None, now: datetime) -> list[bool]:
        """Jobs nobody works on are cancelled at once, others wait for the pilot's word; False: not active."""
        self.tick(now)
        return [self._kill(number, code) for number in numbers]

    def _kill(self, number: int, code: int | None) -> bool:
        job = self.jobs.get(number)
        if job is None or job.phase in (Phase.ARCHIVED, Phase.FAILED):
            return False
        job.columns["taskBufferErrorCode"] = KILLED_IN_SERVER
        if job.phase in (Phase.ACTIVATED, Phase.SENT) or code in FORCED_KILLS:
            self._archive(job, "cancelled")
        else:
            job.command = Verdict.TO_BE_KILLED
        return True

    def worker_ended(self, numbers: Collection[int], now: datetime) -> None:
        """A worker that ended while its jobs still start or run takes them with it."""
        for number in numbers:
            job = self.jobs.get(number)
            if job and job.phase in (Phase.STARTING, Phase.RUNNING):
                job.columns["taskBufferErrorCode"] = WORKER_ENDED
                self._fail(job, now)

    def tick(self, now: datetime) -> None:
        """Adder, DDM, watcher and archiver, as far as they are due."""
        deeds = {_Due.WATCH: self._watch, _Due.ADD: self._add, _Due.DDM: self._ddm, _Due.ARCHIVE: self._put_away}
        while self._dues and self._dues[0][0] <= now:
            _, number, due = heapq.heappop(self._dues)
            deeds[due](self.jobs[number], now)

    def _add(self, job: Job, now: datetime) -> None:
        if job.report is None or job.phase in (Phase.ARCHIVED, Phase.FAILED):
            return
        status, report = job.report
        job.report = None
        outputs, log, inputs = expected_outputs(job.order, job.number)
        added = add(status, report, outputs, log, inputs)
        if added.code:
            job.columns.update(ddmErrorCode=DDM_ERROR, ddmErrorDiag=added.diag)
        if added.bad_inputs:
            job.columns["badInputs"] = ",".join(added.bad_inputs)
        if added.status == "failed":
            self._fail(job, now)
        elif self.patience.ddm > timedelta(0):
            self._move(job, Phase.TRANSFERRING_ADDER)
            self._due(now + self.patience.ddm, job, _Due.DDM)
        else:
            self._archive(job, "finished")

    def _ddm(self, job: Job, _: datetime) -> None:
        if job.phase is Phase.TRANSFERRING_ADDER:
            self._archive(job, "finished")

    def _put_away(self, job: Job, _: datetime) -> None:
        if job.phase is Phase.FAILED:
            self._archive(job, "failed")

    def _watch(self, job: Job, now: datetime) -> None:
        limit = limit_of(job, self.patience)
        job.watched = limit is not None
        if limit is None or job.modified is None:
            return
        paused = self.queue_status.get(job.order.queue) == "paused"
        due = now + limit if paused else job.modified + limit
        if due > now:
            self._due(due, job, _Due.WATCH)
            return
        code, diag = timeout_of(job)
        job.watched = False
        job.columns.update(jobDispatcherErrorCode=code, jobDispatcherErrorDiag=diag)
        self.tallies["timed out"] += 1
        self._fail(job, now)

    def _touch(self, job: Job, now: datetime) -> None:
        job.modified = now
        limit = None if job.watched else limit_of(job, self.patience)
        if limit is not None:
            job.watched = True
            self._due(now + limit, job, _Due.WATCH)

    def _fail(self, job: Job, now: datetime) -> None:
        if job.command == Verdict.TO_BE_KILLED:
            self._archive(job, "cancelled")
            return
        self._move(job, Phase.FAILED)
        self._due(now + self.patience.archive, job, _Due.ARCHIVE)

    def _archive(self, job: Job, outcome: str) -> None:
        self._move(job, Phase.ARCHIVED, outcome)

    def _due(self, at: datetime, job: Job, due: _Due) -> None:
        heapq.heappush(self._dues, (at, job.number, due))

    def _move(self, job: Job, phase: Phase, outcome: str = "") -> None:
        self.counts[self._key(job.order, job.phase, job.outcome)] -= 1
        job.phase, job.outcome = phase, outcome
        self.counts[self._key(job.order, phase, outcome)] += 1

    @staticmethod
    def _key(order: JobOrder, phase: Phase, outcome: str) -> tuple[str, str, str, str, bool]:
        word = status_word(phase, outcome)
        return order.queue, order.resource_type, order.source_label, word, phase is Phase.ARCHIVED
