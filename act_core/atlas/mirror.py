"""From an attempt's news to its PanDA job: the other bridge. What is decided here is pure."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from act_core.atlas import books, clearing, joblog, workers
from act_core.atlas.books import PILOT, Booked, Change
from act_core.atlas.clearing import Leftovers
from act_core.atlas.final import Ended, final_update, gave_up
from act_core.atlas.instance import server_of
from act_core.atlas.logplaces import log_url
from act_core.atlas.offline import WHY as CALLED_BACK
from act_core.atlas.outputs import own
from act_core.atlas.pilot_word import LARGEST, Heartbeat, parse_heartbeat
from act_core.atlas.telling import telling_lines
from act_core.atlas.translate import HEARTBEAT
from act_core.db import claims, wishes
from act_core.db.attempts import Attempt
from act_core.db.bulk import chunks, weight
from act_core.db.models import CeJob
from act_core.engine.results import result_dir
from act_core.errors import BadInput
from act_core.logs import log
from act_core.runtime import Counts, Runtime
from act_core.settings.model import Settings
from act_core.states import FINAL, PANDA_FINAL, CeState, PandaState, Request

logger = log(__name__)
MOST = 8 * 1024 * 1024  # bytes of reports in one transaction
_WAITING = {CeState.SUBMITTED, CeState.HOLDING}
_TOLD = {PandaState.AWAITING, PandaState.TOREPORT}  # the end is written, and nothing takes it back
# An earlier piece of news told the attempt's end; or it was withdrawn, since one that we have forgotten is at work.
_SAID = _TOLD | {PandaState.FORGOTTEN, PandaState.TOVALIDATE}
_ONCE_MORE = {Request.RESUBMIT.value, Request.RERUN.value}
_OVER = {CeState.FINISHING, CeState.FINISHED}


@dataclass(frozen=True, slots=True)
class Home:
    """What came home of a job: the pilot's report, or why there is none."""

    heartbeat: Heartbeat | None = None
    trouble: str | None = None
    log: str | None = None  # the telling lines of its logs, where the pilot says nothing


@dataclass(frozen=True, slots=True)
class Heard:
    """What an attempt's news mean: for the PanDA job, and for the attempt itself."""

    change: Change | None = None
    wish: Request | None = None
    left: Leftovers | None = None  # what is cleared away before the attempt's successor may be sent
    stop: bool = False  # no successor is wanted: PanDA is told the end, or has closed the job


def heard(attempt: CeJob, row: Booked | None, home: Home, settings: Settings, now: datetime) -> Heard:
    """What follows from where an attempt stands now."""
    state = CeState(attempt.state)
    clean = Request.CLEAN if state in FINAL and attempt.ce_clean_at is None else None
    if attempt.superseded_by:
        told = row is not None and row.state in PANDA_FINAL | _TOLD
        return Heard(left=_leftovers(attempt, row, home, settings), stop=told)
    if row is not None and row.state is PandaState.TOVALIDATE:
        return Heard()  # the verdict decides whether it is cleaned, or runs anew
    if row is None or row.state in PANDA_FINAL or row.state in _SAID:
        return Heard(wish=Request.CLEAN if state is CeState.FAILED else clean)
    if attempt.request in _ONCE_MORE and row.state is not PandaState.TOKILL:
        return Heard()  # the end of that wish, granted or not, is news again
    if state in FINAL:
        change = _ended(attempt, state, row, home, settings, now)
        return Heard(change, None if change.to is PandaState.TOVALIDATE else clean)
    if row.state is PandaState.TOKILL:
        return Heard(wish=Request.FETCH if state is CeState.FAILED else None)
    return Heard(_moving(attempt, state, row, now), Request.FETCH if state is CeState.FAILED else None)


def _leftovers(attempt: CeJob, row: Booked | None, home: Home, settings: Settings) -> Leftovers | None:
    """What a dead attempt may have left where its successor will write. None: no successor waits for that."""
    if not attempt.fence_s or not attempt.remote_id:
        return None
    if settings.app.validation.delete == "off" or row is None or home.heartbeat is None:
        return Leftovers()
    if row.state in PANDA_FINAL | _SAID | {PandaState.TOKILL} or row.reporter == PILOT:
        return Leftovers()
    return Leftovers(row, tuple(own(json.loads(row.job), home.heartbeat.outputs)))


def _moving(attempt: CeJob, state: CeState, row: Booked, now: datetime) -> Change | None:
    """A job that is on its way. PanDA hears at once that it runs, and the rest with the next heartbeat.

    From a true pilot it hears all that itself, and from us nothing any more: what we say late would overwrite it.
    """
    if state in _WAITING and row.ce != attempt.ce:
        return Change(None, {"ce": attempt.ce})
    if state is CeState.RUNNING and row.state in (PandaState.STARTING, PandaState.RUNNING):
        started = row.started_at or attempt.started_at or now
        # PanDA has no way back from `transferring` (panda.md 3.4): of a job that runs anew it hears no more of that
        wanted = "running" if row.wanted != "transferring" else row.wanted
        columns = {"wanted": wanted, "node": attempt.node, "started_at": started, "ce": attempt.ce}
        return Change(PandaState.RUNNING, columns | {"heartbeat_due_at": None if row.reporter == PILOT else now})
    if state in _OVER and row.state in (PandaState.STARTING, PandaState.RUNNING):
        silent = {"heartbeat_due_at": None} if row.reporter == PILOT else {}
        return Change(PandaState.TRANSFERRING, {"wanted": "transferring", "ce": attempt.ce} | silent)
    return None


