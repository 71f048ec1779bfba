"""A true pilot reports itself: what the tower does when the CE job is over and PanDA may not have heard the end."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from act_core.atlas import books
from act_core.atlas.books import TRANSFERRING, Booked, Change, app_of
from act_core.atlas.instance import panda, server_of
from act_core.atlas.reports import JobStatus
from act_core.db import wishes
from act_core.db.panda_models import PandaRow
from act_core.runtime import Counts, Runtime
from act_core.states import PandaState

BATCH = 1000
AGAIN = timedelta(minutes=5)  # PanDA did not say how a job is
# Only a pilot's word ends these.
STILL_WAITS = frozenset({"activated", "sent", "starting", "running", TRANSFERRING})
ENDS_SOON = frozenset({"holding", "merging"})  # PanDA has had that word, or ends it by itself: it will say how


async def due(rt: Runtime) -> Sequence[str]:
    found = await rt.read(_first, server_of(rt), rt.now())
    return [server_of(rt)] if found is not None else []


def _due(server: str, now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        PandaRow.state == PandaState.AWAITING.value,
        PandaRow.check_due_at <= now,
        PandaRow.server == server,
    )


def _first(session: Session, server: str, now: datetime) -> int | None:
    return session.execute(select(PandaRow.id).where(*_due(server, now)).limit(1)).scalar()


def _rows(session: Session, server: str, now: datetime) -> list[Booked]:
    return books.picked(session, *_due(server, now), limit=BATCH)


def after_asking(row: Booked, said: JobStatus | None, now: datetime) -> Change:
    """What PanDA's books say of a job whose CE job is over: only one that it still waits for is reported, as failed.

    `transferring` may be the pilot's last word, after which PanDA waits for ever, or follow its final report: then
    PanDA refuses ours as `alreadydone` (panda.md 3.4).
    """
    if said is None or (said.status in ENDS_SOON and said.attempt_nr == row.attempt_nr):
        return Change(None, {"check_due_at": now + AGAIN})
    if said.status in STILL_WAITS and said.attempt_nr == row.attempt_nr:
        known = {"told": TRANSFERRING} if said.status == TRANSFERRING else {}
        return Change(PandaState.TOREPORT, {"heartbeat_due_at": now, "check_due_at": None} | known)
    columns = {"told": said.status[:16], "told_at": now, "check_due_at": None}
    return Change(PandaState.CLOSED, columns | ({"error": None} if said.status == "finished" else {}))


async def ask(rt: Runtime, server: str) -> Counts:
    """One round: PanDA is asked about all whose time has come."""
    rows = await rt.read(_rows, server, rt.now())
    if not rows:
        return Counts()
    said = await panda(rt).get_job_status({row.panda_id for row in rows})
    now = rt.now()
    changes = {row: after_asking(row, said.get(row.panda_id), now) for row in rows}
    return await rt.write(_write, app_of(rt.settings), changes, now)


def _write(session: Session, app: str, changes: Mapping[Booked, Change], now: datetime) -> Counts:
    settled = books.settle(session, changes, now)
    closed = [row.app_job_id for row in settled.written if changes[row].to is PandaState.CLOSED]
    if closed:
        wishes.release(session, app, closed, now)
    silent = sum(changes[row].to is PandaState.TOREPORT for row in settled.written)
    return settled.counts(ended_by_pilots=len(closed), pilots_silent=silent)
