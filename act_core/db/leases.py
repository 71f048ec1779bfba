"""Who works on a CE in a stage (architecture section 6). Correctness rests on `settle`, not on leases."""

import os
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from act_core.db.models import Lease
from act_core.processes import process_start

LIFETIME = timedelta(seconds=45)


_TABLE: Any = Lease.__table__
_OF = _TABLE.c.stage == bindparam("of_stage"), _TABLE.c.ce == bindparam("of_ce")
# Each round takes a lease and gives it back: put together once.
_STANDS = select(_TABLE.c.token, _TABLE.c.until).where(*_OF).with_for_update()
_TAKE = update(_TABLE).where(*_OF).values({name: bindparam(name) for name in ("token", "holder", "until")})
_LAST = update(_TABLE).where(*_OF, _TABLE.c.token == bindparam("of_token")).values(until=bindparam("until"))


@dataclass(frozen=True, slots=True)
class Held:
    """A lease that we hold; `token` fences a holder that slept through its end."""

    stage: str
    ce: str
    token: int


def holder() -> str:
    """This process, as `host:pid:start`."""
    pid = os.getpid()
    return f"{socket.gethostname()}:{pid}:{process_start(pid)}"


def take(session: Session, stage: str, ce: str, who: str, now: datetime) -> Held | None:
    """The lease, or None while somebody else holds it."""
    told = {"of_stage": stage, "of_ce": ce}
    connection = session.connection()
    row = connection.execute(_STANDS, told).one_or_none()
    if row is None:
        try:
            with session.begin_nested():
                session.execute(insert(Lease).values(stage=stage, ce=ce, token=1, holder=who, until=now + LIFETIME))
        except IntegrityError:
            return None
        return Held(stage, ce, 1)
    if row.until > now:
        return None
    token = row.token + 1
    connection.execute(_TAKE, {**told, "token": token, "holder": who, "until": now + LIFETIME})
    return Held(stage, ce, token)


def renew(session: Session, held: Held, now: datetime) -> bool:
    """Hold on for another lifetime. False: it has passed to somebody else, who must be left alone."""
    return _until(session, held, now + LIFETIME)


def release(session: Session, held: Held, now: datetime) -> bool:
    """Give it back. The row stays: its token only grows."""
    return _until(session, held, now)


def _until(session: Session, held: Held, until: datetime) -> bool:
    told = {"of_stage": held.stage, "of_ce": held.ce, "of_token": held.token, "until": until}
    return session.connection().execute(_LAST, told).rowcount > 0


def end_dead(session: Session, now: datetime) -> int:
    """End the leases of processes of this host that live no longer; returns how many."""
    host = socket.gethostname()
    dead = [
        (row.stage, row.ce)
        for row in session.execute(
            select(Lease.stage, Lease.ce, Lease.holder).where(
                Lease.holder.startswith(f"{host}:", autoescape=True), Lease.until > now
            )
        )
        if _is_dead(row.holder)
    ]
    for stage, ce in dead:
        session.execute(update(Lease).where(Lease.stage == stage, Lease.ce == ce).values(until=now))
    return len(dead)


def _is_dead(who: str) -> bool:
    _host, pid, start = who.rsplit(":", 2)
    return not pid.isdigit() or process_start(int(pid)) != start
