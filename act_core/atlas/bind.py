"""From a PanDA job to an attempt: the one bridge into the engine."""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from act_core.atlas import books, handed, joblog, queues
from act_core.atlas.books import HARVESTER, PILOT, Booked, Change, app_of
from act_core.atlas.cric import Queue
from act_core.atlas.final import gave_up
from act_core.atlas.forgotten import asked_first, handed_in_doubt
from act_core.atlas.instance import queue_of, server_of
from act_core.atlas.logplaces import log_url
from act_core.atlas.modes import candidates
from act_core.atlas.pauses import pauses
from act_core.atlas.rebuild import memo_of
from act_core.atlas.sealing import secrets_of
from act_core.atlas.serving import CALLED_BACK
from act_core.atlas.translate import TranslateSettings, Worker, pilot_text, translate
from act_core.atlas.wire import PandaJob
from act_core.credentials.vault import Vault
from act_core.db import operator_modes, wishes
from act_core.db.arrivals import NewJob, add_jobs, known
from act_core.db.modes import Mode
from act_core.db.panda_models import PandaRow
from act_core.engine.sealed import vault
from act_core.errors import BadInput, CredentialError
from act_core.ids import TowerId
from act_core.jobspec import JobSpec
from act_core.logs import log
from act_core.runtime import Counts, Runtime
from act_core.settings.app_model import Panda, Validation
from act_core.settings.model import Settings
from act_core.states import PandaState, Request

logger = log(__name__)
BATCH = 500
TWICE = "an attempt of it is in the tower's tables, and none should be"
KEY, KEY_PAUSE = "key", timedelta(seconds=30)  # jobs with secrets and no key to open them


async def due(rt: Runtime) -> Sequence[str]:
    """PanDA queues with jobs that no attempt stands for."""
    return await rt.read(_queues_with_sent, server_of(rt), rt.now(), _locked(rt))


def _locked(rt: Runtime) -> bool:
    """Whether jobs with secrets wait for their key."""
    return pauses(rt).lasts(KEY, rt.now())


def _to_bind(server: str, now: datetime, locked: bool) -> tuple[ColumnElement[bool], ...]:
    may = or_(PandaRow.check_due_at.is_(None), PandaRow.check_due_at <= now)
    sent = (PandaRow.state == PandaState.SENT.value, PandaRow.server == server, may)
    return (*sent, PandaRow.secrets.is_(None)) if locked else sent


def _queues_with_sent(session: Session, server: str, now: datetime, locked: bool) -> list[str]:
    question = select(PandaRow.queue).where(*_to_bind(server, now, locked))
    return list(session.scalars(question.distinct().order_by(PandaRow.queue)))


def _sent(session: Session, server: str, queue: str, now: datetime, locked: bool) -> list[Booked]:
    wanted = (*_to_bind(server, now, locked), PandaRow.queue == queue)
    return books.picked(session, *wanted, limit=BATCH, texts=("job", "secrets"))


async def bind(rt: Runtime, name: str) -> Counts:
    """Describe a queue's new jobs. One that cannot be described fails in PanDA and blocks nobody."""
    rows, queue = await rt.read(_sent, server_of(rt), name, rt.now(), _locked(rt)), await _as_operated(rt, name)
    if queue is None and not await rt.read(queues.any_known, server_of(rt)):
        return Counts()  # they wait until CRIC, or its last good copy, has been read
    unserved = await rt.read(queues.unserved, server_of(rt), name)
    others = await asked_first(rt, [row for row in rows if row.reporter != HARVESTER])
    others |= await handed_in_doubt(rt, rows)
    now = rt.now()
    settings = TranslateSettings.of(rt.settings.app)
    workers = await rt.read(handed.workers, rows)
    specs: dict[Booked, Described] = {}
    locked: CredentialError | None = None
    for row in [row for row in rows if row not in others]:
        try:
            why = None if row.reporter == HARVESTER else unserved  # a Harvester's jobs come from elsewhere
            specs[row] = described(row, queue, why, settings, vault(rt), now, workers.get(row.id))
        except CredentialError as err:
            locked = err
        except BadInput as err:
            others[row] = _gave_up(row, str(err), settings, now)
        except (ArithmeticError, ValueError) as err:
            logger.exception("a bug of ours: PanDA job %d cannot be described", row.panda_id)
            others[row] = _gave_up(row, f"the tower cannot describe it: {err}", settings, now)
    attempts = attempts_of(queue, rt.settings.arc.jobs.attempts)
    counts = await rt.write(_write, rt.tower, queue, specs, others, attempts, rt.settings, now)
    await joblog.tell(rt, [over for row, change in others.items() if (over := joblog.ended(row, change))])
    if locked is not None:
        pauses(rt).begin(KEY, KEY_PAUSE, rt.now())
        raise locked
    if any(row.secrets for row in specs):
        pauses(rt).end(KEY)
    return counts


async def _as_operated(rt: Runtime, name: str) -> Queue | None:
    """The queue; one that an operator took offline is so, whatever CRIC says."""
    queue = await queue_of(rt, name)
    if queue is None or name not in await rt.read(operator_modes.offline, server_of(rt), rt.now()):
        return queue
    return queue.model_copy(update={"status": Mode.OFFLINE.value})


