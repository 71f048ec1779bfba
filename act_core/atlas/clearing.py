"""What a dead attempt left on storage is deleted before the next attempt may be sent, or not at all.

Only that attempt's own list, only behind the fence of the next one, only while PanDA calls the job active, and only
what storage has just been seen to have. A line of the ledger tells of each file.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from act_core.atlas.books import Booked, app_job_id
from act_core.atlas.instance import panda, server_of
from act_core.atlas.outputs import reported_of
from act_core.atlas.pauses import pauses
from act_core.atlas.pilot_word import Reported
from act_core.atlas.reports import JobStatus
from act_core.atlas.storages import storage
from act_core.db import fences, ledger
from act_core.db.fences import GRACE, Fence
from act_core.db.ledger import Line
from act_core.db.models import CeJob
from act_core.db.panda_models import Clearing
from act_core.errors import ActError
from act_core.reasons import Reason, Topic
from act_core.runtime import Counts, Runtime
from act_core.states import CeState
from act_core.storage.base import Fate, Outcome, Removal, Verdict, Wanted

BATCH = 100
KEY = "dead attempts"
AGAIN = timedelta(seconds=30)
FRESH = timedelta(minutes=1)  # PanDA's word that a job is active is older than that: it is asked again
ACTIVE = frozenset({"sent", "starting", "running", "transferring"})
TOO_LATE = "the next attempt may be sent already"
NO_ANSWER = "no answer in time: it may be gone"
_THERE = (Outcome.MATCH, Outcome.MISMATCH)


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What an attempt that has a successor may have left; no files: nothing that is ours to delete."""

    row: Booked | None = None
    files: tuple[Reported, ...] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """A clearing that is due, and the fence that was found with it."""

    id: int  # of the dead attempt
    next_key: str
    panda_id: int
    attempt_nr: int
    queue: str
    files: tuple[Reported, ...]
    fence: Fence | None


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a file."""

    file: Reported
    reason: Reason
    words: str = ""


def enter(session: Session, found: Mapping[CeJob, Leftovers], now: datetime) -> None:
    """Book what is to be cleared. Where nothing is, the next attempt may be sent at once."""
    if not found:
        return
    keys = {attempt.superseded_by: attempt for attempt in found if attempt.superseded_by}
    stand = fences.of(session, list(keys), lock=True)
    held = {key for key, one in stand.items() if one.state is CeState.TOSUBMIT and one.until and one.until > now}
    known = set(session.scalars(select(Clearing.next_key).where(Clearing.next_key.in_(held))))
    fences.lift(session, [key for key in held - known if not found[keys[key]].files])
    rows = [
        _booked(key, keys[key].id, one.row, one.files, now)
        for key in sorted(held - known)
        if (one := found[keys[key]]).row and one.files
    ]
    if rows:
        session.execute(insert(Clearing), rows)


def _booked(key: str, job_id: int, row: Booked, files: Sequence[Reported], now: datetime) -> dict[str, object]:
    return {
        "next_key": key,
        "job_id": job_id,
        "server": row.server,
        "panda_id": row.panda_id,
        "attempt_nr": row.attempt_nr,
        "queue": row.queue,
        "files": json.dumps([asdict(file) for file in files], ensure_ascii=False),
        "due_at": now,
        "created": now,
    }


async def due(rt: Runtime) -> Sequence[str]:
    if pauses(rt).lasts(KEY, rt.now()):
        return []
    return [KEY] if await rt.read(_picked, server_of(rt), rt.now(), 1) else []


def _picked(session: Session, server: str, now: datetime, limit: int = BATCH) -> list[Job]:
    """With their fences: of an attempt that has moved to the archive there is none."""
    question = (
        select(Clearing, CeJob.state, CeJob.fenced_until)
        .outerjoin(CeJob, CeJob.submission_key == Clearing.next_key)
        .where(Clearing.server == server, Clearing.due_at <= now)
        .order_by(Clearing.due_at)
        .limit(limit)
    )
    return [
        Job(
            *(one.job_id, one.next_key, one.panda_id, one.attempt_nr, one.queue, tuple(reported_of(one.files))),
            Fence(CeState(state), until) if state else None,
        )
        for one, state, until in session.execute(question)
    ]


def objection(job: Job, said: JobStatus | None, now: datetime, longest: timedelta) -> str | None:
    """Why nothing of a job is deleted; empty: nothing against it; None: PanDA did not say, ask again."""
    if not fences.holds(job.fence, now, longest):
        return TOO_LATE
    if said is None:
        return None
    if said.status not in ACTIVE or said.attempt_nr != job.attempt_nr:
        return f"PanDA calls the job {said.status}, attempt {said.attempt_nr}"
    return ""


async def clear(rt: Runtime, _key: str) -> Counts:
    """One round. A job whose fence is over is let go, whatever PanDA and storage do."""
    longest = rt.settings.app.validation.longest
    jobs, now = await rt.read(_picked, server_of(rt), rt.now()), rt.now()
    late = [job for job in jobs if not fences.holds(job.fence, now, longest)]
    counts = await rt.write(_settle, {job: kept(job, TOO_LATE) for job in late}, now) if late else Counts()
    jobs = [job for job in jobs if job not in late]
    if not jobs:
        return counts
    try:
        said = await panda(rt).get_job_status({job.panda_id for job in jobs})
    except ActError:
        pauses(rt).begin(KEY, AGAIN, rt.now())
        raise
    pauses(rt).end(KEY)
    now = rt.now()
    why = {job: objection(job, said.get(job.panda_id), now, longest) for job in jobs}
    refused = {job: kept(job, words) for job, words in why.items() if words}
    counts += await rt.write(_settle, refused, now)
    await rt.write(_later, [job for job, words in why.items() if words is None], now)
    return counts + await _all(rt, [job for job, words in why.items() if words == ""])


def kept(job: Job, words: str) -> list[Told]:
    return [Told(file, Reason.OUTPUT_KEPT, words) for file in job.files]


async def _all(rt: Runtime, jobs: Sequence[Job]) -> Counts:
    """Side by side, each settled with those that end at the same time. Raises the first error when all are over."""
    counts, errors = Counts(), list[BaseException]()
    tasks = {asyncio.create_task(_one(rt, job)): job for job in jobs}
    try:
        while tasks:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            over = {tasks.pop(task): task for task in done}
            failed = {job: err for job, task in over.items() if (err := task.exception())}
            errors += failed.values()
            told = {job: task.result() for job, task in over.items() if job not in failed}
            counts += await rt.write(_settle, told, rt.now())
            await rt.write(_later, list(failed), rt.now())
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if errors:
        raise errors[0]
    return counts


async def _one(rt: Runtime, job: Job) -> list[Told]:
    """Look at a job's files, and delete what is there as long as the fence holds."""
    assert job.fence is not None
    assert job.fence.until is not None
    told: dict[str, Told] = {}
    try:
        async with asyncio.timeout((job.fence.until - GRACE - rt.now()).total_seconds()):
            await _look_and_delete(rt, job, told)
    except TimeoutError:
        pass  # the fence is about to fall: what nobody has told of stays
    return [told.get(file.url or "", Told(file, Reason.OUTPUT_KEPT, NO_ANSWER)) for file in job.files]


