"""Jobs that do not run yet in a queue that CRIC, or an operator, calls offline are called back, and fail in PanDA.

Source: act.md 13. What never left the tower goes at once. Jobs at a CE pass the brake: each of the two is one witness.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, or_, select
from sqlalchemy.orm import Session

from act_core.atlas import books, kill_orders
from act_core.atlas.books import Booked, Change, app_of
from act_core.atlas.instance import server_of
from act_core.atlas.kill_orders import New, Terms
from act_core.atlas.serving import CALLED_BACK
from act_core.db import operator_modes, wishes
from act_core.db.bulk import chunks
from act_core.db.models import CeJob
from act_core.db.panda_models import PandaQueue, PandaRow
from act_core.engine.brake import told
from act_core.runtime import Counts, Runtime
from act_core.states import CeState, PandaState, Request

SOURCE, BY_HAND = "cric:CRIC", "operator:an operator"  # of a brake
QUIET = timedelta(minutes=30)  # the brake ends when CRIC has not said so for so long
BATCH = 5000
WHY = "its queue is offline"
_AT_CE = (CeState.SUBMITTING, CeState.SUBMITTED, CeState.HOLDING)
_WAITING = tuple(state.value for state in (CeState.TOSUBMIT, *_AT_CE))
_WEAKER = (Request.FETCH.value, Request.RERUN.value, Request.RESUBMIT.value)


async def obey(rt: Runtime, server: str) -> Counts:
    """Call back what does not run yet of the queues that an operator took offline."""
    names = await rt.read(operator_modes.offline, server, rt.now())
    return await _called_back(rt, await rt.read(_bound, server, names), BY_HAND)


async def call_back(rt: Runtime) -> Counts:
    """One round over all queues that CRIC calls offline."""
    return await _called_back(rt, await rt.read(_offline, server_of(rt)), SOURCE)


async def _called_back(rt: Runtime, rows: list[Booked], source: str) -> Counts:
    if not rows:
        return Counts()
    whose = app_of(rt.settings), server_of(rt)
    counts, new = await rt.write(_cancel, whose, rows, source, Terms(rt.settings.arc.brake, QUIET), rt.now())
    for brake, weighed in new:
        told(brake, weighed)
    return counts


def _offline(session: Session, server: str) -> list[Booked]:
    return _bound(session, server, select(PandaQueue.name).where(*_said_so(server)))


def _said_so(server: str) -> tuple[ColumnElement[bool], ...]:
    return PandaQueue.server == server, PandaQueue.status.in_(CALLED_BACK)


def _bound(session: Session, server: str, queues: Collection[str] | Select[tuple[str]]) -> list[Booked]:
    where = (PandaRow.state == PandaState.STARTING.value, PandaRow.queue.in_(queues), PandaRow.server == server)
    return books.picked(session, *where, limit=BATCH)


def _cancel(
    session: Session, whose: tuple[str, str], rows: list[Booked], source: str, terms: Terms, now: datetime
) -> tuple[Counts, New]:
    """The attempts that do not run yet, with the reason in their PanDA jobs' rows."""
    books.lock(session, rows)
    app, server = whose
    attempts = _attempts(session, app, rows)
    orders: dict[str, list[Booked]] = {}
    for row, (_, state) in attempts.items():
        if state is not CeState.TOSUBMIT:
            orders.setdefault(row.queue, []).append(row)
    new: New = []
    held = set(kill_orders.held(session, source, server, orders, terms, new, now)) if orders else set()
    gone = [row for row in attempts if row not in held]
    settled = books.settle(session, {row: Change(None, {"error": WHY}) for row in gone}, now)
    wishes.wish_of(session, [attempts[row][0] for row in settled.written], Request.CANCEL, now)
    return settled.counts(called_back=len(settled.written), braked=len(held)), new


def _attempts(session: Session, app: str, rows: list[Booked]) -> Mapping[Booked, tuple[int, CeState]]:
    """Row → (attempt, state) of those that wait, at a CE or for one, and that nobody has cancelled."""
    names = {row.app_job_id: row for row in rows}
    found: dict[Booked, tuple[int, CeState]] = {}
    for chunk in chunks(sorted(names)):
        open_ones = select(CeJob.id, CeJob.app_job_id, CeJob.state).where(
            CeJob.app == app,
            CeJob.app_job_id.in_(chunk),
            CeJob.superseded_by.is_(None),
            CeJob.state.in_(_WAITING),
            or_(CeJob.request.is_(None), CeJob.request.in_(_WEAKER)),
        )
        for row in session.execute(open_ones.order_by(CeJob.id).with_for_update()):
            found[names[row.app_job_id]] = (row.id, CeState(row.state))
    return found
