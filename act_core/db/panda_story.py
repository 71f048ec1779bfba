"""What `act explain` asks of the ATLAS application's tables about one job."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from act_core.db.bulk import chunks
from act_core.db.panda_models import PandaArchive, PandaRow
from act_core.db.policy_models import LedgerLine
from act_core.reasons import Topic
from act_core.states import PandaState

_NUMBER = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,9}))?")  # PandaID, or PandaID.attemptNr
_NAMES = (
    "queue",
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

    queue: str
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


def numbered(session: Session, servers: Sequence[str], one: str) -> list[tuple[str, str]]:
    """Server and engine's name of the PanDA jobs that are meant: of a PandaID alone the newest attemptNr. In order."""
    number = _NUMBER.fullmatch(one)
    if number is None:
        return []
    panda_id, newest = int(number[1]), dict[str, int]()
    for table in (PandaRow, PandaArchive):
        asked = select(table.server, table.attempt_nr).where(table.server.in_(servers), table.panda_id == panda_id)
        if number[2]:
            asked = asked.where(table.attempt_nr == int(number[2]))
        for row in session.execute(asked):
            newest[row.server] = max(row.attempt_nr, newest.get(row.server, 0))
    return [(server, f"{panda_id}.{newest[server]}") for server in servers if server in newest]


def newest_numbered(
    session: Session, servers: Sequence[str], panda_ids: Collection[int]
) -> Mapping[int, Mapping[str, int]]:
    """PandaID → server → its newest attemptNr, of jobs that are not at rest."""
    found: dict[int, dict[str, int]] = {}
    for some in chunks(sorted(set(panda_ids))):
        newest = select(PandaRow.panda_id, PandaRow.server, func.max(PandaRow.attempt_nr))
        mine = newest.where(PandaRow.server.in_(servers), PandaRow.panda_id.in_(some))
        for number, server, attempt in session.execute(mine.group_by(PandaRow.panda_id, PandaRow.server)):
            found.setdefault(number, {})[server] = attempt
    return found


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
