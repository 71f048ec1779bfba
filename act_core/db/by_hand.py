"""CEs that an operator took into the tables: no configuration names them, and none takes them out."""

from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlsplit

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from act_core.db.ces import HAND, enter_ces
from act_core.db.models import Ce
from act_core.errors import BadInput
from act_core.settings.model import Site

LONGEST_NAME, LONGEST_ENDPOINT = 128, 512
_PORTS: Mapping[str, int] = {"arc-rest": 443, "htcondor": 9619}  # of back ends whose endpoint is an address
_KEPT = ("maxjobs", "options")  # what of a known one may be told anew


def add_by_hand(session: Session, name: str, site: Site, now: datetime) -> str:
    """Enter a CE, or what was now given of a known one; returns what was done. Raises BadInput for another's name."""
    if not 0 < len(name) <= LONGEST_NAME or len(site.endpoint) > LONGEST_ENDPOINT:
        raise BadInput(f"{name[:40]!r}: a CE's name has 1 to {LONGEST_NAME} characters: choose one with --name")
    row = session.get(Ce, name)
    if row is None:
        enter_ces(session, {name: site}, HAND, now)
        session.execute(update(Ce).where(Ce.name == name).values(options=dict(site.options) or None))
        return "added"
    if (place_of(row.endpoint, row.kind), row.kind) != (place_of(site.endpoint, site.kind), site.kind):
        raise BadInput(f"{name} is {row.endpoint or 'known'} ({row.kind}) already: choose another name with --name")
    if row.origin != HAND:
        return f"there already, named by {row.origin}: nothing is changed"
    given = {key: getattr(site, key) for key in _KEPT if key in site.model_fields_set}
    wanted = {key: dict(value) if key == "options" else value for key, value in given.items()}
    if all(getattr(row, key) == value for key, value in wanted.items()):
        return "there already"
    session.execute(update(Ce).where(Ce.name == name).values(modified=now, **wanted))
    return "changed; what runs already takes it over at its next start"


def place_of(endpoint: str, kind: str) -> str:
    """The endpoint in the one form that all its spellings have: case, default port and path, slash at the end."""
    if not endpoint or kind not in _PORTS:
        return endpoint
    url = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
    try:
        host, port = (url.hostname or "").rstrip("."), url.port or _PORTS[kind]
    except ValueError:
        return endpoint
    return f"{host}:{port}{url.path.rstrip('/') or '/arex' if kind == 'arc-rest' else ''}"


def also_known(session: Session, name: str, site: Site) -> list[str]:
    """The names of other CEs at the address of one that is new, by whomever they were named."""
    if site.kind not in _PORTS or session.get(Ce, name) is not None:
        return []
    rows = session.execute(select(Ce.name, Ce.endpoint).where(Ce.kind == site.kind, Ce.name != name).order_by(Ce.name))
    wanted = place_of(site.endpoint, site.kind)
    return [row.name for row in rows if row.endpoint and place_of(row.endpoint, site.kind) == wanted]
