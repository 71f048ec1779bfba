"""The tables of a recovery: that the tower finds its jobs again, and what each CE has told of them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Select, delete, insert, or_, select, update
from sqlalchemy.orm import Session

from act_core.db import ledger
from act_core.db.bulk import chunks
from act_core.db.ledger import Line
from act_core.db.models import ERROR_LENGTH, Ce, CeJob
from act_core.db.modes import CARED_FOR
from act_core.db.policy_models import Recovery, RecoveryCe
from act_core.errors import BadInput
from act_core.reasons import Reason, Topic
from act_core.states import CeState
from act_core.words import kept

OLDER = "the database is older than the directory beside it"
NEW = "the tables are new, and this tower has lived before"
TOWER = "the tower"  # who began it, where no person did


class Told(StrEnum):
    """How far a CE is."""

    WAITS = "waits"  # nobody has asked it yet
    SILENT = "silent"  # asked in vain
    READ = "read"
    WITHOUT = "without"  # an operator goes on without it


@dataclass(frozen=True, slots=True)
class OfCe:
    """A CE in a recovery. `later`: its ended jobs that wait until every CE was read; `nameless`: nobody's jobs."""

    ce: str
    told: Told = Told.WAITS
    at: datetime | None = None
    trouble: str | None = None
    listed: int = 0
    rebuilt: int = 0
    later: int = 0
    nameless: int = 0


@dataclass(frozen=True, slots=True)
class Stand:
    """A recovery that is under way."""

    began: datetime
    why: str
    who: str
    ces: tuple[OfCe, ...]

    @property
    def unread(self) -> frozenset[str]:
        """CEs that may have jobs nobody knows of."""
        return frozenset(one.ce for one in self.ces if one.told in (Told.WAITS, Told.SILENT))

    @property
    def looked(self) -> bool:
        """Whether every CE was asked at least once: who is silent now holds up only what may be his."""
        return all(one.told is not Told.WAITS for one in self.ces)

    @property
    def without(self) -> frozenset[str]:
        return frozenset(one.ce for one in self.ces if one.told is Told.WITHOUT)

    @property
    def to_read(self) -> frozenset[str]:
        """CEs that are asked next: those unread, and when there are none, those with ended jobs that had to wait."""
        return self.unread or frozenset(one.ce for one in self.ces if one.later and one.told is Told.READ)

    @property
    def facts(self) -> dict[str, object]:
        """For the sentences of its reason."""
        unread = sorted(self.unread)
        return {
            "why": self.why,
            "ces": len(self.ces),
            "read": len(self.ces) - len(unread),
            "unread": ", ".join(unread[:5]) + (f" and {len(unread) - 5} more" if len(unread) > 5 else ""),
            "rebuilt": sum(one.rebuilt for one in self.ces),
        }


def begin(session: Session, why: str, who: str, now: datetime) -> bool:
    """No new jobs from now on, until each CE was read. False: one is under way already, and goes on."""
    if session.get(Recovery, 1, with_for_update=True) is not None:
        return False
    session.execute(delete(RecoveryCe))
    session.execute(insert(Recovery).values(id=1, began=now, why=kept(why, 255), who=who[:64]))
    tell(session, now)
    return True


def under_way(session: Session) -> Stand | None:
    """None, most of the time: one statement then, two else."""
    row = session.execute(select(Recovery.began, Recovery.why, Recovery.who)).first()
    if row is None:
        return None
    question = select(Ce.name, RecoveryCe).outerjoin(RecoveryCe, RecoveryCe.ce == Ce.name)
    found = session.execute(question.where(Ce.mode.in_(CARED_FOR)).order_by(Ce.name)).tuples()
    return Stand(row.began, row.why, row.who, tuple(_of_ce(name, told) for name, told in found))


def _of_ce(name: str, row: RecoveryCe | None) -> OfCe:
    if row is None:
        return OfCe(name)
    return OfCe(name, Told(row.state), row.at, row.trouble, row.listed, row.rebuilt, row.later, row.nameless)


