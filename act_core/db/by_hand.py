"""CEs that an operator took into the tables: no configuration names them, and none takes them out."""

from datetime import datetime

from sqlalchemy import Select, and_, func, or_, select, update
from sqlalchemy.orm import Session

from act_core.db.ces import CONFIG, HAND, enter_ces
from act_core.db.models import Ce, CeJob, PlacementCe
from act_core.db.modes import Mode
from act_core.db.places import ADDRESSED, place_of
from act_core.errors import BadInput
from act_core.settings.model import Site
from act_core.states import FINAL, ON_CE, CeState

_ON_CE, _FINAL = (tuple(sorted(one.value for one in states)) for states in (ON_CE, FINAL))
LONGEST_NAME, LONGEST_ENDPOINT = 128, 512
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


def remove(session: Session, name: str, configured: bool) -> None:
    """Forget a CE that nobody names and that has nothing of ours. Raises BadInput with what stands against it."""
    if configured:
        raise BadInput(f"{name} is named by the configuration: take it out of aCTConfigARC.yaml first")
    row = session.get(Ce, name, with_for_update=True)
    if row is None:
        raise BadInput(f"{name} is not known")
    if row.origin not in (HAND, CONFIG) and row.named_mode == Mode.ON:
        raise BadInput(f"{name} is named by {row.origin}, and would come back: `act ces stop {name}` keeps jobs away")
    if there := session.execute(_something_of_ours(name)).scalar_one():
        raise BadInput(
            f"{name} has {there} jobs of ours: `act ces drain {name}` lets them end, or `act ces abandon {name}`"
        )
    if waiting := session.execute(_waiting_for(name)).scalar_one():
        raise BadInput(
            f"{waiting} jobs wait for {name}: cancel them first (`act jobs cancel`), or let them go elsewhere"
        )
    session.delete(row)


def _something_of_ours(name: str) -> Select[tuple[int]]:
    left = and_(CeJob.state.in_(_FINAL), CeJob.remote_id.is_not(None), CeJob.ce_clean_at.is_(None))
    return select(func.count()).where(CeJob.ce == name, or_(CeJob.state.in_(_ON_CE), left))


def _waiting_for(name: str) -> Select[tuple[int]]:
    candidates = select(PlacementCe.placement_id).where(PlacementCe.ce == name)
    return select(func.count()).where(CeJob.state == CeState.TOSUBMIT.value, CeJob.placement_id.in_(candidates))


def also_known(session: Session, name: str, site: Site) -> list[str]:
    """The names of other CEs at the address of one that is new, by whomever they were named."""
    if site.kind not in ADDRESSED or session.get(Ce, name) is not None:
        return []
    rows = session.execute(select(Ce.name, Ce.endpoint).where(Ce.kind == site.kind, Ce.name != name).order_by(Ce.name))
    wanted = place_of(site.endpoint, site.kind)
    return [row.name for row in rows if row.endpoint and place_of(row.endpoint, site.kind) == wanted]