async def _look_and_delete(rt: Runtime, job: Job, told: dict[str, Told]) -> None:
    began, longest = rt.now(), rt.settings.app.validation.longest
    files = {Wanted(file.url, file.size, file.adler32): file for file in job.files if file.url}
    verdicts = await storage(rt).check(files)
    there = [file for wanted, file in files.items() if verdicts[wanted].outcome in _THERE]
    told |= {w.url: Told(f, Reason.OUTPUT_KEPT, _not_there(verdicts[w])) for w, f in files.items() if f not in there}
    if rt.settings.app.validation.delete != "on":
        told |= {file.url: Told(file, Reason.OUTPUT_WOULD_GO) for file in there if file.url}
        return
    if rt.now() - began >= FRESH:
        said = await panda(rt).get_job_status({job.panda_id})
        why = objection(job, said.get(job.panda_id), rt.now(), longest)
        if why != "":
            why = why or "PanDA does not say whether the job is active"
            told |= {file.url: Told(file, Reason.OUTPUT_KEPT, why) for file in there if file.url}
            return

    async def permit(_: str) -> str:
        fence = (await rt.read(fences.of, [job.next_key])).get(job.next_key)
        return "" if fences.holds(fence, rt.now(), longest) else TOO_LATE

    removals = await storage(rt).delete([file.url for file in there if file.url], permit)
    told |= {file.url: removed(file, removals[file.url]) for file in there if file.url}


def _not_there(verdict: Verdict) -> str:
    return f"{verdict.outcome}: {verdict.words}".rstrip(": ")


def removed(file: Reported, removal: Removal) -> Told:
    """What storage's answer to a deletion is in the ledger."""
    if removal.fate is Fate.DELETED:
        return Told(file, Reason.OUTPUT_DELETED)
    words = f"{removal.fate}: {removal.words}".rstrip(": ")
    return Told(file, Reason.OUTPUT_KEPT, f"{words}: it may be gone" if removal.fate is Fate.UNREACHABLE else words)


def _settle(session: Session, told: Mapping[Job, Sequence[Told]], now: datetime) -> Counts:
    """The lines, and the end of it: the next attempts may be sent."""
    if not told:
        return Counts()
    ledger.append(session, [_line(job, one) for job, files in told.items() for one in files], now)
    keys = [job.next_key for job in told]
    session.execute(delete(Clearing).where(Clearing.next_key.in_(keys)))
    fences.lift(session, keys)
    return Counts(f"files {one.reason.value.removeprefix('output-')}" for files in told.values() for one in files)


def _line(job: Job, one: Told) -> Line:
    facts = {
        "job": app_job_id(job.panda_id, job.attempt_nr),
        "file": one.file.lfn,
        "url": (one.file.url or "").partition("?")[0],  # a query may hold a token
        "words": one.words,
    }
    return Line(Topic.OUTPUTS, one.reason, share=job.queue, job_id=job.id, n=1, facts=facts)


def _later(session: Session, jobs: Sequence[Job], now: datetime) -> None:
    """Asked again in a while."""
    if jobs:
        late = Clearing.next_key.in_([job.next_key for job in jobs])
        session.execute(update(Clearing).where(late).values(due_at=now + AGAIN))
