"""An operator's word on a mass action that was stopped."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from act_core.db import audit, brakes, evidence
from act_core.db.audit import Actor
from act_core.db.evidence import Moving
from act_core.db.policy_models import BrakeRow
from act_core.errors import BadInput
from act_core.monitor.times import at

LONGEST = timedelta(days=1)
A_WHILE = timedelta(minutes=30)


def brake_of(session: Session, brake: int) -> BrakeRow:
    """Raises BadInput: there is none of this number."""
    found = session.get(BrakeRow, brake)
    if found is None:
        raise BadInput(f"no brake {brake}: `act brake list`")
    return found


def release_brake(
    session: Session, actor: Actor, brake: int, reason: str, now: datetime, within: timedelta = A_WHILE
) -> Moving:
    """Let what a brake holds happen, once, within this time. Raises BadInput: no such brake is on."""
    if not timedelta(0) < within <= LONGEST:
        raise BadInput("a brake is released for a day at most: a release is for one thing that was looked at")
    row = brake_of(session, brake)
    moving = evidence.would_move(session, row)
    until = now + within
    if row.released_at is not None or not brakes.release(session, brake, actor.who, until, now, reason, moving.n):
        raise BadInput(f"brake {brake} is off since {at(row.released_at)}, by {row.released_by}")
    facts = {"scope": row.scope, "kind": row.kind, "jobs": moving.n, "reason": reason, "until": until.isoformat()}
    audit.note(session, actor, "brake.release", f"brake {brake} ({row.scope})", True, facts, now)
    return moving
