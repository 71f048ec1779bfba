"""Closed days in the tables: written once, read as they were written."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from act_core.atlas.accounts import DAY, Account, Books, Finding, Spent, bounds
from act_core.db.bulk import chunks
from act_core.db.panda_models import ClosedDay, DailyBook, DailySpent, PandaArchive, PandaRow

_KINDS = ("unaccounted", "doubly", "unverified")


def read(session: Session, server: str, day: date) -> Books | None:
    """A closed day; None if it is not closed."""
    closed = session.get(ClosedDay, (str(day), server))
    if closed is None:
        return None
    found = {kind: tuple(Finding(*one) for one in closed.findings.get(kind, ())) for kind in _KINDS}
    return Books(
        day,
        server,
        bounds(day)[1],
        accounts=tuple(Account(*row) for row in _rows(session, DailyBook, Account, server, day)),
        spent=tuple(Spent(*row) for row in _rows(session, DailySpent, Spent, server, day)),
        closed_at=closed.closed_at,
        revision=closed.revision,
        changed=tuple(closed.changed),
        **found,
    )


def _rows(session: Session, table: Any, kind: Any, server: str, day: date) -> Sequence[Any]:
    columns = [getattr(table, name) for name in kind.__slots__]
    return session.execute(
        select(*columns).where(table.day == str(day), table.server == server).order_by(*columns[:3])
    ).all()


def carried(session: Session, server: str, day: date) -> dict[str, int] | None:
    """What the day before closed with, by queue; None if it is not closed."""
    before = str(day - DAY)
    if session.get(ClosedDay, (before, server)) is None:
        return None
    question = select(DailyBook.queue, DailyBook.in_flight).where(DailyBook.day == before, DailyBook.server == server)
    return dict(session.execute(question).tuples().all())


def write(session: Session, books: Books, now: datetime, changed: Sequence[str] | None = None) -> bool:
    """Close a day. `changed`: it may be closed already, and this is what is different. False: it is, and stays."""
    known = session.get(ClosedDay, (str(books.day), books.server), with_for_update=True)
    if known is None:
        known = ClosedDay(day=str(books.day), server=books.server, revision=0)
    elif changed is None:
        return False
    known.revision += 1
    known.closed_at, known.changed = now, list(changed or ())
    known.findings = {kind: [[one.job, one.why] for one in getattr(books, kind)] for kind in _KINDS}
    try:
        with session.begin_nested():
            session.add(known)
    except IntegrityError:  # somebody else closes it in this moment
        return False
    _put(session, DailyBook, books, [asdict(one) for one in books.accounts])
    _put(session, DailySpent, books, [asdict(one) for one in books.spent])
    return True


def _put(session: Session, table: Any, books: Books, rows: Sequence[Mapping[str, Any]]) -> None:
    """These rows, and no others, are the day's."""
    key = {"day": str(books.day), "server": books.server}
    session.execute(delete(table).where(table.day == key["day"], table.server == key["server"]))
    for chunk in chunks(rows):
        session.execute(insert(table), [key | dict(row) for row in chunk])


def open_days(session: Session, server: str, before: date) -> list[date]:
    """Days before this one that are not closed, the oldest first: from the first job, or the first closed day, on."""
    closed = set(session.scalars(select(ClosedDay.day).where(ClosedDay.server == server)))
    known = [date.fromisoformat(min(closed))] if closed else []
    first = min((*known, *_first_jobs(session, server)), default=before)
    days = (first + n * DAY for n in range((before - first).days))
    return [day for day in days if str(day) not in closed]


def _first_jobs(session: Session, server: str) -> list[date]:
    """The days of the oldest jobs, as far as an index tells: in use by PandaID, at rest by their end."""
    oldest = (
        session.scalar(select(table.created).where(table.server == server).order_by(by).limit(1))
        for table, by in ((PandaRow, PandaRow.panda_id), (PandaArchive, PandaArchive.state_since))
    )
    return [one.date() for one in oldest if one]
