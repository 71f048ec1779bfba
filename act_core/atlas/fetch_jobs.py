"""Take jobs from PanDA: what is handed out is booked before more is asked for."""

import asyncio
import json
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from act_core.atlas import asks, books, panda_check, queues
from act_core.atlas.asks import What
from act_core.atlas.books import app_of
from act_core.atlas.cric import Queue
from act_core.atlas.final import GENERAL
from act_core.atlas.instance import panda, queue_of, server_of
from act_core.atlas.pauses import pauses
from act_core.atlas.reports import Update
from act_core.atlas.sealing import Unbooked, fitting, rows_of, waiting
from act_core.atlas.wire import MalformedJob, PandaJob
from act_core.db import operator_modes
from act_core.db.models import ERROR_LENGTH
from act_core.disks import Stops
from act_core.engine.room import LATER, stopped
from act_core.engine.sealed import vault
from act_core.errors import ActError, CredentialError, OutcomeUnknown, Transient
from act_core.logs import log
from act_core.runtime import Counts, Runtime
from act_core.states import PandaState
from act_core.words import clean, redact
from act_core.work import at_most

logger = log(__name__)
TROUBLE_PAUSE, FULL_PAUSE = timedelta(seconds=30), timedelta(seconds=2)
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)  # seconds between tries to book
GRACE = 2.0  # seconds for an answer that is under way when we are to stop
T = TypeVar("T")


async def due(rt: Runtime) -> Sequence[str]:
    return await rt.read(queues.due, server_of(rt), rt.now())


def label_for(queue: Queue) -> str:
    """The prodSourceLabel to ask for (panda.md 2.1); a queue in test is narrowed by PanDA itself."""
    return {"unified": "unified", "analysis": "user"}.get(queue.type, "managed")


async def fetch_jobs(rt: Runtime, name: str) -> Counts:
    """One call for one queue, for as many jobs as it can hold."""
    queue, settings = await queue_of(rt, name), rt.settings.app.panda
    if queue is None:
        return Counts()
    owner = server_of(rt), app_of(rt.settings)
    room = await rt.read(queues.room, owner, name, queue.maxjobs, settings.minjobs, rt.now())
    no_role = await rt.read(panda_check.no_role, server_of(rt))
    word = await rt.read(operator_modes.of_queue, server_of(rt), name, rt.now())
    full = await stopped(rt) is not Stops.NOTHING
    # what cannot be reported, or kept, is not taken
    n = 0 if no_role or word or full else at_most(min(room, settings.getjobs))
    held = waiting(rt).take(name, rt.now())
    if n <= 0 and not held:
        again = panda_check.TROUBLED if no_role else LATER if full else FULL_PAUSE
        await rt.write(queues.asked, server_of(rt), name, rt.now() + again, None)
        return Counts()
    label = label_for(queue)
    call = Call(name, 0 if held else n, label)
    if not held:
        call.ask = await rt.write(asks.begin, server_of(rt), name, label, n, rt.now())
    try:
        counts = await _to_its_end(_take(rt, call, held), GRACE)
    except ActError as err:
        until = pauses(rt).begin(f"fetch {name}", TROUBLE_PAUSE, rt.now())
        await rt.write(_went_wrong, server_of(rt), call, err, until)
        raise
    pauses(rt).end(f"fetch {name}")
    return counts


