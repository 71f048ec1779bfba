"""The PanDA side of a job: what of PanDA's own words everybody may read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from act_core.db import panda_pages
from act_core.monitor.explain_read import ATLAS
from act_core.monitor.panda_names import server_of
from act_core.settings.app_model import ANALYSIS
from act_core.settings.model import Settings
from act_core.words import redact

# PanDA's fields that are shown. What is not named here, and above all its secrets and the job's parameters, is not.
SHOWN = (
    "PandaID", "attemptNr", "jobName", "taskID", "jobsetID", "jobDefinitionID", "reqID", "prodSourceLabel",
    "processingType", "transformation", "homepackage", "swRelease", "cmtConfig", "computingSite", "cloud",
    "coreCount", "minRamCount", "maxCpuCount", "maxWalltime", "maxDiskCount", "resource_type", "currentPriority",
    "destinationSE", "logFile", "GUID", "inFiles", "outFiles", "nucleus", "eventService",
)  # fmt: skip
LONGEST = 4_000  # characters of a field


@dataclass(frozen=True, slots=True)
class PandaSide:
    """The PanDA job; `job`: fields that everybody may read."""

    server: str
    panda_id: int
    attempt_nr: int
    queue: str
    label: str
    reporter: str
    state: str
    state_since: datetime
    told: str | None
    told_at: datetime | None
    wanted: str
    heartbeat_due_at: datetime | None
    checks: int
    check_due_at: datetime | None
    refused: int
    ended_as: str | None
    cause: str | None
    unverified: int
    error: str | None
    created: datetime
    archived: bool
    job: Mapping[str, Any]


_SAME = (
    "server", "panda_id", "attempt_nr", "queue", "label", "reporter", "state", "state_since", "told", "told_at",
    "wanted", "heartbeat_due_at", "checks", "check_due_at", "refused", "ended_as", "cause", "unverified", "error",
    "created",
)  # fmt: skip


def panda_side(session: Session, settings: Settings, app: str, name: str) -> PandaSide | None:
    """Of a job of the ATLAS application or an instance of it; None: it is none of PanDA's."""
    held = _instance(settings, app)
    panda_id, _, attempt_nr = name.partition(".")
    if held is None or not _number(panda_id) or not _number(attempt_nr):
        return None
    found = panda_pages.panda_job(session, server_of(held), int(panda_id), int(attempt_nr))
    if found is None:
        return None
    row, archived = found
    same: dict[str, Any] = {one: getattr(row, one) for one in _SAME}
    return PandaSide(**same, archived=archived, job=shown(row.job))


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18


def _instance(settings: Settings, app: str) -> Settings | None:
    if app == ATLAS:
        return settings
    return settings.seen_by(app) if app in settings.app.instances else None


def shown(raw: str) -> Mapping[str, Any]:
    """The fields of a PanDA job that may leave the tower."""
    try:
        job = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(job, dict):
        return {}
    return {name: _plain(job[name]) for name in SHOWN if job.get(name) not in (None, "", "NULL")}


def _plain(value: object) -> object:
    """A number as it is, all else as a bounded text."""
    if isinstance(value, bool | int | float):
        return value
    return redact(str(value)[:LONGEST])


def is_private(settings: Settings, app: str, panda: PandaSide | None) -> bool:
    """Whether what its payload printed is not for everybody: users' jobs, unless `joblog.analysis` makes them public.

    A PanDA job whose label nobody knows counts as a user's.
    """
    held = _instance(settings, app)
    if held is None:
        return False
    analysis = panda is None or not panda.label or panda.label in ANALYSIS
    return analysis and held.app.joblog.analysis != "public"