def _ended(attempt: CeJob, state: CeState, row: Booked, home: Home, settings: Settings, now: datetime) -> Change:
    """A job that is over: what is to be validated, or what PanDA is to be told."""
    good = state is CeState.DONE and home.heartbeat is not None and home.heartbeat.finished
    outcome: Literal["killed", "finished", "failed"]
    outcome = "killed" if row.state is PandaState.TOKILL else "finished" if good else "failed"
    error = attempt.error or (home.trouble if state is CeState.DONE else None) or _words(state, row)
    ended = Ended(
        panda_id=row.panda_id,
        attempt_nr=row.attempt_nr,
        queue=row.queue,
        outcome=outcome,
        now=now,
        cores=row.cores,
        node=attempt.node,
        started=attempt.started_at,
        ended=attempt.ended_at,
        wall_s=attempt.wall_s,
        cpu_s=attempt.cpu_s,
        memory_kb=attempt.memory_kb,
        exit_code=attempt.exit_code,
        error=None if good else error,
        pilot_log=home.log,
        log_url=_log_url(settings, attempt, row),
    )
    report = final_update(ended, home.heartbeat, settings.app.panda.schedulerid).model_dump_json(exclude_none=True)
    columns: dict[str, Any] = {"report": report, "node": attempt.node, "ended_at": attempt.ended_at or now}
    if outcome == "finished" and home.heartbeat:
        files = [asdict(file) for file in home.heartbeat.outputs]
        columns |= {
            "outputs": json.dumps(files, ensure_ascii=False),
            "check_due_at": now,
            "wanted": "transferring",
            "checks": 0,
        }
        return Change(PandaState.TOVALIDATE, columns)
    if _pilot_may_speak(attempt, row):
        awaited = {"check_due_at": now + settings.app.panda.pilotpatience, "heartbeat_due_at": None, "error": error}
        return Change(PandaState.AWAITING, columns | awaited)
    return Change(PandaState.TOREPORT, columns | {"heartbeat_due_at": now, "error": None if good else error})


def _log_url(settings: Settings, attempt: CeJob, row: Booked) -> str | None:
    return log_url(settings.app.joblog, row.created or attempt.created, row.queue, row.panda_id, row.label)


def _pilot_may_speak(attempt: CeJob, row: Booked) -> bool:
    """Whether a pilot that reports itself may have told PanDA the end: it was at a CE, and we did not kill it."""
    return row.reporter == PILOT and attempt.remote_id is not None and row.state is not PandaState.TOKILL


def _words(state: CeState, row: Booked) -> str:
    if state is CeState.DONE and row.reporter == PILOT:
        return "the job is over at its CE, and PanDA has not heard the end from its pilot"
    if state is CeState.CANCELLED and row.error == CALLED_BACK:
        return f"the job was called back: {CALLED_BACK}"
    return {
        CeState.CANCELLED: "the job was cancelled, and not by PanDA",
        CeState.LOST: "the CE does not know the job any more",
        CeState.VOID: "the job never arrived at the CE",
        CeState.ABANDONED: "the CE was not seen for too long",
    }.get(state, "")


def read_home(directory: Path, panda_id: int) -> Home:
    """The pilot's report, if it came home and is one."""
    file = directory / HEARTBEAT
    try:
        if file.stat().st_size > LARGEST:
            return Home(trouble=f"{HEARTBEAT} is larger than {LARGEST} bytes")
        return Home(parse_heartbeat(file.read_text(encoding="utf-8", errors="replace"), panda_id))
    except FileNotFoundError:
        return Home(trouble=f"the pilot left no {HEARTBEAT}")
    except (OSError, BadInput) as err:
        return Home(trouble=str(err))


async def on_news(rt: Runtime, rows: Sequence[Attempt]) -> Counts:
    """Attempts moved: tell their PanDA jobs, as many in one transaction as it can hold."""
    jobs = await rt.read(_full, [attempt.id for attempt in rows])
    booked = await rt.read(books.by_app_job_ids, server_of(rt), [job.app_job_id for job in jobs.values()])
    dead = [job.app_job_id for job in jobs.values() if job.superseded_by and job.fence_s]
    if dead:
        booked |= await rt.read(books.by_app_job_ids, server_of(rt), dead, ("job",))
    counts, left = Counts(), [attempt for attempt in rows if attempt.id in jobs]
    while left:
        now = rt.now()
        news = await asyncio.to_thread(_news, rt.settings, [jobs[attempt.id] for attempt in left], booked, now)
        counts += await rt.write(_write, left[: len(news)], jobs, booked, news, now)
        over = [joblog.ended(row, news[i].change) for i in news if (row := booked.get(jobs[i].app_job_id))]
        await joblog.tell(rt, [row for row in over if row])
        left = left[len(news) :]
    return counts


