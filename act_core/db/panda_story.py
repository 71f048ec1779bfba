"""What `act explain` asks of the ATLAS application's tables about one job."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from act_core.db.panda_models import PandaArchive, PandaRow
from act_core.db.policy_models import LedgerLine
from act_core.reasons import Topic
from act_core.states import PandaState

_NAMES = (
    "state",
    "state_since",
    "told",
    "told_at",
    "wanted",
    "refused",
    "reporter",
    "checks",
    "check_due_at",
    "heartbeat_due_at",
    "sent_at",
    "error",
)


@dataclass(frozen=True, slots=True)
class PandaStory:
    """How a PanDA job stands with the tower; `cleared`: lines about what dead attempts of it left on storage."""

    state: PandaState
    state_since: datetime
    told: str | None
    told_at: datetime | None
    wanted: str
    refused: int
    reporter: str
    checks: int
    check_due_at: datetime | None
    heartbeat_due_at: datetime | None
    sent_at: datetime | None
    error: str | None
    cleared: tuple[LedgerLine, ...] = ()


def story(session: Session, server: str, app_job_id: str, attempts: Collection[int]) -> PandaStory | None:
    """By the engine's name of the job; `attempts`: the ids of those that are over. None: no such job is known."""
    panda_id, _, attempt_nr = app_job_id.partition(".")
    if not (panda_id.isdigit() and attempt_nr.isdigit()):
        return None
    for table in (PandaRow, PandaArchive):
        columns = [getattr(table, name) for name in _NAMES]
        these = (table.server == server, table.panda_id == int(panda_id), table.attempt_nr == int(attempt_nr))
        known = select(*columns).where(*these)
        if row := session.execute(known.order_by(table.id.desc()).limit(1)).first():
            values = dict(zip(_NAMES, row, strict=True)) | {"state": PandaState(row.state)}
            return PandaStory(**values, cleared=_cleared(session, attempts))
    return None


def _cleared(session: Session, attempts: Collection[int]) -> tuple[LedgerLine, ...]:
    lines = select(LedgerLine).where(LedgerLine.job_id.in_(list(attempts)), LedgerLine.topic == Topic.OUTPUTS.value)
    return tuple(session.scalars(lines.order_by(LedgerLine.id)))
