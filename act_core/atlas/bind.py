"""From a PanDA job to an attempt: the one bridge into the engine."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from act_core.atlas import books, handed
from act_core.atlas.books import HARVESTER, PILOT, Booked, Change, app_of
from act_core.atlas.cric import Queue
from act_core.atlas.final import gave_up
from act_core.atlas.instance import queue_of, server_of
from act_core.atlas.modes import candidates
from act_core.atlas.serving import CALLED_BACK
from act_core.atlas.translate import TranslateSettings, Worker, translate
from act_core.atlas.wire import PandaJob
from act_core.db.arrivals import NewJob, add_jobs
from act_core.db.panda_models import PandaRow
from act_core.errors import BadInput
from act_core.ids import TowerId
from act_core.jobspec import JobSpec
from act_core.logs import log
from act_core.runtime import Counts, Runtime
from act_core.settings.app_model import Panda
from act_core.settings.model import Settings
from act_core.states import PandaState

logger = log(__name__)
BATCH = 500


async def due(rt: Runtime) -> Sequence[str]:
    """PanDA queues with jobs that no attempt stands for."""
    return await rt.read(_queues_with_sent, server_of(rt))


def _queues_with_sent(session: Session, server: str) -> list[str]:
    question = select(PandaRow.queue).where(PandaRow.state == PandaState.SENT.value, PandaRow.server == server)
    return list(session.scalars(question.distinct().order_by(PandaRow.queue)))


def _sent(session: Session, server: str, queue: str) -> list[Booked]:
    return books.picked(
        session,
        PandaRow.state == PandaState.SENT.value,
        PandaRow.queue == queue,
        PandaRow.server == server,
        limit=BATCH,
        texts=("job",),
    )


async def bind(rt: Runtime, name: str) -> Counts:
    """Describe a queue's new jobs. One that cannot be described fails in PanDA and blocks nobody."""
    rows, queue = await rt.read(_sent, server_of(rt), name), await queue_of(rt, name)
    now = rt.now()  # one time for the description and the row: the log's address names its day
    settings = TranslateSettings.of(rt.settings.app)
    workers = await rt.read(handed.workers, rows)
    specs: dict[Booked, JobSpec] = {}
    refused: dict[Booked, dict[str, Any]] = {}
    for row in rows:
        try:
            specs[row] = described(row, queue, settings, now, workers.get(row.id))
        except BadInput as err:
            refused[row] = gave_up(row, str(err), settings.schedulerid, now)
        except (ArithmeticError, ValueError) as err:
            logger.exception("a bug of ours: PanDA job %d cannot be described", row.panda_id)
            refused[row] = gave_up(row, f"the tower cannot describe it: {err}", settings.schedulerid, now)
    attempts = attempts_of(queue, rt.settings.arc.jobs.attempts)
    return await rt.write(_write, rt.tower, queue, specs, refused, attempts, rt.settings, now)


def attempts_of(queue: Queue | None, configured: int) -> int:
    """Resubmissions by the engine's error rules. None where the pilot decides itself: PanDA sends such a job anew."""
    return 0 if queue is not None and queue.truepilot else configured


def vouched(row: Booked, settings: Panda, now: datetime) -> datetime:
    """Until when PanDA cannot have given the job up: its watchers count from the last report that it took.

    Source: panda.md 3.4 (30 minutes in `sent`, 2 hours once it was told `starting`).
    """
    if row.told_at is None:
        return (row.created or now) + settings.senttime
    return row.told_at + settings.livetime


def described(
    row: Booked, queue: Queue | None, settings: TranslateSettings, now: datetime, worker: Worker | None = None
) -> JobSpec:
    """The job in nobody's dialect. Raises BadInput with the reason."""
    if queue is None or not queue.endpoints:
        raise BadInput(f"queue {row.queue} has no CE")
    if queue.status in CALLED_BACK:
        raise BadInput(f"queue {row.queue} is {queue.status}")
    return translate(PandaJob.parse(json.loads(row.job)), queue, settings, now, worker)


def _write(
    session: Session,
    tower: TowerId,
    queue: Queue | None,
    specs: Mapping[Booked, JobSpec],
    refused: Mapping[Booked, Mapping[str, Any]],
    attempts: int,
    settings: Settings,
    now: datetime,
) -> Counts:
    """Attempts and the PanDA rows' new state, together or not at all: a job is never bound twice."""
    reporter = {"reporter": PILOT} if queue is not None and queue.truepilot else {}
    own = {row: {} if row.reporter == HARVESTER else reporter for row in specs}
    changes: dict[Booked, Change] = {row: Change(PandaState.STARTING, own[row]) for row in specs}
    changes |= {row: Change(PandaState.TOREPORT, columns) for row, columns in refused.items()}
    settled = books.settle(session, changes, now)
    written = settled.written
    ces = frozenset(one.name for one in candidates(queue)) if queue else frozenset()
    jobs = [
        NewJob(
            *(app_of(settings), row.app_job_id, specs[row], ces, attempts),
            share=row.queue,
            vouched_until=None if row.reporter == HARVESTER else vouched(row, settings.app.panda, now),
        )
        for row in written
        if row in specs
    ]
    add_jobs(session, tower, jobs, now)
    return settled.counts(bound=len(jobs), untranslatable=len(written) - len(jobs))
