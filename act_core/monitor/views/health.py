"""How the tower, its credentials and its modes stand."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from act_core.db import counting, credentials, pages
from act_core.db.models import Ce
from act_core.db.models import Tower as TowerRow
from act_core.db.policy_models import CredentialRow, Standing
from act_core.monitor.views import lines
from act_core.monitor.views.figures import CredentialNow, ModeNow
from act_core.processes import standing
from act_core.reasons import Topic
from act_core.settings.model import Settings

SIGN = timedelta(minutes=2)  # a tower that is up counts, and begins runs, more often
SOON = timedelta(hours=24)  # a credential that ends so soon is ending, where nobody renews it
TOWER = "tower"


@dataclass(frozen=True, slots=True)
class TowerNow:
    """`up`: it gives signs of life; `supervised`: `act up` runs on this machine, in this state directory."""

    tower_id: str
    generation: int
    up: bool
    supervised: bool
    last_sign: datetime | None
    observing: bool
    mode: ModeNow | None  # of the whole tower: drain, stop; None: it takes and sends


def tower(session: Session, settings: Settings, now: datetime) -> TowerNow:
    row = session.scalars(select(TowerRow)).first()
    signs = [one for one in (counting.counted_at(session), pages.last_run(session)) if one]
    last, here = max(signs, default=None), standing(settings.state_dir) is not None
    mode = next((one for one in operator_modes(session, now) if one.kind == TOWER), None)
    return TowerNow(
        tower_id=row.tower_id if row else "",
        generation=row.generation if row else 0,
        up=here or (last is not None and now - last <= SIGN),
        supervised=here,
        last_sign=last,
        observing=settings.arc.tower.observe,
        mode=mode,
    )


def operator_modes(session: Session, now: datetime) -> list[ModeNow]:
    """What operators want of the tower, of queues and of shares, as long as it holds."""
    found = (lines.mode_line(row, now) for row in pages.modes(session))
    return [one for one in found if one is not None and one.mode != "on"]


def modes(session: Session, ces: Iterable[Ce], now: datetime) -> tuple[ModeNow, ...]:
    of_ces = [lines.mode_of_ce(row) for row in ces if row.mode != "on"]
    return (*operator_modes(session, now), *of_ces)


def credentials_now(session: Session, now: datetime) -> tuple[CredentialNow, ...]:
    """The one that ends first comes first; files that have become somebody else's are left out."""
    ends = pages.standing(session, [Topic.CREDENTIAL])
    return tuple(credential_now(row, ends, now) for row in credentials.known(session) if "#" not in row.path)


def credential_now(row: CredentialRow, ends: Iterable[Standing], now: datetime) -> CredentialNow:
    left = row.expires - now
    state = "expired" if left <= timedelta(0) else "troubled" if row.trouble else "good"
    if state == "good" and not row.renewer and left < SOON:
        state = "ending"
    jobs = {one.ce: one.n for one in ends if one.facts.get("path") == row.path}
    return CredentialNow(
        row.id, row.kind, row.subject, row.roles, row.path, row.expires, left.total_seconds(), row.renewer,
        row.renewed_at, row.trouble, state, jobs,
    )  # fmt: skip
