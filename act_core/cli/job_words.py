"""A job in a line, and which job somebody means."""

from collections.abc import Sequence
from typing import Any

from act_core.db.models import AttemptColumns
from act_core.db.panda_story import newest_numbered
from act_core.db.session import Database
from act_core.errors import BadInput
from act_core.monitor.panda_names import panda_names, server_of
from act_core.monitor.times import at
from act_core.settings import Settings
from act_core.states import PUBLISHED, Request

FEW = 20  # ids that are looked up one by one
LONGEST_NUMBER = 18


def wish_of(row: AttemptColumns) -> str | None:
    return PUBLISHED[Request(row.request)] if row.request else None


def summary(row: AttemptColumns) -> dict[str, Any]:
    """A line of a list."""
    return {
        "id": row.app_job_id,
        "app": row.app,
        "attempt": row.attempt,
        "ce": row.ce,
        "state": row.state,
        "wish": wish_of(row),
        "since": at(row.state_since),
        "error": row.error,
        "key": row.submission_key,
        "remote_id": row.remote_id,
    }


def meant(db: Database, settings: Settings, one: str) -> str:
    """The id of a PanDA job by its PandaID alone: that of the newest attemptNr. All else stays. Raises BadInput."""
    names = {name: server for server, name in db.read(panda_names, settings, one)}
    if len(names) > 1:
        several = " or ".join(f"{name} of {server}" for name, server in names.items())
        raise BadInput(f"PanDA job {one} is of several servers: {several}?")
    return next(iter(names), one)


def meant_by(db: Database, settings: Settings, ids: Sequence[str]) -> list[str]:
    """The same for many. Raises BadInput."""
    if len(ids) <= FEW:
        return [meant(db, settings, one) for one in ids]
    numbers = [int(one) for one in ids if one.isdecimal() and len(one) <= LONGEST_NUMBER]
    servers = [server_of(one) for one in settings.everybody()]
    found = db.read(newest_numbered, servers, numbers)
    for number, of_servers in found.items():
        if len(of_servers) > 1:
            raise BadInput(f"PanDA job {number} is of several servers: {' or '.join(sorted(of_servers))}?")
    names = {str(number): f"{number}.{attempt}" for number, by in found.items() for attempt in by.values()}
    return [names.get(one, one) for one in ids]
