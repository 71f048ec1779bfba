"""The modes of a CE: what each permits, who may set them over whom, and how they end. Each change is in the ledger."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from act_core.db import ledger
from act_core.db.ledger import Line
from act_core.db.models import Ce
from act_core.reasons import Reason, Topic
from act_core.words import kept

REASON_LENGTH, OWNER_LENGTH = 255, 64


class Mode(StrEnum):
    ON = "on"
    REST = "rest"
    STOP = "stop"
    DRAIN = "drain"
    OFFLINE = "offline"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class Permits:
    """`new`: jobs are sent. `care`: the ones that it has are polled, fetched, killed, begun again, cleaned."""

    new: bool
    care: bool
    code: Reason | None  # how the ledger calls it


PERMITS: Mapping[Mode, Permits] = MappingProxyType(
    {
        Mode.ON: Permits(new=True, care=True, code=None),
        Mode.REST: Permits(new=False, care=True, code=Reason.MODE_REST),  # of a black hole: one probe now and then
        Mode.STOP: Permits(new=False, care=True, code=Reason.MODE_STOP),
        Mode.DRAIN: Permits(new=False, care=True, code=Reason.MODE_DRAIN),  # by hand: `stop` once it is empty
        Mode.OFFLINE: Permits(new=False, care=False, code=Reason.MODE_OFFLINE),
        Mode.ABANDONED: Permits(new=False, care=False, code=Reason.MODE_ABANDONED),
    }
)
SENT_TO = tuple(mode.value for mode, permits in PERMITS.items() if permits.new)
CARED_FOR = tuple(mode.value for mode, permits in PERMITS.items() if permits.care)

OPERATOR, UNSEEN, DOWNTIME, BLACKHOLE, RULE = "operator", "unseen", "downtime", "blackhole", "rule"
# Who is stronger replaces, who is as strong too; what names the CE (config, cric) is the weakest.
STRENGTH: Mapping[str, int] = MappingProxyType({OPERATOR: 4, UNSEEN: 3, DOWNTIME: 2, BLACKHOLE: 1, RULE: 1})


@dataclass(frozen=True, slots=True)
class Wanted:
    """A mode that somebody wants for a CE; `until`: it ends by itself."""

    mode: Mode
    owner: str
    reason: str = ""
    until: datetime | None = None


def may_replace(held_by: str | None, owner: str) -> bool:
    """Whether a mode of `owner` takes the place of the one that holds."""
    return STRENGTH.get(owner, 0) >= STRENGTH.get(held_by or "", 0)


def set_mode(session: Session, ce: str, wanted: Wanted, now: datetime) -> bool:
    """False: there is no such CE, or somebody stronger decided already."""
    row = _locked(session, ce)
    if row is None or not (_over(row, now) or may_replace(row.mode_owner, wanted.owner)):
        return False
    _write(session, row, wanted, now)
    return True


def give_back(session: Session, ce: str, owner: str, now: datetime) -> bool:
    """End this owner's mode: what names the CE decides again. False: it is not his."""
    row = _locked(session, ce)
    if row is None or row.mode_owner != owner:
        return False
    _write(session, row, _named(row), now)
    return True


def back_on(session: Session, ce: str, reason: str, until: datetime | None, now: datetime) -> bool:
    """An operator wants jobs sent. His word stands where something else would hold the CE; else all is as configured.

    `until`: how long at least it stands (the end of a downtime that is under way).
    """
    row = _locked(session, ce)
    if row is None:
        return False
    named = _named(row)
    if until is None and named.mode is Mode.ON:
        _write(session, row, named, now)
    else:
        _write(session, row, Wanted(Mode.ON, OPERATOR, reason, until), now)
    return True


def over(session: Session, now: datetime) -> list[str]:
    """CEs whose mode has come to its end."""
    return list(session.scalars(select(Ce.name).where(Ce.mode_until <= now).order_by(Ce.name)))


def end_over(session: Session, ce: str, now: datetime) -> bool:
    """End the mode if its time is over. Of several writers one finds that it is."""
    row = _locked(session, ce)
    if row is None or not _over(row, now):
        return False
    _write(session, row, _named(row), now)
    return True


def name_mode(row: Ce, mode: Mode, reason: str | None, origin: str, now: datetime) -> dict[str, Any]:
    """What is written when `origin` says this of a CE: at once where nobody stronger decided, else kept for later."""
    kept: dict[str, Any] = {"named_mode": mode.value, "named_reason": reason}
    if row.mode_owner not in (None, origin, row.origin):
        return kept
    since = now if row.mode != mode.value or row.mode_since is None else row.mode_since
    return kept | {"mode": mode.value, "mode_owner": origin, "mode_reason": reason, "mode_since": since}


def tell(session: Session, row: Ce, now: datetime) -> None:
    """Write into the ledger what holds of a CE."""
    facts = {
        "ce": row.name,
        "owner": row.mode_owner or row.origin,
        "reason": row.mode_reason or "no reason given",
        "until": row.mode_until and f"{row.mode_until:%Y-%m-%d %H:%M}",
    }
    code = PERMITS[Mode(row.mode)].code
    ledger.note(session, [Line(Topic.MODE, code, row.name, facts=facts)], now)


def _locked(session: Session, ce: str) -> Ce | None:
    question = select(Ce).where(Ce.name == ce).with_for_update().execution_options(populate_existing=True)
    return session.scalars(question).one_or_none()


def _over(row: Ce, now: datetime) -> bool:
    return row.mode_until is not None and row.mode_until <= now


def _named(row: Ce) -> Wanted:
    return Wanted(Mode(row.named_mode), row.origin, row.named_reason or "")


def _write(session: Session, row: Ce, wanted: Wanted, now: datetime) -> None:
    reason = kept(wanted.reason, REASON_LENGTH) or None
    held = (row.mode, row.mode_owner, row.mode_reason, row.mode_until)
    new = (wanted.mode.value, wanted.owner[:OWNER_LENGTH], reason, wanted.until)
    if held == new:
        return
    row.mode, row.mode_owner, row.mode_reason, row.mode_until = new
    row.mode_since = row.modified = now
    row.probe_at = row.probe_job = None
    session.flush()
    # the same mode for another reason is a new line too
    ledger.note(session, [Line(Topic.MODE, None, row.name)], now)
    tell(session, row, now)
