"""From a PanDA job to an attempt: the one bridge into the engine."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from act_core.atlas import books, queues
from act_core.atlas.books import PILOT, Booked, Change, app_of
from act_core.atlas.cric import Queue
from act_core.atlas.final import gave_up
from act_core.atlas.forgotten import asked_first
from act_core.atlas.instance import queue_of, server_of
from act_core.atlas.modes import candidates
from act_core.atlas.translate import TranslateSettings, translate
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
    return await rt.read(_queues_with_sent, server_of(rt), rt.now())


def _waits(server: str, now: datetime) -> tuple[ColumnElement[bool], ...]:
    may = or_(PandaRow.check_due_at.is_(None), PandaRow.check_due_at <= now)
    return PandaRow.state == PandaState.SENT.value, PandaRow.server == server, may


def _queues_with_sent(session: Session, server: str, now: datetime) -> list[str]:
    question = select(PandaRow.queue).where(*_waits(server, now))
    return list(session.scalars(question.distinct().order_by(PandaRow.queue)))


def _sent(session: Session, server: str, queue: str, now: datetime) -> list[Booked]:
    return books.picked(session, *_waits(server, now), PandaRow.queue == queue, limit=BATCH, texts=("job",))


async def bind(rt: Runtime, name: str) -> Counts:
    """Describe a queue's new jobs. One that cannot be described fails in PanDA and blocks nobody."""
    rows, queue = await rt.read(_sent, server_of(rt), name, rt.now()), await queue_of(rt, name)
    unserved = await rt.read(queues.unserved, server_of(rt), name)
    others = await asked_first(rt, rows)
    now = rt.now()  # one time for the description and the row: the log's address names its day
    settings = TranslateSettings.of(rt.settings.app)
    specs: dict[Booked, JobSpec] = {}
    for row in [row for row in rows if row not in others]:
        try:
            specs[row] = described(row, queue, unserved, settings, now)
        except BadInput as err:
            others[row] = Change(PandaState.TOREPORT, gave_up(row, str(err), settings.schedulerid, now))
        except (ArithmeticError, ValueError) as err:
            logger.exception("a bug of ours: PanDA job %d cannot be described", row.panda_id)
            why = f"the tower cannot describe it: {err}"
            others[row] = Change(PandaState.TOREPORT, gave_up(row, why, settings.schedulerid, now))
    attempts = attempts_of(queue, rt.settings.arc.jobs.attempts)
    return await rt.write(_write, rt.tower, queue, specs, others, attempts, rt.settings, now)


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
    row: Booked, queue: Queue | None, unserved: str | None, settings: TranslateSettings, now: datetime
) -> JobSpec:
    """The job in nobody's dialect. Raises BadInput with the reason."""
    if queue is None or not queue.endpoints:
        raise BadInput(f"queue {row.queue} has no CE")
    if queue.status == "offline":
        raise BadInput(f"queue {row.queue} is offline")
    spec = translate(PandaJob.parse(json.loads(row.job)), queue, settings, now)
    if unserved:  # its CEs may get no new jobs any more
        raise BadInput(f"queue {row.queue} is not served by this tower any more: {unserved}")
    return spec


def _write(
    session: Session,
    tower: TowerId,
    queue: Queue | None,
    specs: Mapping[Booked, JobSpec],
    others: Mapping[Booked, Change],
    attempts: int,
    settings: Settings,
    now: datetime,
) -> Counts:
    """Attempts and the PanDA rows' new state, together or not at all: a job is never bound twice."""
    reporter = {"reporter": PILOT} if queue is not None and queue.truepilot else {}
    starting = Change(PandaState.STARTING, {"check_due_at": None} | reporter)
    changes = {**dict.fromkeys(specs, starting), **others}
    settled = books.settle(session, changes, now)
    written = settled.written
    ces = frozenset(one.name for one in candidates(queue)) if queue else frozenset()
    jobs = [
        NewJob(
            *(app_of(settings), row.app_job_id, specs[row], ces, attempts),
            share=row.queue,
            vouched_until=vouched(row, settings.app.panda, now),
        )
        for row in written
        if row in specs
    ]
    add_jobs(session, tower, jobs, now)
    became = Counter(changes[row].to for row in written)
    return settled.counts(
        bound=len(jobs),
        untranslatable=became[PandaState.TOREPORT],
        over_in_panda=became[PandaState.CLOSED],
        forgotten=became[PandaState.FORGOTTEN],
        wait=became[None],
    )
