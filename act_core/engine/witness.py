"""The second witness of a brake: what a CE's whole list says of jobs that its other answers do not know.

The list comes from the same CE under the same mapping, so that on its own it proves nothing: a CE that forgot us, or
maps our identity to another account, lists nothing and takes new jobs all the same. It is believed where it still names
older jobs of ours, sent before the first of the missing ones was missed: then memory and mapping of that time are
whole, and what it does not name is not there. Two such lists, the brake's window apart, confirm.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy.orm import Session

from act_core.ce.base import Listing, RemoteId, SubmissionKey
from act_core.db import brakes, evidence
from act_core.db.brakes import CE, Kind
from act_core.db.evidence import Missing
from act_core.db.policy_models import BrakeRow
from act_core.logs import log
from act_core.runtime import Runtime

logger = log(__name__)
CONFIRMED_FOR = timedelta(hours=1)
BY = "the CE's list"


class Word(StrEnum):
    CONFIRMS = "confirms"
    DENIES = "denies"  # it names what is missing elsewhere
    NOTHING = "nothing"


def testimony(missing: Missing, named: Mapping[RemoteId, SubmissionKey], complete: bool) -> Word:
    """What a list says; it names at least half of the older jobs, or it is no witness."""
    if missing.jobs & set(named) or missing.keys & set(named.values()):
        return Word.DENIES
    there = sum(job in named for job in missing.older)
    return Word.CONFIRMS if complete and missing.older and 2 * there >= len(missing.older) else Word.NOTHING


def after_word(
    word: Word, agreed_at: datetime | None, now: datetime, window: timedelta
) -> tuple[bool, datetime | None]:
    """(whether the brake ends, when such words began)."""
    if word is not Word.CONFIRMS:
        return False, None
    first = agreed_at or now
    return now - first >= window, first


@dataclass(frozen=True, slots=True)
class Asked:
    """Brakes of a CE that its list may end, and what it is asked about."""

    rows: tuple[BrakeRow, ...] = ()
    missing: Mapping[Kind, Missing] | None = None

    def without(self, known: Collection[RemoteId]) -> frozenset[RemoteId]:
        """The ids that the list need not name: all but those that are asked about."""
        asked: set[RemoteId] = set()
        for one in (self.missing or {}).values():
            asked |= one.jobs | one.older
        return frozenset(known) - asked


async def asked(rt: Runtime, ce: str) -> Asked:
    return await rt.read(_asked, ce)


def _asked(session: Session, ce: str) -> Asked:
    rows = tuple(row for row in brakes.on(session) if row.source == CE + ce and Kind(row.kind) in brakes.MARKED)
    return Asked(rows, {kind: evidence.missing(session, ce, kind) for kind in {Kind(row.kind) for row in rows}})


async def hear(rt: Runtime, ce: str, one: Asked, listing: Listing) -> None:
    """Write down what the list says; a brake that it confirms lets its jobs through."""
    if not one.rows:
        return
    ended = await rt.write(_hear, one, listing, rt.settings.arc.brake.window, rt.now())
    for brake in ended:
        logger.warning("ce=%s the brake %d is off: two lists of the CE confirm it", ce, brake)


def _hear(session: Session, one: Asked, listing: Listing, window: timedelta, now: datetime) -> list[int]:
    ended = []
    for row in one.rows:
        word = testimony((one.missing or {})[Kind(row.kind)], listing.mine, listing.complete)
        over, first = after_word(word, row.agreed_at, now, window)
        if over and brakes.release(session, row.id, BY, now + CONFIRMED_FOR, now, "older jobs of ours are listed"):
            ended.append(row.id)
        elif first != row.agreed_at:
            brakes.agreed(session, row.id, first)
    return ended
