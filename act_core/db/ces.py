"""The table of CEs: written from the configuration, by the breaker and by the polls."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from act_core.db.models import ERROR_LENGTH, Ce
from act_core.settings.model import Breaker, Site
from act_core.words import clean

CONFIG = "config"  # the origin of CEs that the configuration names
_SEEN_EVERY = timedelta(seconds=30)  # last_seen of a CE that answers well is written no more often


def enter_ces(session: Session, sites: Mapping[str, Site], origin: str, now: datetime) -> None:
    """Enter CEs that have no row yet. Known ones stay as they are: the caller may hold a configuration of its own."""
    known = set(session.scalars(select(Ce.name)))
    for name in sorted(set(sites) - known):
        site = sites[name]
        try:
            with session.begin_nested():
                session.execute(
                    insert(Ce).values(
                        name=name, mode=_mode(site), mode_owner=origin, modified=now, **_named(site, origin)
                    )
                )
        except IntegrityError:  # another process enters it in this moment
            continue


def sync_ces(session: Session, sites: Mapping[str, Site], origin: str, now: datetime) -> None:
    """Make the rows of one origin say what it says: only for who speaks for the whole tower.

    A CE that is no longer named gets no new jobs until it is named again; its jobs stay known.
    """
    enter_ces(session, sites, origin, now)
    for row in session.scalars(select(Ce)).all():
        if row.name in sites:
            wanted = _named(sites[row.name], origin)
            if row.mode_owner in (None, origin, row.origin):  # else somebody decided for this one CE
                wanted |= {"mode": _mode(sites[row.name]), "mode_owner": origin, "mode_reason": None}
        elif row.origin == origin and row.mode == "on":
            wanted = {"mode": "drain", "mode_owner": origin, "mode_reason": f"no longer named by {origin}"}
        else:
            continue
        if any(getattr(row, key) != value for key, value in wanted.items()):
            session.execute(update(Ce).where(Ce.name == row.name).values(modified=now, **wanted))


def _named(site: Site, origin: str) -> dict[str, Any]:
    return {"endpoint": site.endpoint, "kind": site.kind, "origin": origin, "maxjobs": site.maxjobs}


def _mode(site: Site) -> str:
    return "on" if site.status == "online" else "stop"


def all_ces(session: Session) -> list[Ce]:
    return list(session.scalars(select(Ce).order_by(Ce.name)))


def went_well(session: Session, ce: str, now: datetime) -> None:
    """The CE answered: the breaker closes."""
    row = session.execute(select(Ce.failures, Ce.last_seen).where(Ce.name == ce)).one_or_none()
    if row is None or (row.failures == 0 and row.last_seen and now - row.last_seen < _SEEN_EVERY):
        return
    session.execute(update(Ce).where(Ce.name == ce).values(failures=0, retry_at=None, trouble=None, last_seen=now))


def went_wrong(session: Session, ce: str, why: str, policy: Breaker, now: datetime) -> datetime | None:
    """Count an error; from `policy.failures` in a row on the CE rests. Returns until when."""
    failures = session.execute(select(Ce.failures).where(Ce.name == ce).with_for_update()).scalar_one_or_none()
    if failures is None:
        return None
    failures += 1
    retry_at = None
    if failures >= policy.failures:
        rest = min(policy.first * 2 ** min(failures - policy.failures, 20), policy.longest)
        retry_at = now + rest
    session.execute(
        update(Ce).where(Ce.name == ce).values(failures=failures, retry_at=retry_at, trouble=clean(why)[:ERROR_LENGTH])
    )
    return retry_at


def next_looks(session: Session, ce: str, look: datetime, poll: datetime | None) -> None:
    """When the CE is asked next: for ended jobs, and (if `poll`) for all."""
    values: dict[str, datetime] = {"next_look_at": look} | ({"next_poll_at": poll} if poll else {})
    session.execute(update(Ce).where(Ce.name == ce).values(**values))


def make_due(session: Session, ce: str) -> None:
    """Close the breaker and poll at once: somebody asked by hand."""
    session.execute(update(Ce).where(Ce.name == ce).values(retry_at=None, next_look_at=None, next_poll_at=None))
