"""The table of CEs: written from the configuration, by the breaker and by the polls."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import String, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from act_core.db import ledger
from act_core.db.ledger import Line
from act_core.db.models import ERROR_LENGTH, Ce
from act_core.db.modes import Mode, name_mode, tell
from act_core.db.places import place_of
from act_core.reasons import Reason, Topic
from act_core.settings.model import Breaker, Site
from act_core.words import kept

CONFIG = "config"  # the origin of CEs that the configuration names
HAND = "hand"  # of those that an operator took in; only the configuration, his too, takes them over
_WELL: Mapping[str, Any] = {"failures": 0, "retry_at": None, "trouble": None, "own_trouble": False}
_SEEN = select(Ce.failures, Ce.last_seen).where(Ce.name == bindparam("ce", type_=String()))  # asked after each round
_SEEN_EVERY = timedelta(seconds=30)  # last_seen of a CE that answers well is written no more often


def enter_ces(session: Session, sites: Mapping[str, Site], origin: str, now: datetime) -> None:
    """Enter CEs that have no row yet. Known ones stay as they are: the caller may hold a configuration of its own."""
    known = set(session.scalars(select(Ce.name)))
    new = [_row(name, sites[name], origin, now) for name in sorted(set(sites) - known)]
    if new and not _entered(session, new):  # another process enters some in this moment
        for row in new:
            _entered(session, [row])


def _row(name: str, site: Site, origin: str, now: datetime) -> dict[str, Any]:
    mode = _mode(site).value
    held = {"mode": mode, "named_mode": mode, "mode_owner": origin, "mode_since": now, "modified": now}
    return {"name": name} | held | _named(site, origin)


def _entered(session: Session, rows: list[dict[str, Any]]) -> bool:
    try:
        with session.begin_nested():
            session.execute(insert(Ce), rows)
    except IntegrityError:
        return False
    return True


def sync_ces(session: Session, sites: Mapping[str, Site], origin: str, now: datetime) -> None:
    """Make the rows of one origin say what it says: only for who speaks for the whole tower.

    A CE that is no longer named gets no new jobs until it is named again; its jobs stay known.
    """
    enter_ces(session, sites, origin, now)
    for row in session.scalars(select(Ce).with_for_update().execution_options(populate_existing=True)).all():
        if row.origin == HAND and origin != CONFIG:
            continue
        if row.name in sites:
            site = sites[row.name]
            wanted = name_mode(row, _mode(site), None, origin, now) | _named(site, origin)
        elif row.origin == origin and row.named_mode == Mode.ON:
            wanted = name_mode(row, Mode.DRAIN, f"no longer named by {origin}", origin, now)
        else:
            continue
        _sync(session, row, wanted, now)


def _sync(session: Session, row: Ce, wanted: Mapping[str, Any], now: datetime) -> None:
    changed = {key: value for key, value in wanted.items() if getattr(row, key) != value}
    if not changed:
        return
    if _moves(row, wanted):
        changed |= {"moved_at": now, "moved_from": row.endpoint}
    for key, value in changed.items():
        setattr(row, key, value)
    row.modified = now
    session.flush()
    if "mode" in changed:
        tell(session, row, now)


def _moves(row: Ce, wanted: Mapping[str, Any]) -> bool:
    """Whether what asks this CE from now on asks another place: it knows nothing of the jobs that are there."""
    if "endpoint" not in wanted:
        return False
    endpoint, kind = str(wanted["endpoint"]), str(wanted["kind"])
    return (place_of(row.endpoint, row.kind), row.kind) != (place_of(endpoint, kind), kind)


def _named(site: Site, origin: str) -> dict[str, Any]:
    return {"endpoint": site.endpoint, "kind": site.kind, "origin": origin, "maxjobs": site.maxjobs}


def _mode(site: Site) -> Mode:
    return Mode.ON if site.status == "online" else Mode.STOP


def all_ces(session: Session) -> list[Ce]:
    return list(session.scalars(select(Ce).order_by(Ce.name)))


def went_well(session: Session, ce: str, now: datetime) -> None:
    """The CE answered: the breaker closes."""
    row = session.connection().execute(_SEEN, {"ce": ce}).one_or_none()
    if row is None or (row.failures == 0 and row.last_seen and now - row.last_seen < _SEEN_EVERY):
        return
    session.execute(update(Ce).where(Ce.name == ce).values(**_WELL, last_seen=now))
    if row.failures:
        ledger.note(session, [Line(Topic.BREAKER, None, ce)], now)


def went_wrong(
    session: Session, ce: str, why: str, policy: Breaker, now: datetime, ours: bool = False
) -> datetime | None:
    """Count an error; from `policy.failures` in a row on the CE rests. Returns until when.

    `ours`: we could not even ask. That makes no CE unseen, and is tried again soon: it costs the CE nothing.
    """
    failures = session.execute(select(Ce.failures).where(Ce.name == ce).with_for_update()).scalar_one_or_none()
    if failures is None:
        return None
    failures += 1
    retry_at = None
    if failures >= policy.failures:
        doubled = 0 if ours else min(failures - policy.failures, 20)
        rest = min(policy.first * 2**doubled, policy.longest)
        retry_at = now + rest
    values = {"failures": failures, "retry_at": retry_at, "trouble": kept(why, ERROR_LENGTH), "own_trouble": ours}
    session.execute(update(Ce).where(Ce.name == ce).values(values | ({"silent_tries": failures} if ours else {})))
    if retry_at is not None:  # the line is of when it opened; further errors write none
        facts = {"failures": failures, "trouble": values["trouble"], "ours": ours}
        ledger.note(session, [Line(Topic.BREAKER, Reason.BREAKER_OPEN, ce, facts=facts)], now)
    return retry_at


def next_looks(session: Session, ce: str, look: datetime, poll: datetime | None) -> None:
    """When the CE is asked next: for ended jobs, and (if `poll`) for all."""
    values: dict[str, datetime] = {"next_look_at": look} | ({"next_poll_at": poll} if poll else {})
    session.execute(update(Ce).where(Ce.name == ce).values(**values))


def started(session: Session, ce: str, now: datetime) -> None:
    """Jobs of ours were seen to begin."""
    session.execute(update(Ce).where(Ce.name == ce).values(last_start=now))


def said(session: Session, ce: str, capacity: Mapping[str, Any], now: datetime) -> None:
    """What the CE says of itself."""
    session.execute(update(Ce).where(Ce.name == ce).values(capacity=dict(capacity), capacity_at=now))
