"""The table of calls for jobs: each is written down before it is made, and goes when its jobs are booked.

What PanDA has reserved and nobody has cannot be listed by a client (panda.md 6): it stays `sent` for half an hour, and
is given up then. Until then it counts against its queue's room, so that a lossy line does not take ever more.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import case, delete, func, select, update
from sqlalchemy.orm import Session

from act_core.db.models import ERROR_LENGTH
from act_core.db.panda_models import PandaAsk
from act_core.words import kept

SENT_FOR = timedelta(minutes=30)  # panda.md 3.4


class What(StrEnum):
    """What is known of a call that is not booked."""

    ASKING = "asking"  # no answer yet; long after: the tower ended before it came
    LOST = "lost"  # the answer was lost
    UNBOOKED = "unbooked"  # it came, and its jobs could not be written down


@dataclass(frozen=True, slots=True)
class Ask:
    """A call, as its row tells; `n`: jobs that PanDA may have reserved, at most; `panda_ids`: those that are known."""

    id: int
    server: str
    queue: str
    label: str
    at: datetime
    until: datetime
    asked: int
    what: What
    n: int
    panda_ids: tuple[int, ...]
    why: str | None


def begin(session: Session, server: str, queue: str, label: str, n: int, now: datetime) -> int:
    """A call that is made in a moment; returns the number of its row."""
    row = {"server": server, "queue": queue, "label": label, "at": now, "until": now + SENT_FOR}
    ask = PandaAsk(**row, asked=n, what=What.ASKING.value, n=n)
    session.add(ask)
    session.flush()
    return ask.id


def booked(session: Session, ask: int) -> None:
    """All that it has brought is in the tables, or it has reserved nothing."""
    session.execute(delete(PandaAsk).where(PandaAsk.id == ask))


def lost(session: Session, ask: int, what: What, why: str, n: int | None = None, ids: Collection[int] = ()) -> None:
    """PanDA may have reserved `n` jobs (None: all that were asked for) that nobody has."""
    columns: dict[str, Any] = {"what": what.value, "why": kept(why, ERROR_LENGTH)}
    columns |= {} if n is None else {"n": n}
    columns |= {"panda_ids": ",".join(map(str, sorted(ids)))} if ids else {}
    session.execute(update(PandaAsk).where(PandaAsk.id == ask).values(columns))


def look_again(session: Session, server: str, queue: str, now: datetime) -> None:
    """Jobs of a call that could not be booked have been, by now: its number is found out anew."""
    of_queue = (PandaAsk.server == server, PandaAsk.queue == queue, PandaAsk.until > now)
    unbooked = update(PandaAsk).where(*of_queue, PandaAsk.what == What.UNBOOKED.value)
    session.execute(unbooked.values(looked_at=None))


def looked(session: Session, found: Mapping[int, int], now: datetime) -> None:
    """How many jobs each of these calls has lost, as far as PanDA can tell; one that lost none goes."""
    if none := [ask for ask, n in found.items() if n == 0]:
        session.execute(delete(PandaAsk).where(PandaAsk.id.in_(none)))
    if some := {ask: n for ask, n in found.items() if n}:
        told = update(PandaAsk).where(PandaAsk.id.in_(some)).execution_options(synchronize_session=False)
        session.execute(told.values(n=case(some, value=PandaAsk.id), looked_at=now))
        stopped = {"what": What.LOST.value, "why": "the tower ended before the answer came"}
        session.execute(told.where(PandaAsk.what == What.ASKING.value).values(stopped))


def reserved(session: Session, server: str, queue: str, now: datetime) -> int:
    """Jobs of this queue that PanDA may still hold for us, and that nobody has."""
    of_queue = (PandaAsk.server == server, PandaAsk.queue == queue, PandaAsk.until > now)
    return int(session.execute(select(func.coalesce(func.sum(PandaAsk.n), 0)).where(*of_queue)).scalar_one())


def unlooked(session: Session, server: str, before: datetime, limit: int) -> list[Ask]:
    """Calls made before then of which PanDA has not been asked."""
    question = select(PandaAsk).where(PandaAsk.looked_at.is_(None), PandaAsk.at <= before, PandaAsk.server == server)
    return [_ask(row) for row in session.scalars(question.order_by(PandaAsk.at, PandaAsk.id).limit(limit))]


def forget(session: Session, server: str, before: datetime) -> None:
    """Calls made before then stand in closed books, and here no longer."""
    session.execute(delete(PandaAsk).where(PandaAsk.server == server, PandaAsk.at < before))


def lost_now(session: Session, server: str, now: datetime) -> list[Ask]:
    """Calls whose jobs PanDA has not given up yet, the oldest first."""
    return [ask for ask in lost_between(session, server, now - SENT_FOR, now) if ask.until > now]


def lost_between(session: Session, server: str, start: datetime, end: datetime) -> list[Ask]:
    """Calls of this time whose jobs nobody has had, the oldest first."""
    question = select(PandaAsk).where(PandaAsk.server == server, PandaAsk.at >= start, PandaAsk.at < end)
    lost_ones = question.where(PandaAsk.what != What.ASKING.value).order_by(PandaAsk.at, PandaAsk.id)
    return [_ask(row) for row in session.scalars(lost_ones)]


def _ask(row: PandaAsk) -> Ask:
    ids = tuple(int(one) for one in (row.panda_ids or "").split(",") if one)
    where = (row.id, row.server, row.queue, row.label, row.at, row.until)
    return Ask(*where, row.asked, What(row.what), row.n, ids, row.why)
