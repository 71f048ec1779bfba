"""What PanDA is told: heartbeats, final reports until they are accepted; and what it orders: kills."""

import json
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from act_core.atlas import books, kill_orders, panda_check
from act_core.atlas.books import HARVESTER, PILOT, TRANSFERRING, Booked, Change, app_of
from act_core.atlas.final import Ended, final_update, for_the_books
from act_core.atlas.instance import panda, server_of
from act_core.atlas.kill_orders import New, Terms
from act_core.atlas.pauses import pauses
from act_core.atlas.reports import Outcome, Update, UpdateAnswer, as_text
from act_core.db import wishes
from act_core.db.panda_models import PandaRow
from act_core.engine.brake import told
from act_core.errors import ActError
from act_core.logs import log
from act_core.runtime import WRONG, Counts, Runtime
from act_core.settings.app_model import Panda
from act_core.settings.model import Settings
from act_core.states import UNBOUND, PandaState, Request

logger = log(__name__)
BATCH = 1000
HEARTBEAT, FIRST_PAUSE = "heartbeat", timedelta(seconds=10)
_LONGEST = timedelta(minutes=30)


async def due(rt: Runtime) -> Sequence[str]:
    """One key, the server, while some job's time has come and PanDA is not in trouble."""
    if pauses(rt).lasts(HEARTBEAT, rt.now()):
        return []
    first = await rt.read(_first_due, server_of(rt), rt.now())
    return [server_of(rt)] if first is not None else []


def _first_due(session: Session, server: str, now: datetime) -> int | None:
    return session.execute(select(PandaRow.id).where(*_due(server, now)).limit(1)).scalar()


def _due(server: str, now: datetime) -> tuple[ColumnElement[bool], ...]:
    """Jobs of which a Harvester speaks are never reported."""
    return PandaRow.heartbeat_due_at <= now, PandaRow.server == server, PandaRow.reporter != HARVESTER


def due_rows(session: Session, server: str, now: datetime, only: Collection[int] | None = None) -> list[Booked]:
    """What is due, or `only` these rows of it."""
    chosen = () if only is None else (PandaRow.id.in_(only),)
    rows = books.picked(session, *_due(server, now), *chosen, limit=BATCH)
    return books.with_reports(session, rows, {row.id for row in rows if row.state is PandaState.TOREPORT})


def update_for(row: Booked, settings: Panda) -> Update:
    """The report that is due: the final one as it was written, or a heartbeat."""
    if final(row) and row.report:
        return Update.model_validate_json(row.report)
    return Update(
        job_id=row.panda_id,
        job_status=row.wanted,  # type: ignore[arg-type] # the model validates it
        attempt_nr=row.attempt_nr,
        site_name=row.queue,
        node=row.node,
        scheduler_id=settings.schedulerid,
        core_count=row.cores,
        job_metrics=f"coreCount={row.cores}",
        start_time=as_text(row.started_at) if row.wanted != "starting" else None,
    )


def final(row: Booked) -> bool:
    return row.state is PandaState.TOREPORT and row.report is not None


def freeze(session: Session, rows: Sequence[Booked], now: datetime) -> list[Booked]:
    """Final reports that go out for the first time are marked before that: their texts are never others again.

    The rows as they stand then, without those that have changed since they were picked.
    """
    new = {row: Change(None, {"sent_at": now}) for row in rows if final(row) and row.sent_at is None}
    marked = set(books.settle(session, new, now).written)
    stand = [replace(row, version=row.version + 1, sent_at=now) if row in marked else row for row in rows]
    return [one for row, one in zip(rows, stand, strict=True) if row in marked or row not in new]


def spread(beat: timedelta, panda_id: int) -> timedelta:
    """Heartbeats of many jobs do not come at once: each between 80 and 100 % of the interval."""
    return beat * (0.8 + 0.2 * random.Random(panda_id).random())  # noqa: S311 - only to spread


def after_report(row: Booked, answer: UpdateAnswer, now: datetime, beat: timedelta, *, resent: bool = False) -> Change:
    """What PanDA's answer means for a job. `resent`: this final report was sent before, and may have arrived then."""
    if row.state is PandaState.TOREPORT:
        return _after_final(row, answer, now, first=not resent)
    if row.state is PandaState.TOKILL:
        return Change(None, {"heartbeat_due_at": None})
    if answer.kill or answer.already_done:
        why = "PanDA wants it dead" if answer.kill else "PanDA says that it is over"
        if row.state in UNBOUND:
            return Change(PandaState.TOREPORT, {"report": killed(row, now), "heartbeat_due_at": now, "error": why})
        return Change(PandaState.TOKILL, {"heartbeat_due_at": None, "told_at": now, "error": row.error or why})
    if not answer.settled:
        return _again(row, answer, now)
    return _goes_on(row, now, beat)


def _goes_on(row: Booked, now: datetime, beat: timedelta) -> Change:
    """PanDA was told, and hears again after an interval."""
    columns = {"told": row.wanted, "told_at": now, "refused": 0}
    return Change(None, columns | {"heartbeat_due_at": now + spread(beat, row.panda_id)})