def _full(session: Session, ids: Sequence[int]) -> dict[int, CeJob]:
    found: dict[int, CeJob] = {}
    for chunk in chunks(ids):
        found |= {job.id: job for job in session.scalars(select(CeJob).where(CeJob.id.in_(chunk)))}
    session.expunge_all()
    return found


def _news(settings: Settings, jobs: Sequence[CeJob], booked: Mapping[str, Booked], now: datetime) -> dict[int, Heard]:
    """What their news mean: of the first ones, as many as one transaction can hold. Here files are touched."""
    found: dict[int, Heard] = {}
    size = 0
    for job in jobs:
        found[job.id] = _heard_safely(settings, job, booked.get(job.app_job_id), now)
        change = found[job.id].change or Change()
        size += weight(change.columns.values())
        if size > MOST:
            break
    return found


def _heard_safely(settings: Settings, job: CeJob, row: Booked | None, now: datetime) -> Heard:
    """A job over which we stumble fails alone, in PanDA, with the reason; if it is not over, it goes on."""
    try:
        return heard(job, row, _home(settings, job, row), settings, now)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as err:
        logger.exception("a bug of ours: the news of attempt %d of %s", job.attempt, job.app_job_id)
        if row is None or not _ends(job, row):
            return Heard()
        why = f"the tower does not understand what came of it: {type(err).__name__}: {err}"
        columns = gave_up(row, why, settings.app.panda.schedulerid, now, _log_url(settings, job, row))
        return Heard(Change(PandaState.TOREPORT, columns), Request.CLEAN if job.ce_clean_at is None else None)


def _ends(job: CeJob, row: Booked) -> bool:
    """Whether the PanDA job ends with this attempt."""
    over = CeState(job.state) in FINAL and job.superseded_by is None and job.request not in _ONCE_MORE
    return over and row.state not in PANDA_FINAL | _SAID


def _home(settings: Settings, job: CeJob, row: Booked | None) -> Home:
    """What came home, if the attempt is over; the logs are published."""
    if row is None or job.state not in (CeState.DONE.value, CeState.DONEFAILED.value):
        return Home()
    directory = result_dir(settings, job.app, job.app_job_id, job.attempt, job.created)
    joblog.publish(settings, row, directory)
    home = Home() if row.reporter == PILOT else read_home(directory, row.panda_id)
    if home.heartbeat is not None or job.superseded_by:
        return home
    where = f"CE job {job.remote_id} at {job.ce}" if job.remote_id else ""
    return replace(home, log=telling_lines(directory, where))


def _write(
    session: Session,
    rows: Sequence[Attempt],
    jobs: Mapping[int, CeJob],
    booked: Mapping[str, Booked],
    news: Mapping[int, Heard],
    now: datetime,
) -> Counts:
    """What has changed since it was read, attempt or PanDA job, keeps its news and is heard again."""
    rows_of = [row for i in news if (row := booked.get(jobs[i].app_job_id))]
    books.lock(session, rows_of)
    workers.moved(session, {row.id for row in rows_of}, now)
    fresh = _unchanged(session, {job_id: jobs[job_id] for job_id in news})
    clearing.enter(session, {jobs[i]: left for i in sorted(fresh) if (left := news[i].left)}, now)
    wishes.withdraw(session, {(jobs[i].app, jobs[i].app_job_id) for i in fresh if news[i].stop}, now)
    changes = {booked[jobs[i].app_job_id]: change for i in fresh if (change := news[i].change)}
    settled = books.settle(session, changes, now)
    running = [row for row in settled.written if changes[row].to is PandaState.RUNNING and row.reporter == PILOT]
    wishes.vouch(session, rows[0].app, [row.app_job_id for row in running], None)  # its pilot asks PanDA itself
    stale = set(changes) - set(settled.written) - set(settled.illegal)  # a heartbeat came between
    told = [attempt for attempt in rows if attempt.id in fresh and booked.get(attempt.app_job_id) not in stale]
    for request in (Request.FETCH, Request.CLEAN):
        wishes.wish_of(session, [attempt.id for attempt in told if news[attempt.id].wish is request], request, now)
    claims.hear(session, told)
    moved = Counts(to.value for row in settled.written if (to := changes[row].to))
    return settled.counts() + Counts({f"panda {state}": n for state, n in moved.items()})


def _unchanged(session: Session, jobs: Mapping[int, CeJob]) -> set[int]:
    """Those that nobody has moved since, and of which nobody wants anything else: locked until we are through."""
    found: set[int] = set()
    for chunk in chunks(sorted(jobs)):
        rows = session.execute(
            select(CeJob.id, CeJob.version, CeJob.request).where(CeJob.id.in_(chunk)).with_for_update()
        )
        found |= {row.id for row in rows if (row.version, row.request) == (jobs[row.id].version, jobs[row.id].request)}
    return found
