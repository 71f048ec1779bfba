"""The table of credentials: what is known of them. The secret itself lies in its file."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from act_core.db.models import ERROR_LENGTH
from act_core.db.policy_models import CredentialRow
from act_core.words import kept

PROXY, TOKEN = "x509-proxy", "token"
WIDTH = 512  # of subject, path and roles


@dataclass(frozen=True, slots=True)
class Found:
    """What was read of a credential."""

    kind: str
    path: str
    subject: str
    expires: datetime
    roles: tuple[str, ...] = ()
    renewer: str | None = None  # None: as it was; empty: somebody else renews it


def remember(session: Session, found: Found, now: datetime, renewed: bool = False) -> int:
    """Write down what was read of a credential; returns the id of the identity that it proves.

    The file's path is its name. The same subject is the same identity, whatever the file: the id is the oldest row's.
    A row whose file has become somebody else's stays, for the jobs that its identity submitted.
    """
    held = _of(session, found.path)
    values = _values(found)
    if renewed or (held is not None and held.subject == values["subject"] and held.expires < found.expires):
        values["renewed_at"] = now  # by us, or by somebody else a moment ago
    if held is not None and held.subject not in ("", values["subject"]):
        former = f"{held.path[: WIDTH - 24]}#{held.id}"
        session.execute(update(CredentialRow).where(CredentialRow.id == held.id).values(path=former, modified=now))
        held = None
    if held is None:
        _enter(session, values | {"path": found.path, "modified": now})
    elif any(getattr(held, name) != value for name, value in values.items()):
        session.execute(update(CredentialRow).where(CredentialRow.id == held.id).values(values | {"modified": now}))
    identity = select(func.min(CredentialRow.id)).where(CredentialRow.subject == values["subject"])
    return session.execute(identity).scalar_one()


def complain(session: Session, kind: str, path: Path, trouble: str, renewer: str, now: datetime) -> None:
    """Write down what is wrong with a credential; one that was never seen is entered, as nobody's."""
    held, words = _of(session, str(path)), kept(trouble, ERROR_LENGTH)
    if held is None:
        nobody = {"kind": kind, "path": str(path), "subject": "", "expires": now, "renewer": renewer}
        _enter(session, nobody | {"trouble": words, "modified": now})
    elif held.trouble != words:
        values = {"trouble": words, "modified": now}
        session.execute(update(CredentialRow).where(CredentialRow.id == held.id).values(values))


def row(session: Session, path: Path) -> CredentialRow | None:
    """What is known of the credential in a file."""
    return _of(session, str(path))


def subjects(session: Session, ids: Collection[int]) -> dict[int, str]:
    """Whose these identities are."""
    found = session.execute(select(CredentialRow.id, CredentialRow.subject).where(CredentialRow.id.in_(list(ids))))
    return dict(found.tuples().all())


def known(session: Session) -> Sequence[CredentialRow]:
    """All that were ever read, the one that ends first comes first."""
    return session.scalars(select(CredentialRow).order_by(CredentialRow.expires, CredentialRow.id)).all()


def _of(session: Session, path: str) -> CredentialRow | None:
    return session.scalars(select(CredentialRow).where(CredentialRow.path == path)).one_or_none()


def _values(found: Found) -> dict[str, object]:
    roles = found.roles
    while len(" ".join(roles)) > WIDTH:
        roles = roles[:-1]
    values: dict[str, object] = {
        "kind": found.kind,
        "subject": found.subject[:WIDTH],
        "expires": found.expires,
        "roles": " ".join(roles),
        "trouble": None,
    }
    return values if found.renewer is None else values | {"renewer": found.renewer}


def _enter(session: Session, row: dict[str, object]) -> None:
    try:
        with session.begin_nested():
            session.execute(insert(CredentialRow), [row])
    except IntegrityError:  # somebody else entered it a moment ago
        session.execute(update(CredentialRow).where(CredentialRow.path == row["path"]).values(row))
