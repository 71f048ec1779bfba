"""What operators want of the whole tower, of PanDA queues and of shares, until they say otherwise. Rows are few.

Of CEs it stands in their own rows (`modes`). Each change is in the ledger.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, or_, select
from sqlalchemy.orm import Session

from act_core.db import ledger
from act_core.db.ledger import Line
from act_core.db.modes import OWNER_LENGTH, REASON_LENGTH, Mode, Wanted
from act_core.db.policy_models import OperatorMode
from act_core.errors import BadInput
from act_core.reasons import Reason, Topic
from act_core.words import kept

NAME_LENGTH = 128


class Kind(StrEnum):
    """What a word is about."""

    TOWER = "tower"
    QUEUE = "queue"
    SHARE = "share"


MODES: Mapping[Kind, tuple[Mode, ...]] = MappingProxyType(
    {
        Kind.TOWER: (Mode.ON, Mode.DRAIN),
        Kind.QUEUE: (Mode.ON, Mode.REST, Mode.STOP, Mode.DRAIN, Mode.OFFLINE),
        Kind.SHARE: (Mode.ON, Mode.REST, Mode.STOP, Mode.DRAIN),
    }
)
TOPICS: Mapping[Kind, tuple[Topic, Reason]] = MappingProxyType(
    {
        Kind.TOWER: (Topic.TOWER, Reason.TOWER_DRAIN),
        Kind.QUEUE: (Topic.QUEUE, Reason.QUEUE_MODE),
        Kind.SHARE: (Topic.SHARE, Reason.SHARE_MODE),
    }
)
_INSTEAD: Mapping[tuple[Kind, Mode], str] = MappingProxyType(
    {
        (Kind.SHARE, Mode.OFFLINE): "`act shares stop {name}` sends none of its jobs, and `act jobs cancel --share "
        "{name}` ends those that are there",
        (Kind.SHARE, Mode.ABANDONED): "`act jobs cancel --share {name}` ends its jobs; only a CE can be abandoned",
        (Kind.QUEUE, Mode.ABANDONED): "`act queues offline {name}` calls back what does not run yet, and `act jobs "
        "cancel --queue {name}` ends the rest; only a CE can be abandoned",
    }
)


@dataclass(frozen=True, slots=True)
class Word:
    """What holds of a subject, by whose word. `server`: of a queue, as in `panda_queues`."""

    kind: Kind
    name: str
    mode: Mode
    owner: str
    reason: str
    since: datetime
    until: datetime | None
    server: str = ""

    @property
    def facts(self) -> dict[str, Any]:
        """For the sentences of its reason."""
        return {
            self.kind.value: self.name or "no share",
            "mode": self.mode.value,
            "owner": self.owner,
            "reason": self.reason or "no reason given",
            "until": f"{self.until:%Y-%m-%d %H:%M} UTC" if self.until else "somebody ends it",
        }


@dataclass(frozen=True, slots=True)
class Words:
    """All that operators want now; queues by (server, name)."""

    tower: Word | None = None
    shares: Mapping[str, Word] = field(default_factory=dict)
    queues: Mapping[tuple[str, str], Word] = field(default_factory=dict)


def check_meant(kind: Kind, name: str, mode: Mode) -> None:
    """Raises BadInput for a mode that this kind does not have, with what to do instead."""
    if mode in MODES[kind]:
        return
    known = ", ".join(MODES[kind])
    instead = _INSTEAD.get((kind, mode), "").format(name=name or "NAME")
    raise BadInput(f"a {kind} cannot be {mode} (it has: {known})" + (f": {instead}" if instead else ""))


def put(session: Session, kind: Kind, name: str, wanted: Wanted, now: datetime, server: str = "") -> bool:
    """Write the word, or with `on` take it away. False: it was so already. Raises BadInput."""
    check_meant(kind, name, wanted.mode)
    if len(name) > NAME_LENGTH:
        raise BadInput(f"{name[:40]!r}…: a name has at most {NAME_LENGTH} characters")
    row = session.get(OperatorMode, (kind.value, name, server), with_for_update=True)
    if wanted.mode is Mode.ON:
        if row is None:
            return False
        held = _word(row)
        session.delete(row)
        session.flush()
        ledger.note(session, [_line(held, over=True)], now)
        return True
    reason, owner = kept(wanted.reason, REASON_LENGTH), wanted.owner[:OWNER_LENGTH]
    new = {"mode": wanted.mode.value, "owner": owner, "reason": reason, "until": wanted.until}
    if row is None:
        row = OperatorMode(kind=kind.value, name=name, server=server, since=now, **new)
        session.add(row)
    elif all(getattr(row, key) == value for key, value in new.items()):
        return False
    else:
        row.since = now if row.mode != new["mode"] else row.since
        for key, value in new.items():
            setattr(row, key, value)
    session.flush()
    word = _word(row)
    ledger.note(session, [_line(word, over=True)], now)  # another mode or reason is a new line too
    ledger.note(session, [_line(word)], now)
    return True


def standing(session: Session, now: datetime) -> Words:
    """Everything that holds. One statement."""
    found = [_word(row) for row in session.scalars(select(OperatorMode).where(_holds(now)))]
    return Words(
        next((one for one in found if one.kind is Kind.TOWER), None),
        {one.name: one for one in found if one.kind is Kind.SHARE},
        {(one.server, one.name): one for one in found if one.kind is Kind.QUEUE},
    )


def of_submission(session: Session, now: datetime) -> Words:
    """What holds of the tower and of shares: for who sends jobs. One statement."""
    kinds = OperatorMode.kind.in_([Kind.TOWER.value, Kind.SHARE.value])
    found = [_word(row) for row in session.scalars(select(OperatorMode).where(kinds, _holds(now)))]
    tower = next((one for one in found if one.kind is Kind.TOWER), None)
    return Words(tower, {one.name: one for one in found if one.kind is Kind.SHARE})


def of_queue(session: Session, server: str, name: str, now: datetime) -> Word | None:
    """What keeps jobs of this queue from being taken from PanDA: its own word, or the tower's. One statement."""
    own = and_(OperatorMode.kind == Kind.QUEUE.value, OperatorMode.name == name, OperatorMode.server == server)
    either = or_(own, OperatorMode.kind == Kind.TOWER.value)
    found = [_word(row) for row in session.scalars(select(OperatorMode).where(either, _holds(now)))]
    return min(found, key=lambda one: one.kind is Kind.TOWER, default=None)


