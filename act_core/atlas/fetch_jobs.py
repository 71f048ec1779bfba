"""Take jobs from PanDA: what is handed out is booked before more is asked for."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from act_core.atlas import books, queues
from act_core.atlas.cric import Queue
from act_core.atlas.instance import panda, queue_of, server_of
from act_core.atlas.wire import MalformedJob, PandaJob
from act_core.errors import OutcomeUnknown, Transient
from act_core.logs import log
from act_core.runtime import Counts, Runtime
from act_core.settings.model import Panda
from act_core.states import PandaState

logger = log(__name__)
TROUBLE_PAUSE = timedelta(seconds=30)


async def due(rt: Runtime) -> Sequence[str]:
    return await rt.read(queues.due, rt.now())


def label_for(queue: Queue) -> str:
    """The prodSourceLabel to ask for (panda.md 2.1); a queue in test is narrowed by PanDA itself."""
    return {"unified": "unified", "analysis": "user"}.get(queue.type, "managed")


async def fetch_jobs(rt: Runtime, name: str) -> Counts:
    """One call for one queue, for as many jobs as it can hold."""
    queue, settings = await queue_of(rt, name), rt.settings.app.panda
    if queue is None:
        return Counts()
    room = await rt.read(queues.room, server_of(rt), name, queue.maxjobs, settings.minjobs)
    n = min(room, settings.getjobs)
    if n <= 0:
        await rt.write(queues.asked, name, rt.now() + timedelta(seconds=2), None)
        return Counts()
    try:
        jobs = [usable(job) for job in await panda(rt).acquire_jobs(name, n, label_for(queue))]
    except (OutcomeUnknown, Transient) as err:
        await rt.write(queues.asked, name, rt.now() + TROUBLE_PAUSE, str(err))
        raise
    now = rt.now()
    good = [job for job in jobs if isinstance(job, PandaJob)]
    bad = [job for job in jobs if isinstance(job, MalformedJob)]
    rows = [booked(job, server_of(rt), name, now, settings) for job in good]
    rows += [failed(job, server_of(rt), name, now) for job in bad if job.panda_id]
    new = await rt.write(books.insert_jobs, rows)
    for job in bad:
        logger.warning("queue=%s %s", name, job)
    pause = settings.fetchpause if not jobs else timedelta(0)
    await rt.write(queues.asked, name, now + pause, None)
    return Counts({word: n for word, n in (("taken", new), ("malformed", len(bad))) if n})


def usable(job: PandaJob | MalformedJob) -> PandaJob | MalformedJob:
    """The row of a job keeps no secrets: one that needs them is refused here, not run without."""
    if isinstance(job, PandaJob) and "secrets" in job.secrets:
        return MalformedJob(job.panda_id, job.attempt_nr, "it carries secrets, which this version does not hand on")
    return job


def booked(job: PandaJob, server: str, queue: str, now: datetime, settings: Panda) -> dict[str, Any]:
    """The row of a job that PanDA handed out: PanDA hears of it at once."""
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
    words = str(job)
    update = {"job_id": job.panda_id, "job_status": "failed", "pilot_error_code": 1008, "pilot_error_diag": words}
    return _row(server, queue, now) | {
        "panda_id": job.panda_id,
        "attempt_nr": job.attempt_nr or 0,
        "label": "",
        "cores": 1,
        "state": PandaState.TOREPORT.value,
        "job": "{}",
        "error": words[:1000],
        "report": json.dumps(update | {"attempt_nr": job.attempt_nr, "site_name": queue}),
    }


def _row(server: str, queue: str, now: datetime) -> dict[str, Any]:
    common: dict[str, Any] = {"server": server, "queue": queue, "state_since": now, "heartbeat_due_at": now}
    return common | {"created": now, "modified": now, "error": None, "report": None}