def told(session: Session, one: OfCe, now: datetime) -> None:
    """What a CE has told just now. One that an operator has set aside stays so until it is read."""
    row = session.get(RecoveryCe, one.ce, with_for_update=True)
    if row is None:
        session.add(row := RecoveryCe(ce=one.ce, state="", at=now, listed=0, rebuilt=0, later=0, nameless=0))
    if one.told is Told.SILENT and row.state == Told.WITHOUT:
        return
    if one.told is Told.READ:
        row.listed, row.later, row.nameless = one.listed, one.later, one.nameless
        row.rebuilt += one.rebuilt
    row.state, row.at = one.told.value, now
    row.trouble = None if one.trouble is None else kept(one.trouble, ERROR_LENGTH)
    session.flush()
    tell(session, now)


def go_on_without(session: Session, names: Collection[str], now: datetime) -> Stand:
    """An operator opens without these CEs. Raises BadInput where there is nothing to open, or a CE has been read."""
    stand = under_way(session)
    if stand is None:
        raise BadInput("no recovery is under way: `act recover` begins one")
    if strange := sorted(set(names) - stand.unread):
        unread = ", ".join(sorted(stand.unread)) or "none"
        raise BadInput(f"--without {strange[0]}: it is not waited for; CEs that are: {unread}")
    for name in names:
        told(session, OfCe(name, Told.WITHOUT, trouble="an operator goes on without it"), now)
    return stand


def hold(session: Session, began: datetime, now: datetime) -> int:
    """While some CE is unread: attempts of an older copy that wait may be there already. Returns how many wait on."""
    soon, until = now + timedelta(minutes=5), now + timedelta(minutes=10)
    early = or_(CeJob.due_at.is_(None), CeJob.due_at < soon)
    ids = session.scalars(select(CeJob.id).where(CeJob.state == CeState.TOSUBMIT.value, CeJob.created < began, early))
    held = list(ids)
    for chunk in chunks(held):
        session.execute(update(CeJob).where(CeJob.id.in_(chunk)).values(due_at=until, modified=now))
    return len(held)


@dataclass(frozen=True, slots=True)
class Ended:
    """`rebuilt`: attempts; `committed`: jobs whose commit follows; `without`: CEs that nobody has read."""

    rebuilt: int
    committed: int
    without: tuple[str, ...]


def end(session: Session, stand: Stand, now: datetime) -> Ended:
    """All is known that can be. What may wait for its commit gets it, but for where some CE was not read.

    There its successor may run; a job that gets no commit never does.
    """
    ids = list(session.scalars(_uncommitted()))
    values = {"inputs_sent_at": now} if stand.without else {"due_at": now}
    for chunk in chunks(ids):
        session.execute(update(CeJob).where(CeJob.id.in_(chunk)).values(**values, modified=now))
    session.execute(delete(Recovery))
    ledger.note(session, [Line(Topic.RECOVERY, None)], now)
    rebuilt = sum(one.rebuilt for one in stand.ces)
    return Ended(rebuilt, 0 if stand.without else len(ids), tuple(sorted(stand.without)))


def _uncommitted() -> Select[tuple[int]]:
    """Rebuilt ones of which nobody knows whether they had their commit."""
    waits = (CeState.SUBMITTED.value, CeState.HOLDING.value)
    bare = (CeJob.inputs_sent_at.is_(None), CeJob.due_at.is_(None), CeJob.request.is_(None))
    return select(CeJob.id).where(CeJob.state.in_(waits), *bare)


def tell(session: Session, now: datetime) -> None:
    """The line of the ledger: page, status, metrics and alert read it."""
    stand = under_way(session)
    if stand is not None:
        line = Line(Topic.RECOVERY, Reason.RECOVERING, n=len(stand.unread), facts=stand.facts)
        ledger.note(session, [line], now)
        ledger.correct(session, [line])


def in_words(stand: Stand | None) -> str:
    """How far a recovery is, for people; empty: none is under way."""
    if stand is None:
        return ""
    facts = stand.facts
    since = f"{stand.began:%Y-%m-%d %H:%M} UTC"
    return (
        f"RECOVERY since {since} ({stand.why}): {facts['read']} of {facts['ces']} CEs are read, "
        f"{facts['rebuilt']} attempts are rebuilt; unread: {facts['unread'] or 'none'} (docs/recovery.md)"
    )
