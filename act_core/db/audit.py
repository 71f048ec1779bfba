"""Who did what to the tower, by which way: a line for each deed of a person, in the transaction of the deed itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from act_core.db.policy_models import AuditLine
from act_core.words import clean, kept, redacted

ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Actor:
    """A person, with the role he acts in and the way he came by: `cli HOST`, `web ADDRESS`."""

    who: str
    role: str
    via: str


def note(
    session: Session,
    actor: Actor,
    deed: str,
    subject: str,
    done: bool,
    facts: Mapping[str, Any],
    now: datetime,
) -> None:
    """Write a line. `done` False: it was refused, and nothing else was changed. Facts hold no secrets."""
    line = {
        "at": now,
        "who": clean(actor.who)[:64],
        "role": actor.role[:16],
        "via": clean(actor.via)[:64],
        "deed": deed[:48],
        "subject": kept(subject, 255),
        "done": done,
        "facts": redacted(facts),
    }
    session.execute(insert(AuditLine), [line])


def lines(
    session: Session, limit: int, since: datetime | None = None, who: str | None = None, deed: str | None = None
) -> list[AuditLine]:
    """The newest lines, the newest first."""
    question = select(AuditLine)
    if since is not None:
        question = question.where(AuditLine.at >= since)
    if who is not None:
        question = question.where(AuditLine.who == who)
    if deed is not None:
        question = question.where(AuditLine.deed.startswith(deed, autoescape=True))
    return list(session.scalars(question.order_by(AuditLine.id.desc()).limit(limit)))
