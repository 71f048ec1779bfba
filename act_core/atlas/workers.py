"""Attempts as PanDA's harvester workers: what puts CE, batch id, node and log addresses on PanDA's page of a job.

A nicety: it has a client and pauses of its own, and nothing waits for it. Reference: panda.md 3.5 and 4.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from importlib.metadata import version
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from act_core.atlas.books import HARVESTER, app_job_id, app_of
from act_core.atlas.instance import panda_aside, server_of
from act_core.atlas.logplaces import Kind, address, place_of
from act_core.atlas.pauses import pauses
from act_core.atlas.reports import Worker, WorkerStatus, as_stamp
from act_core.db.bulk import chunks, update_rows
from act_core.db.models import Ce, CeJob
from act_core.db.panda_models import PandaRow
from act_core.errors import ActError
from act_core.logs import log
from act_core.runtime import Counts, Runtime
from act_core.settings.app_model import JobLog
from act_core.settings.model import Settings
from act_core.states import FINAL, CeState
from act_core.words import clean, host_of

logger = log(__name__)
BATCH = 500
WORKERS, FIRST_PAUSE = "workers", timedelta(seconds=30)
CALM = timedelta(seconds=5)  # after a job's news: what moves again at once is told once
AGAIN, REFUSED = timedelta(minutes=1), timedelta(minutes=30)  # no answer for this worker; PanDA did not take it
SIGN_OF_LIFE = timedelta(minutes=30)
LONGEST_ID, LONGEST_URL = 50, 250

# What is neither new nor over is running, as in the original (act.md 15).
STATUS: Mapping[CeState, WorkerStatus] = {
    **dict.fromkeys(CeState, "running"),
    CeState.SUBMITTED: "submitted",
    CeState.HOLDING: "submitted",
    CeState.DONE: "finished",
    CeState.DONEFAILED: "failed",
    CeState.CANCELLED: "cancelled",
    CeState.LOST: "missed",
    CeState.VOID: "missed",
    CeState.ABANDONED: "missed",
}


@dataclass(frozen=True, slots=True)
class At:
    """An attempt that has reached a CE."""

    id: int
    app_job_id: str
    state: str
    ce: str | None
    remote_id: str | None
    batch_id: str | None
    node: str | None
    cores_asked: int
    native_state: str | None
    error: str | None
    inputs_sent_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Job:
    """A PanDA job of which PanDA may have to be told where it is, and what PanDA was told last."""

    id: int
    panda_id: int
    attempt_nr: int
    queue: str
    label: str
    created: datetime
    worker_due_at: datetime
    worker_id: int | None
    worker_told: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """What is due: the jobs, their attempts by PandaID and attempt number, the hosts of CEs by name."""

    jobs: tuple[Job, ...] = ()
    attempts: Mapping[str, Sequence[At]] | None = None
    hosts: Mapping[str, str] | None = None


class Harvester:
    """When PanDA last had a sign of life from this instance; losing it costs a request."""

    def __init__(self, now: datetime) -> None:
        self.started, self.told = now, datetime.min.replace(tzinfo=now.tzinfo)

    async def close(self) -> None:
        """Nothing is open."""


def harvester_id(settings: Settings, tower: str) -> str:
    """As whose workers our attempts are known: one id a database, since attempts are counted there."""
    panda = settings.app.panda
    return panda.harvesterid or f"{panda.schedulerid[: LONGEST_ID - 1 - len(tower)]}-{tower}"


def moved(session: Session, rows: Collection[int], now: datetime) -> None:
    """PanDA jobs (by row id) whose attempts have news. `version` stays: heartbeats shall not notice.

    A Harvester registers its own.
    """
    for chunk in chunks(sorted(rows)):
        ours = (PandaRow.id.in_(chunk), PandaRow.reporter != HARVESTER)
        due = update(PandaRow).where(*ours).values(worker_due_at=now + CALM)
        session.execute(due.execution_options(synchronize_session=False))


async def due(rt: Runtime) -> Sequence[str]:
    """One key, the server, while there is something to tell and PanDA takes workers."""
    if not rt.settings.app.panda.workers or pauses(rt).lasts(WORKERS, rt.now()):
        return []
    return [server_of(rt)] if await rt.read(due_jobs, server_of(rt), rt.now(), 1) else []


def due_jobs(session: Session, server: str, now: datetime, limit: int) -> list[Job]:
    """Those that have waited longest first."""
    columns = [getattr(PandaRow, name) for name in Job.__slots__]
    where = (PandaRow.worker_due_at <= now, PandaRow.server == server)
    rows = session.execute(select(*columns).where(*where).order_by(PandaRow.worker_due_at).limit(limit))
    return [Job(*row) for row in rows]


def attempts_of(session: Session, app: str, jobs: Collection[str]) -> dict[str, list[At]]:
    """Of these jobs, those attempts that have reached a CE, in their order."""
    columns = [getattr(CeJob, name) for name in At.__slots__]
    found: dict[str, list[At]] = {}
    for chunk in chunks(sorted(jobs)):
        where = (CeJob.app == app, CeJob.app_job_id.in_(chunk), CeJob.remote_id.is_not(None))
        for row in session.execute(select(*columns).where(*where).order_by(CeJob.id)):
            found.setdefault(row.app_job_id, []).append(At(*row))
    return found


def _found(session: Session, app: str, server: str, now: datetime) -> Found:
    jobs = due_jobs(session, server, now, BATCH)
    attempts = attempts_of(session, app, {app_job_id(job.panda_id, job.attempt_nr) for job in jobs})
    names = {one.ce for some in attempts.values() for one in some if one.ce}
    endpoints = session.execute(select(Ce.name, Ce.endpoint).where(Ce.name.in_(names))).tuples()
    return Found(tuple(jobs), attempts, {name: host_of(endpoint) or name for name, endpoint in endpoints})


def digest(worker: Worker) -> str:
    """Of what PanDA is told of at once when it changes; the rest comes along."""
    said = (worker.status, worker.ce, worker.batch_id, worker.node)
    return blake2b(repr(said).encode(), digest_size=8).hexdigest()


def news_of(job: Job, attempts: Sequence[At], hosts: Mapping[str, str], joblog: JobLog) -> list[Worker]:
    """What PanDA has not been told of a job's attempts, the oldest first: news of the last one, and all later ones."""
    told: list[Worker] = []
    for one in attempts:
        again = one.id == job.worker_id
        if one.id < (job.worker_id or 0):
            continue
        # the page of a job shows the worker that was linked last
        worker = as_worker(job, one, hosts, joblog, linked=not again or one is attempts[-1])
        if not (again and digest(worker) == job.worker_told):
            told.append(worker)
    return told