@dataclass(slots=True)
class Call:
    """One call for `n` jobs; `ask`: its row, until it is settled; `in_hand`: what came and is not booked yet."""

    queue: str
    n: int
    label: str
    ask: int | None = None
    in_hand: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What an answer brought: rows to be booked, PandaIDs that wait for the key, and jobs without a usable number."""

    rows: Sequence[Mapping[str, Any]]
    locked: Sequence[int] = ()
    nameless: int = 0


async def _acquired(rt: Runtime, call: Call) -> list[PandaJob | MalformedJob]:
    try:
        return await panda(rt).acquire_jobs(call.queue, call.n, call.label)
    except CredentialError as err:
        await panda_check.refused(rt, err)
        raise


async def _take(rt: Runtime, call: Call, held: Sequence[Unbooked]) -> Counts:
    """Ask, and book what is handed out: PanDA has reserved it for us. `held`: jobs of before that wait for the key.

    Raises CredentialError after it has booked the others: some job's secrets cannot be sealed.
    """
    name, server = call.queue, server_of(rt)
    jobs = [fitting(job) for job in await _acquired(rt, call)] if call.n else []
    now, until = rt.now(), rt.now() + rt.settings.app.panda.senttime
    good = [job for job in jobs if isinstance(job, PandaJob)]
    bad = [job for job in jobs if isinstance(job, MalformedJob)]
    new = [Unbooked(job, booked(job, server, name, now), until) for job in good]
    rows, left, why = rows_of(vault(rt), [*held, *new])
    waiting(rt).keep(name, left)
    rows += [failed(job, server, name, now) for job in bad if job.panda_id]
    locked = [one.job.panda_id for one in left]
    call.in_hand = (*(row["panda_id"] for row in rows), *locked)
    nameless = sum(not job.panda_id for job in bad)
    taken = await _to_its_end(_book(rt, call, Answer(rows, locked, nameless)))
    call.ask = None
    for job in bad:
        logger.warning("queue=%s %s", name, job)
    if why is not None:
        raise CredentialError(f"{len(left)} jobs of {name} wait, and no further ones are asked for: {why}")
    counts = Counts({word: n for word, n in (("taken", taken), ("malformed", len(bad))) if n})
    pause = rt.settings.app.panda.fetchpause if not counts else timedelta(0)
    await rt.write(queues.asked, server, name, rt.now() + pause, None)
    return counts


def _went_wrong(session: Session, server: str, call: Call, err: ActError, again_at: datetime) -> None:
    """Remember what PanDA may have reserved: nothing, where it said no."""
    words = redact(str(err))
    if call.ask is not None and call.in_hand:
        asks.lost(session, call.ask, What.UNBOOKED, words, len(call.in_hand), call.in_hand)
    elif call.ask is not None and isinstance(err, OutcomeUnknown):
        asks.lost(session, call.ask, What.LOST, words)
    elif call.ask is not None:
        asks.booked(session, call.ask)
    queues.asked(session, server, call.queue, again_at, words)


def _write(session: Session, server: str, call: Call, answer: Answer, now: datetime) -> int:
    """The jobs and the end of the call, together or not at all; returns how many jobs are new."""
    new = books.insert_jobs(session, answer.rows)
    if call.ask is None:  # these waited for the key: the call that brought them is looked at again
        asks.look_again(session, server, call.queue, now)
    elif missing := len(answer.locked) + answer.nameless:
        why = "their secrets wait for the key" if answer.locked else "they came without a usable PandaID"
        asks.lost(session, call.ask, What.UNBOOKED, why, missing, answer.locked)
    else:
        asks.booked(session, call.ask)
    return new


async def _book(rt: Runtime, call: Call, answer: Answer) -> int:
    """A database that is away for a moment loses no jobs, which PanDA would give out again only after half an hour."""
    new: int | None = None
    server, now = server_of(rt), rt.now()
    try:
        for pause in PAUSES:
            with suppress(Transient):
                new = await rt.write(_write, server, call, answer, now)
                return new
            await asyncio.sleep(pause)
        new = await rt.write(_write, server, call, answer, now)
        return new
    finally:
        if new is None:
            ids = ", ".join(str(row["panda_id"]) for row in answer.rows)
            logger.error("reserved in PanDA, and not booked: %s", ids)


async def _to_its_end(work: Coroutine[Any, Any, T], grace: float | None = None) -> T:
    """When we are cancelled it goes on (for so many seconds), and we wait for it."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=grace)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise


def booked(job: PandaJob, server: str, queue: str, now: datetime) -> dict[str, Any]:
    """The row of a job that PanDA handed out, but for its secrets: PanDA hears of it at once."""
    return _row(server, queue, now) | {
        "panda_id": job.panda_id,
        "attempt_nr": job.attempt_nr,
        "label": job.label,
        "cores": job.cores,
        "state": PandaState.SENT.value,
        "job": json.dumps(job.raw, ensure_ascii=False),
    }


def failed(job: MalformedJob, server: str, queue: str, now: datetime) -> dict[str, Any]:
    """The row of a job that cannot be read: it fails in PanDA, with the reason."""
    assert job.panda_id is not None
    words = clean(redact(str(job)))
    update = Update(
        job_id=job.panda_id,
        job_status="failed",
        attempt_nr=job.attempt_nr,
        site_name=queue,
        pilot_error_code=GENERAL,
        pilot_error_diag=words,
    )
    return _row(server, queue, now) | {
        "panda_id": job.panda_id,
        "attempt_nr": job.attempt_nr or 0,
        "label": "",
        "cores": 1,
        "state": PandaState.TOREPORT.value,
        "job": "{}",
        "error": words[:ERROR_LENGTH],
        "report": update.model_dump_json(exclude_none=True),
    }


def _row(server: str, queue: str, now: datetime) -> dict[str, Any]:
    common: dict[str, Any] = {"server": server, "queue": queue, "state_since": now, "heartbeat_due_at": now}
    return common | {"created": now, "modified": now, "error": None, "report": None, "secrets": None}
