"""The table of credentials: what is known of them. The secret itself lies in its file."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from act_core.db.models import CredentialRow


def remember(session: Session, kind: str, path: str, subject: str, expires: datetime, now: datetime) -> None:
    """Write down what was read of a credential; the file's path is its name."""
    known = session.scalars(select(CredentialRow).where(CredentialRow.path == path)).one_or_none()
    if known is None:
        row = {"kind": kind, "path": path, "subject": subject, "expires": expires, "modified": now}
        session.execute(insert(CredentialRow), [row])
    elif (known.kind, known.subject, known.expires) != (kind, subject, expires):
        found = {"kind": kind, "subject": subject, "expires": expires, "modified": now}
        session.execute(update(CredentialRow).where(CredentialRow.id == known.id).values(found))


def known(session: Session) -> Sequence[CredentialRow]:
    """All that were ever read, the one that ends first comes first."""
    return session.scalars(select(CredentialRow).order_by(CredentialRow.expires)).all()
