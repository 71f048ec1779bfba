"""Jobs without an attempt that may have had one: what PanDA says of them decides, and a job in doubt is not sent.

A job is described within seconds after it was taken, so that one that has waited for long was left by a stop, or comes
out of an older copy of the database. That copy does not know whether the job was sent meanwhile: PanDA may.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement
from sqlalchemy.orm import Session

from act_core.atlas import books, joblog
from act_core.atlas.books import HARVESTER, Booked, Change, app_of
from act_core.atlas.final import gave_up
from act_core.atlas.instance import panda, server_of
from act_core.atlas.logplaces import log_url
from act_core.atlas.pauses import pauses
from act_core.atlas.reports import JobStatus
from act_core.db import orphans, wishes
from act_core.db.orphans import LISTS_READ
from act_core.db.panda_models import PandaRow
from act_core.errors import ActError
from act_core.logs import log
from act_core.runtime import Counts, Runtime
from act_core.settings.app_model import AppSettings, Panda
from act_core.states import PandaState, Request

logger = log(__name__)
BATCH = 1000
KIND = "jobs in doubt"
AGAIN = timedelta(minutes=5)  # between two questions
SOON = timedelta(minutes=1)  # PanDA did not answer
STRANGE = "the database was restored, and jobs of the tower that no row stands for are on the CEs: this may be one"


WAITS = frozenset({"activated", "sent", "starting"})  # panda.md 3.4: nobody has told that it runs
AT_WORK = frozenset({"running", "transferring", "holding", "merging"})
OVER = frozenset({"finished", "failed", "cancelled", "closed"})


def aged(row: Booked, settings: Panda, now: datetime) -> bool:
    """Whether the job has waited so long that PanDA is asked first."""
    return row.created is None or now - row.created >= settings.asktime


def told_since(row: Booked, when: datetime) -> bool:
    return row.told_at is not None and row.told_at >= when


def _over(row: Booked, said: JobStatus, now: datetime) -> Change | None:
    """A later attempt in PanDA's books, or a final state: it waits for nothing of this one."""
    columns: dict[str, Any] = {"check_due_at": None, "heartbeat_due_at": None}
    if said.attempt_nr > row.attempt_nr:
        return Change(PandaState.CLOSED, columns | {"error": f"PanDA has attempt {said.attempt_nr} of it by now"})
    if said.attempt_nr == row.attempt_nr and said.status in OVER:
        return Change(PandaState.CLOSED, columns | {"told": said.status, "told_at": now})
    return None


def _waits(row: Booked, said: JobStatus) -> bool:
    return said.attempt_nr == row.attempt_nr and said.status in WAITS


def _kept(said: JobStatus, now: datetime) -> dict[str, Any]:
    """It is shown, and not spoken for: if nobody else does, PanDA ends it by itself (panda.md 3.4)."""
    why = f"PanDA says that it is {said.status}, and the tower knows of no attempt: it is not sent again"
    return {"heartbeat_due_at": None, "check_due_at": now + AGAIN, "error": why}


def before_binding(row: Booked, said: JobStatus | None, now: datetime) -> Change | None:
    """What PanDA's word means for a job that was taken a while ago. None: an attempt may be made."""
    if said is None:
        return Change(None, {"check_due_at": now + SOON})
    if over := _over(row, said, now):
        return over
    if not said.known or said.attempt_nr < row.attempt_nr:  # PanDA's answers to the heartbeats decide
        return Change(None, {"check_due_at": now + AGAIN})
    return None if _waits(row, said) else Change(PandaState.FORGOTTEN, _kept(said, now))


def after_asking(row: Booked, said: JobStatus | None, strange: bool, app: AppSettings, now: datetime) -> Change:
    """What PanDA's word means for a job in doubt; `strange`: jobs of ours with unknown keys are on the CEs."""
    assert row.state_since is not None
    if said is None:
        return Change(None, {"check_due_at": now + AGAIN})
    if over := _over(row, said, now):
        return over
    if not said.known:
        return Change(None, {"check_due_at": now + AGAIN, "heartbeat_due_at": now})
    if _waits(row, said) and (said.status != "starting" or told_since(row, row.state_since)):
        return _not_told(row, row.state_since, strange, app, now)
    if now - row.state_since < app.panda.forgottentime:
        return Change(None, _kept(said, now))
    why = f"PanDA says that it is {said.status}, and the tower has known of no attempt for {app.panda.forgottentime}"
    return _failed(row, why, app, now)