def _gave_up(row: Booked, why: str, settings: TranslateSettings, now: datetime) -> Change:
    """It never goes to a CE: PanDA is told, and where to read the story."""
    url = log_url(settings.joblog, row.created or now, row.queue, row.panda_id, row.label)
    return Change(PandaState.TOREPORT, gave_up(row, why, settings.schedulerid, now, url))


def attempts_of(queue: Queue | None, configured: int) -> int:
    """Resubmissions by the engine's error rules. None where the pilot decides itself: PanDA sends such a job anew."""
    return 0 if queue is not None and queue.truepilot else configured


def fence_for(queue: Queue | None, rules: Validation) -> timedelta | None:
    """How long a next attempt waits until what a dead one left is deleted: native jobs' CEs write to storage."""
    return None if rules.delete == "off" or queue is None or queue.truepilot else rules.fence


def vouched(row: Booked, settings: Panda, now: datetime) -> datetime:
    """Until when PanDA cannot have given the job up: its watchers count from the last report that it took.

    Source: panda.md 3.4 (30 minutes in `sent`, 2 hours once it was told `starting`).
    """
    if row.told_at is None:
        return (row.created or now) + settings.senttime
    return row.told_at + settings.livetime


@dataclass(frozen=True, slots=True)
class Described:
    """A job in nobody's dialect. `sealed`: the texts of its sealed inputs, encrypted."""

    spec: JobSpec
    sealed: bytes | None = None


def described(
    row: Booked,
    queue: Queue | None,
    unserved: str | None,
    settings: TranslateSettings,
    key: Vault,
    now: datetime,
    worker: Worker | None = None,
) -> Described:
    """What its CE is asked for. Raises BadInput with the reason, and CredentialError: its secrets wait for their key.

    The job's logs are of the day on which it was taken from PanDA, in whatever attempt.
    """
    if queue is None or not queue.endpoints:
        raise BadInput(f"queue {row.queue} has no CE")
    if queue.status in CALLED_BACK:
        raise BadInput(f"queue {row.queue} is {queue.status}")
    job = PandaJob.parse(json.loads(row.job)).model_copy(update={"secrets": secrets_of(key, row)})
    spec = translate(job, queue, settings, row.created or now, worker)
    if unserved:  # its CEs may get no new jobs any more
        raise BadInput(f"queue {row.queue} is not served by this tower any more: {unserved}")
    memo = memo_of(row, reporter_of(row, queue))
    return Described(spec.model_copy(update={"memo": memo}), key.seal(pilot_text(job)) if spec.sealed else None)


def _write(
    session: Session,
    tower: TowerId,
    queue: Queue | None,
    specs: Mapping[Booked, Described],
    others: Mapping[Booked, Change],
    attempts: int,
    settings: Settings,
    now: datetime,
) -> Counts:
    """Attempts and the PanDA rows' new state, together or not at all: a job is never bound twice."""
    app = app_of(settings)
    twice = _twice(session, specs, settings, now)
    changes = {**{row: _starting(row, queue) for row in specs}, **others, **twice}
    settled = books.settle(session, changes, now)
    written = settled.written
    fence = fence_for(queue, settings.app.validation)
    ces = frozenset(one.name for one in candidates(queue)) if queue else frozenset()
    jobs = [
        NewJob(
            *(app, row.app_job_id, specs[row].spec, ces, attempts),
            sealed=specs[row].sealed,
            share=row.queue,
            vouched_until=None if row.reporter == HARVESTER else vouched(row, settings.app.panda, now),
            fence=fence,
        )
        for row in written
        if row in specs and row not in twice
    ]
    add_jobs(session, tower, jobs, now)
    wishes.wish(session, app, [row.app_job_id for row in written if row in twice], Request.CANCEL, now)
    became = Counter(changes[row].to for row in written)
    return settled.counts(
        bound=len(jobs),
        untranslatable=became[PandaState.TOREPORT],
        over_in_panda=became[PandaState.CLOSED],
        forgotten=became[PandaState.FORGOTTEN],
        wait=became[None],
    )


def _twice(session: Session, rows: Collection[Booked], settings: Settings, now: datetime) -> dict[Booked, Change]:
    """Jobs that have an attempt though none should be there: nobody knows what became of it, and none is added."""
    present = known(session, app_of(settings), [row.app_job_id for row in rows])
    words = TranslateSettings.of(settings.app)
    return {row: _gave_up(row, TWICE, words, now) for row in rows if row.app_job_id in present}


def _starting(row: Booked, queue: Queue | None) -> Change:
    """An attempt is made of it: who reports, where that is not whoever handed it out."""
    return Change(PandaState.STARTING, {"check_due_at": None, "reporter": reporter_of(row, queue)})


def reporter_of(row: Booked, queue: Queue | None) -> str:
    """Who tells PanDA of the job once it runs."""
    by_pilot = queue is not None and queue.truepilot and row.reporter != HARVESTER
    return PILOT if by_pilot else row.reporter