def killed(row: Booked, now: datetime) -> str:
    """The final report of a job that was killed before it had an attempt."""
    ended = Ended(row.panda_id, row.attempt_nr, row.queue, "killed", now, cores=row.cores)
    return final_update(ended, None, "").model_dump_json(exclude_none=True, exclude={"scheduler_id"})


def _after_final(row: Booked, answer: UpdateAnswer, now: datetime, *, first: bool) -> Change:
    if answer.settled:
        said = json.loads(row.report) if row.report else {"job_status": row.told}
        by_pilot = answer.already_done and row.reporter == PILOT and row.told == TRANSFERRING
        if by_pilot:
            said = {"job_status": "finished"}  # only after a good report of the pilot PanDA transfers
        columns = for_the_books(said, first and not by_pilot and (answer.kill or answer.already_done))
        columns |= {"told": said["job_status"], "told_at": now, "heartbeat_due_at": None, "refused": 0}
        columns |= {"error": None} if by_pilot else {}
        return Change(PandaState.CLOSED, columns)
    return _again(row, answer, now)


def _again(row: Booked, answer: UpdateAnswer, now: datetime) -> Change:
    """No usable answer, or a refusal that a person has to look at: never given up, ever more rarely sent."""
    pause = min(timedelta(seconds=10) * int(2 ** min(row.refused, 10)), _LONGEST)
    return Change(None, {"refused": row.refused + 1, "heartbeat_due_at": now + pause, "error": answer.message or None})


async def heartbeat(rt: Runtime, server: str, only: Collection[int] | None = None) -> Counts:
    """One round of reports, in parallel shards; `only`: of these rows."""
    now = rt.now()
    found = await rt.read(due_rows, server, now, only)
    # of two attempts of one PanDA job the older one is told first: answers are matched by PandaID
    rows = list({row.panda_id: row for row in reversed(found)}.values())
    resent = {row.panda_id for row in rows if row.sent_at is not None}
    if any(final(row) and row.sent_at is None for row in rows):
        rows = await rt.write(freeze, rows, now)
    if not rows:
        return Counts()
    settings = rt.settings.app.panda
    updates = {row.panda_id: update_for(row, settings) for row in rows}
    try:
        answers = await panda(rt).update_jobs_bulk(list(updates.values()))
    except ActError as err:
        pauses(rt).begin(HEARTBEAT, FIRST_PAUSE, rt.now())
        await panda_check.refused(rt, err)
        raise
    pauses(rt).end(HEARTBEAT)
    now = rt.now()
    changes = {
        row: after_report(row, answers[row.panda_id], now, settings.heartbeattime, resent=row.panda_id in resent)
        for row in rows
        if row.panda_id in answers
    }
    meant = await kill_orders.borne_out(panda(rt), changes)
    counts, new = await rt.write(_settle, changes, meant, rt.settings, now)
    for brake, weighed in new:
        told(brake, weighed)
    return counts + escalated(answers)


def escalated(answers: Mapping[int, UpdateAnswer]) -> Counts:
    """Reports that PanDA did not take as they were, which is our bug: a red line for each kind, and a red run."""
    kinds: dict[str, list[int]] = {}
    for job, answer in sorted(answers.items()):
        if answer.left_out:
            kinds.setdefault(f"are told without {', '.join(answer.left_out)}", []).append(job)
        if answer.outcome is Outcome.REFUSED:
            kinds.setdefault(f"are refused ({answer.message})", []).append(job)
    for words, jobs in kinds.items():
        logger.error("a bug of ours: reports of %d PanDA jobs %s; the first is %d", len(jobs), words, jobs[0])
    wrong = {job for jobs in kinds.values() for job in jobs}
    return Counts({WRONG: len(wrong)} if wrong else {})


def _took(answer: Change, change: Change) -> bool:
    """Whether PanDA took a report of a job that goes on; an order that is held says nothing of that kind."""
    return change is answer and change.to is None and "told" in change.columns


def _settle(
    session: Session, answered: Mapping[Booked, Change], meant: Collection[Booked], held: Settings, now: datetime
) -> tuple[Counts, New]:
    """Write, and in the same transaction tell the engine of kills and of rows that nobody needs any more.

    Kill orders in mass are not obeyed, but for those that are `meant`. Returns the counts, and the brakes that have
    gone on.
    """
    app, beat = app_of(held), held.app.panda.heartbeattime
    terms = Terms(held.arc.brake, 2 * beat)
    weighing = kill_orders.weighed(session, answered, meant, lambda row: _goes_on(row, now, beat), terms, now)
    changes = weighing.changes
    settled = books.settle(session, changes, now)
    written = settled.written
    killed = [row.app_job_id for row in written if changes[row].to is PandaState.TOKILL]
    closed = [row.app_job_id for row in written if changes[row].to is PandaState.CLOSED]
    wanted = [row.app_job_id for row in written if _took(answered[row], changes[row])]
    later = sum(changes[row].columns.get("refused", 0) > 0 for row in written)
    if killed:
        wishes.wish(session, app, killed, Request.CANCEL, now)
    if wanted:
        wishes.vouch(session, app, wanted, now + held.app.panda.livetime)
    if closed:
        wishes.release(session, app, closed, now)
    counts = settled.counts(
        told=len(written) - later,
        final=len(closed),
        kill_orders=len(killed),
        to_tell_again=later,
        braked=weighing.held,
    )
    return counts, weighing.new
