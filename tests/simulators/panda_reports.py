"""Jobs in PanDA's books and the reports about them."""

import json
from datetime import UTC, datetime, timedelta

from act_core.simulators.panda_books import Books
from act_core.simulators.panda_jobs import JobOrder, expected_outputs
from act_core.simulators.panda_records import Job
from act_core.simulators.panda_states import Phase
from act_core.simulators.panda_waiting import Wish

NOW = datetime(2026, 11, 21, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def one_job(books: Books, **order: object) -> Job:
    (number,) = books.create(JobOrder.model_validate({"queue": "TEST_ARC"} | order))
    return books.jobs[number]


def put(books: Books, job: Job, phase: Phase) -> None:
    """Brings a new job to a phase by the reports that lead there."""
    path: dict[Phase, tuple[str, ...]] = {
        Phase.ACTIVATED: (),
        Phase.STARTING: ("starting",),
        Phase.RUNNING: ("running",),
        Phase.HOLDING: ("holding",),
        Phase.HOLDING_FINAL: ("finished",),
        Phase.TRANSFERRING: ("transferring",),
    }
    if phase is Phase.SENT:
        books.acquire("TEST_ARC", Wish(), 1, NOW, {})
    for status in path.get(phase, ()):
        report(books, job, status)
    if phase not in path:
        job.phase = phase
    assert job.phase is phase


def report(books: Books, job: Job, status: str, now: datetime = NOW, **fields: object) -> str:
    return books.update({"job_id": job.number, "job_status": status, "attempt_nr": 1} | fields, now)


def good_report(job: Job) -> str:
    outputs, log, _ = expected_outputs(job.order, job.number)
    return json.dumps({lfn: {"guid": "G", "fsize": 1, "adler32": "00620062"} for lfn in [*outputs, log]})


P = Phase