def _not_told(row: Booked, since: datetime, strange: bool, app: AppSettings, now: datetime) -> Change:
    """PanDA has heard of no attempt. It hears of the job now, and an attempt is made when the CEs' lists are read."""
    lists = since + LISTS_READ
    if now < lists:
        columns: dict[str, Any] = {"check_due_at": lists}
        return Change(None, columns if told_since(row, since) else columns | {"heartbeat_due_at": now})
    if strange:
        return _failed(row, STRANGE, app, now)
    return Change(PandaState.SENT, {"check_due_at": None, "error": None})


def _failed(row: Booked, why: str, app: AppSettings, now: datetime) -> Change:
    url = log_url(app.joblog, row.created or now, row.queue, row.panda_id, row.label)
    return Change(PandaState.TOREPORT, gave_up(row, why, app.panda.schedulerid, now, url))


async def asked_first(rt: Runtime, rows: Sequence[Booked]) -> dict[Booked, Change]:
    """Of jobs that are to be bound, those that may not be, and what becomes of them. Asks only if some have waited."""
    old = [row for row in rows if aged(row, rt.settings.app.panda, rt.now())]
    if not old:
        return {}
    said: Mapping[int, JobStatus] = {}
    try:
        said = await panda(rt).get_job_status({row.panda_id for row in old})
    except ActError as err:
        logger.warning("PanDA does not say how %d jobs are that have waited: they wait on: %s", len(old), err)
    now = rt.now()
    found = {row: before_binding(row, said.get(row.panda_id), now) for row in old}
    return {row: change for row, change in found.items() if change}


async def handed_in_doubt(rt: Runtime, rows: Sequence[Booked]) -> dict[Booked, Change]:
    """The same of a Harvester's jobs, of which PanDA is not asked: what may be on a CE already goes back."""
    old = [row for row in rows if row.reporter == HARVESTER and aged(row, rt.settings.app.panda, rt.now())]
    if not old or not await rt.read(orphans.strange):
        return {}
    return {row: _failed(row, STRANGE, rt.settings.app, rt.now()) for row in old}


async def _said(rt: Runtime, rows: Sequence[Booked]) -> Mapping[int, JobStatus]:
    """PanDA's word; where it gives none it is asked ever more rarely."""
    try:
        said = await panda(rt).get_job_status({row.panda_id for row in rows})
    except ActError:
        pauses(rt).begin(KIND, SOON, rt.now())
        raise
    pauses(rt).end(KIND)
    return said


async def due(rt: Runtime) -> Sequence[str]:
    """One key, the server, while some job in doubt is to be asked about."""
    if pauses(rt).lasts(KIND, rt.now()):
        return []
    return [server_of(rt)] if await rt.read(_rows, server_of(rt), rt.now(), 1) else []


def _rows(session: Session, server: str, now: datetime, limit: int) -> list[Booked]:
    in_doubt = (PandaRow.state == PandaState.FORGOTTEN.value, PandaRow.check_due_at <= now)
    return books.picked(session, *in_doubt, PandaRow.server == server, limit=limit)


async def ask(rt: Runtime, server: str) -> Counts:
    """One round: PanDA is asked about all whose time has come."""
    rows = await rt.read(_rows, server, rt.now(), BATCH)
    if not rows:
        return Counts()
    said = await _said(rt, rows)
    strange, now = await rt.read(orphans.strange), rt.now()
    app = rt.settings.app
    changes = {row: after_asking(row, said.get(row.panda_id), strange, app, now) for row in rows}
    counts = await rt.write(_write, app_of(rt.settings), changes, now)
    await joblog.tell(rt, [over for row, change in changes.items() if (over := joblog.ended(row, change))])
    return counts