def offline(session: Session, server: str, now: datetime) -> list[str]:
    """The queues of this server that an operator took offline."""
    mine = (OperatorMode.kind == Kind.QUEUE.value, OperatorMode.server == server)
    question = select(OperatorMode.name).where(*mine, OperatorMode.mode == Mode.OFFLINE.value, _holds(now))
    return list(session.scalars(question.order_by(OperatorMode.name)))


def any_over(session: Session, now: datetime) -> bool:
    """Whether some word has come to its end."""
    return session.execute(select(OperatorMode.kind).where(OperatorMode.until <= now).limit(1)).first() is not None


def end_over(session: Session, now: datetime) -> list[Word]:
    """Take away the words whose time is over; returns them."""
    rows = session.scalars(select(OperatorMode).where(OperatorMode.until <= now).with_for_update()).all()
    gone = [_word(row) for row in rows]
    if gone:
        session.execute(delete(OperatorMode).where(OperatorMode.until <= now))
        ledger.note(session, [_line(one, over=True) for one in gone], now)
    return gone


def draining(session: Session, now: datetime, kind: Kind) -> list[Word]:
    """The shares or queues that are being emptied."""
    where = (OperatorMode.kind == kind.value, OperatorMode.mode == Mode.DRAIN.value, _holds(now))
    return [_word(row) for row in session.scalars(select(OperatorMode).where(*where).order_by(OperatorMode.name))]


def emptied(session: Session, word: Word, now: datetime) -> bool:
    """Nothing of it is left: it is stopped from now on. False: somebody decided otherwise meanwhile."""
    row = session.get(OperatorMode, (word.kind.value, word.name, word.server), with_for_update=True)
    if row is None or _word(row) != word:
        return False
    reason = f"emptied; {word.reason}" if word.reason else "emptied"
    return put(session, word.kind, word.name, Wanted(Mode.STOP, word.owner, reason, word.until), now, word.server)


def _holds(now: datetime) -> ColumnElement[bool]:
    return or_(OperatorMode.until.is_(None), OperatorMode.until > now)


def _word(row: OperatorMode) -> Word:
    return Word(Kind(row.kind), row.name, Mode(row.mode), row.owner, row.reason, row.since, row.until, row.server)


def _line(word: Word, *, over: bool = False) -> Line:
    """The line of the ledger; a queue's name stands with its server, since another server may have one of that name."""
    topic, reason = TOPICS[word.kind]
    subject = f"{word.name}@{word.server}"[:NAME_LENGTH] if word.kind is Kind.QUEUE else word.name
    return Line(topic, None if over else reason, share=subject, facts=word.facts)