def as_worker(job: Job, attempt: At, hosts: Mapping[str, str], joblog: JobLog, *, linked: bool = True) -> Worker:
    """An attempt in PanDA's words. Its number is that of its row, which no other attempt of this database ever gets."""
    state = CeState(attempt.state)
    return Worker(
        worker_id=attempt.id,
        status=STATUS[state],
        queue=job.queue,
        ce=hosts.get(attempt.ce or "", attempt.ce),
        batch_id=attempt.batch_id or attempt.remote_id,
        cores=attempt.cores_asked,
        node=clean(attempt.node) if attempt.node else None,
        submitted=as_stamp(attempt.inputs_sent_at),
        started=as_stamp(attempt.started_at),
        ended=as_stamp(attempt.ended_at) if state in FINAL else None,
        native_status=attempt.native_state,
        stdout_url=_address(joblog, job, Kind.OUT),
        log_url=_address(joblog, job, Kind.LOG),
        problem=clean(attempt.error) if attempt.error and state in FINAL else None,
        panda_ids=(job.panda_id,) if linked else (),
    )


def _address(joblog: JobLog, job: Job, kind: Kind) -> str | None:
    place = place_of(joblog, job.created, job.queue, job.panda_id, job.label)
    found = address(joblog, place, kind) if place else ""
    return found if 0 < len(found) <= LONGEST_URL else None  # half an address is none


def after_telling(job: Job, told: Sequence[Worker], taken: Mapping[int, bool], now: datetime) -> dict[str, Any]:
    """The columns of a job: how far PanDA knows its attempts, and when it hears of the rest."""
    columns: dict[str, Any] = {"worker_id": job.worker_id, "worker_told": job.worker_told, "worker_due_at": None}
    for worker in told:
        if not taken.get(worker.worker_id):
            return columns | {"worker_due_at": now + (REFUSED if worker.worker_id in taken else AGAIN)}
        columns |= {"worker_id": worker.worker_id, "worker_told": digest(worker)}
    return columns


async def register(rt: Runtime, server: str) -> Counts:
    """One round: what has changed of jobs whose time has come."""
    found = await rt.read(_found, app_of(rt.settings), server, rt.now())
    joblog, attempts, hosts = rt.settings.app.joblog, found.attempts or {}, found.hosts or {}
    news = {
        job: news_of(job, attempts.get(app_job_id(job.panda_id, job.attempt_nr), ()), hosts, joblog)
        for job in found.jobs
    }
    workers = [worker for told in news.values() for worker in told]
    try:
        taken = await _told(rt, workers) if workers else {}
    except ActError:
        pauses(rt).begin(WORKERS, FIRST_PAUSE, rt.now())
        raise
    pauses(rt).end(WORKERS)
    now = rt.now()
    await rt.write(_settle, {job: after_telling(job, told, taken, now) for job, told in news.items()})
    refused = sorted(number for number, good in taken.items() if not good)
    if refused:
        logger.warning("PanDA does not take %d of %d workers, the first is %d", len(refused), len(workers), refused[0])
    counts = {"workers": sum(taken.values()), "workers refused": len(refused)}
    return Counts({word: n for word, n in counts.items() if n})


async def _told(rt: Runtime, workers: Sequence[Worker]) -> Mapping[int, bool]:
    """PanDA hears of the instance before it hears of its workers: at the start, and now and then."""
    panda, mine, now = panda_aside(rt), harvester_id(rt.settings, rt.tower), rt.now()
    life = rt.kept(Harvester, lambda _settings: Harvester(now), of=lambda settings: settings.app.panda)
    if now - life.told >= SIGN_OF_LIFE:
        data = {"startTime": as_stamp(life.started) or "", "sw_version": version("act-flows"), "commit_stamp": ""}
        if not await panda.harvester_alive(mine, data) and not await panda.harvester_alive(mine, data):
            logger.warning("PanDA does not enter the harvester instance %s", mine)  # nothing depends on it
        life.told = now
    return await panda.update_workers(mine, workers)


def _settle(session: Session, changes: Mapping[Job, Mapping[str, Any]]) -> None:
    """Write what has changed; a job that had news meanwhile stays due."""
    for chunk in chunks(sorted(changes, key=lambda job: job.id)):
        question = select(PandaRow.id, PandaRow.worker_due_at).where(PandaRow.id.in_([job.id for job in chunk]))
        present = dict(session.execute(question.order_by(PandaRow.id).with_for_update()).tuples().all())
        written = {
            job.id: {
                name: value
                for name, value in changes[job].items()
                if name != "worker_due_at" or present[job.id] == job.worker_due_at
            }
            for job in chunk
            if job.id in present
        }
        update_rows(session, PandaRow, {row: columns for row, columns in written.items() if columns}, versioned=False)
