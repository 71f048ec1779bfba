"""Proxies and tokens in words, for `act credentials` and `act status`."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from act_core.credentials.values import NEVER
from act_core.db.policy_models import CredentialRow
from act_core.engine.credentials import named
from act_core.monitor.times import at
from act_core.settings import Settings


def listed(held: Settings, rows: Sequence[CredentialRow], moment: datetime) -> list[dict[str, Any]]:
    """Every credential of the configuration and what the tables know of it; what ends first comes first."""
    by_path = {row.path: row for row in rows}
    found = [_described(name, path, by_path.get(str(path)), moment) for name, path in named(held)]
    return sorted(found, key=lambda one: (one["expires"] or "", one["path"]))


def _described(name: str, path: Path, row: CredentialRow | None, moment: datetime) -> dict[str, Any]:
    """`bad`: it is of no use now."""
    if row is None:
        trouble = "not looked at yet (`act sweep renew-credentials`)"
        return dict.fromkeys(_KEYS) | {"name": name, "path": str(path), "trouble": trouble, "bad": False, "roles": []}
    known = bool(row.subject)
    return {
        "name": name,
        "path": row.path,
        "kind": row.kind,
        "subject": row.subject or None,
        "roles": row.roles.split(),
        "expires": at(row.expires) if known else None,
        "left": _left(row.expires, moment) if known else None,
        "renewer": row.renewer or None,
        "renewed": at(row.renewed_at),
        "trouble": row.trouble,
        "bad": not known or row.expires <= moment or (row.trouble is not None and not row.renewer),
    }


_KEYS = ("name", "path", "kind", "subject", "roles", "expires", "left", "renewer", "renewed", "trouble", "bad")


def _left(expires: datetime, moment: datetime) -> str:
    """`3 d 21 h`, `5 h 10 min`, `12 min`."""
    if expires >= NEVER:
        return "for ever"
    left = expires - moment
    if left <= timedelta(0):
        return "ended"
    hours, minutes = divmod(int(left.total_seconds()) // 60, 60)
    days, rest = divmod(hours, 24)
    return f"{days} d {rest} h" if days else f"{hours} h {minutes} min" if hours else f"{minutes} min"