def _write(session: Session, app: str, changes: Mapping[Booked, Change], now: datetime) -> Counts:
    settled = books.settle(session, changes, now)
    if closed := [row.app_job_id for row in settled.written if changes[row].to is PandaState.CLOSED]:
        wishes.release(session, app, closed, now)
    moved = Counter(to.value for row in settled.written if (to := changes[row].to))
    return settled.counts(**{f"forgotten_{state}": n for state, n in moved.items()}, asked_about=len(settled.written))


async def due_behind(rt: Runtime) -> Sequence[str]:
    """One key, the server, while attempts of a restored database wait whose jobs are to be asked about."""
    if pauses(rt).lasts(KIND, rt.now()):
        return []
    return [server_of(rt)] if await rt.read(_behind, server_of(rt), rt.now(), 1) else []


def _behind(session: Session, server: str, now: datetime, limit: int) -> list[Booked]:
    bound = (PandaRow.state == PandaState.STARTING.value, PandaRow.check_due_at <= now)
    return books.picked(session, *bound, PandaRow.server == server, limit=limit)


def is_ahead(row: Booked, said: JobStatus | None) -> bool:
    """Whether PanDA has heard more of this attempt than that it was sent."""
    return said is not None and said.attempt_nr == row.attempt_nr and said.status in AT_WORK


async def ask_behind(rt: Runtime, server: str) -> Counts:
    """Once after a restore, when the lists were read: what still waits, and is at work for PanDA, has a successor."""
    rows = await rt.read(_behind, server, rt.now(), BATCH)
    if not rows:
        return Counts()
    said = await _said(rt, rows)
    now = rt.now()
    changes: dict[Booked, Change] = {}
    for row in rows:
        status = said.get(row.panda_id)
        changes[row] = Change(None, {"check_due_at": None if status else now + SOON})
        if status and is_ahead(row, status):
            changes[row] = Change(PandaState.FORGOTTEN, _kept(status, now))
    return await rt.write(_not_sent, app_of(rt.settings), changes, now)


def _not_sent(session: Session, app: str, changes: Mapping[Booked, Change], now: datetime) -> Counts:
    """Attempts that wait, and whose jobs are ahead of them, are withdrawn; one that a list has brought back goes on."""
    books.lock(session, changes)
    ahead = {row.app_job_id: row for row, change in changes.items() if change.to}
    waiting = wishes.waiting(session, app, ahead)
    wishes.wish_of(session, list(waiting.values()), Request.CANCEL, now)
    settled_by_list = Change(None, {"check_due_at": None})
    decided = {
        row: change if not change.to or row.app_job_id in waiting else settled_by_list
        for row, change in changes.items()
    }
    settled = books.settle(session, decided, now)
    return settled.counts(forgotten=len(waiting), asked_about=len(settled.written))


def restored(session: Session, now: datetime) -> int:
    """The database is an older copy: jobs of all servers that had no attempt then may have one. Returns how many.

    What had one that waited is asked about before it is sent, when the CEs' lists have been read.
    """
    doubt = Change(PandaState.FORGOTTEN, {"heartbeat_due_at": None, "check_due_at": now})
    behind = Change(None, {"check_due_at": now + LISTS_READ - AGAIN})
    lists_first = Change(None, {"check_due_at": now + LISTS_READ})
    ours = PandaRow.reporter != HARVESTER  # PanDA is not asked about a Harvester's jobs
    _change_all(session, PandaState.STARTING, behind, now, ours)
    _change_all(session, PandaState.SENT, lists_first, now, PandaRow.reporter == HARVESTER)
    return _change_all(session, PandaState.SENT, doubt, now, ours)


def _change_all(session: Session, state: PandaState, change: Change, now: datetime, whose: ColumnElement[bool]) -> int:
    n, last = 0, 0
    while rows := books.picked(session, PandaRow.state == state.value, whose, PandaRow.id > last, limit=BATCH):
        n, last = n + len(books.settle(session, dict.fromkeys(rows, change), now).written), rows[-1].id
    return n
