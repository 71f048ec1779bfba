"""Downtimes of CEs, as the configuration or CRIC announces them."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from act_core.db.models import Ce
from act_core.db.modes import Mode
from act_core.db.policy_models import DowntimeRow
from act_core.logs import log
from act_core.settings.policy import Downtime as DowntimeSettings
from act_core.words import kept

logger = log(__name__)
CONFIG = "config"
EVERY_CE = "*"
BEGINNING, FOREVER = datetime(2000, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC)
LISTED = "listed in downtime.clusters"
REASON_LENGTH = 255


@dataclass(frozen=True, slots=True)
class Downtime:
    """`ce`: a CE's name or endpoint, or `*`. `mode`: what it means for the CE while it lasts."""

    ce: str
    start: datetime
    end: datetime
    mode: Mode = Mode.STOP
    reason: str = ""

    def concerns(self, name: str, endpoint: str) -> bool:
        return self.ce in (EVERY_CE, name) or (endpoint != "" and same_place(self.ce, endpoint))

    @property
    def until(self) -> datetime | None:
        """None: nobody knows."""
        return None if self.end >= FOREVER else self.end


def same_place(one: str, other: str) -> bool:
    """Whether two texts name the same endpoint: scheme, default port and a slash at the end do not count."""
    return _place(one) == _place(other)


def _place(text: str) -> tuple[str, str]:
    parts = urlsplit(text if "://" in text else f"//{text}")
    return parts.netloc.lower().removesuffix(":443"), parts.path.rstrip("/")


def configured(settings: DowntimeSettings) -> list[Downtime]:
    """What the configuration says."""
    found = [Downtime(one.ce, one.start, one.end, Mode(one.mode), one.reason) for one in settings.announced]
    return found + [Downtime(ce, BEGINNING, FOREVER, Mode.OFFLINE, LISTED) for ce in settings.clusters]


def sync_configured(session: Session, settings: DowntimeSettings) -> None:
    """Take over what the configuration says: only for who speaks for the whole tower."""
    named = configured(settings)
    sync_downtimes(session, CONFIG, named)
    if missing := unmatched(named, session.scalars(select(Ce)).all()):
        logger.warning("downtime: no CE is called %s, by name or endpoint", ", ".join(map(repr, missing)))


def sync_downtimes(session: Session, origin: str, named: Iterable[Downtime]) -> None:
    """Make the rows of one origin say what it says; of two that begin together the last one counts."""
    wanted = {(one.ce, one.start): one for one in named}
    rows = session.scalars(select(DowntimeRow).where(DowntimeRow.origin == origin)).all()
    known = {(row.ce, row.start): row for row in rows}
    for row in (row for key, row in known.items() if wanted.get(key) != _downtime(row)):
        session.execute(delete(DowntimeRow).where(DowntimeRow.id == row.id))
    new = [one for key, one in wanted.items() if key not in known or _downtime(known[key]) != one]
    if new:
        session.execute(insert(DowntimeRow), [_columns(origin, one) for one in new])


def _columns(origin: str, one: Downtime) -> dict[str, object]:
    reason = kept(one.reason, REASON_LENGTH)
    return {"origin": origin, "ce": one.ce, "start": one.start, "end": one.end, "mode": one.mode, "reason": reason}


def _downtime(row: DowntimeRow) -> Downtime:
    return Downtime(row.ce, row.start, row.end, Mode(row.mode), row.reason)


def coming(session: Session, now: datetime) -> list[Downtime]:
    """All that is not over, the next one first."""
    rows = session.scalars(select(DowntimeRow).where(DowntimeRow.end > now).order_by(DowntimeRow.start, DowntimeRow.id))
    return [_downtime(row) for row in rows]


def of(downtimes: Iterable[Downtime], ce: Ce) -> list[Downtime]:
    return [one for one in downtimes if one.concerns(ce.name, ce.endpoint)]


def under_way(downtimes: Sequence[Downtime], now: datetime) -> Downtime | None:
    """The downtime that holds now: of several the strictest, then the one that lasts longest."""
    held = [one for one in downtimes if one.start <= now < one.end]
    return max(held, key=lambda one: (one.mode is Mode.OFFLINE, one.end), default=None)


def ahead(downtimes: Sequence[Downtime], now: datetime) -> Downtime | None:
    """The next one that has not begun."""
    return min((one for one in downtimes if one.start > now), key=lambda one: one.start, default=None)


def unmatched(downtimes: Iterable[Downtime], rows: Collection[Ce]) -> list[str]:
    """What the downtimes call CEs and no CE is called."""
    return sorted(
        {one.ce for one in downtimes if not any(one.concerns(row.name, row.endpoint) for row in rows)} - {"*"}
    )
