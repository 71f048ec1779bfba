"""PanDA jobs and attempts as days leave them behind, written past all rules."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from act_core.atlas.accounting import Owner
from act_core.db.models import CeJob, CeJobArchive, CeJobEvent
from act_core.db.panda_models import PandaArchive, PandaRow
from act_core.db.session import Database

DAY = datetime(2026, 3, 2, tzinfo=UTC)  # the day that tests look at
NOON = DAY + timedelta(hours=12)
NEXT = DAY + timedelta(days=1)
OWNER = Owner("panda.example:25443", "atlas")
FINISHED = {"state": "closed", "told": "finished", "ended_as": "finished"}
FAILED = {"state": "closed", "told": "failed", "ended_as": "failed"}


def hours(n: float) -> timedelta:
    return timedelta(hours=n)


def job_row(number: int, **columns: Any) -> dict[str, Any]:
    """A PanDA job that was taken at noon and waits."""
    common = {"server": OWNER.server, "panda_id": number, "attempt_nr": 1, "queue": "A", "label": "managed"}
    common |= {"state": "starting", "job": "{}", "cores": 1, "wanted": "starting", "version": 0}
    row = common | {"created": NOON, "state_since": NOON} | columns
    return row | {"modified": row["state_since"]}


def attempt_row(number: int, attempt: int = 1, **columns: Any) -> dict[str, Any]:
    """An attempt of it that waits."""
    common = {"app": OWNER.app, "app_job_id": f"{number}.1", "attempt": attempt, "attempts_left": 3}
    common |= {"submission_key": f"act-tower001-{number:0>24}{attempt:0>2}", "placement_id": 1, "ce": "ce1"}
    common |= {"state": "submitted", "state_since": NOON, "description_id": 1, "cores_asked": 1, "version": 0}
    return common | {"created": NOON, "modified": NOON} | columns


class Ledger:
    """Rows come in; any of them may go to the archive."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self._numbers = count(7_000_000_001)

    def job(self, *attempts: Mapping[str, Any] | None, **columns: Any) -> int:
        """A job with these attempts, by default one; None: none."""
        number = next(self._numbers)
        self.put(PandaRow, [job_row(number, **columns)])
        tries = [one for one in attempts or ({},) if one is not None]
        self.put(CeJob, [attempt_row(number, n, **one) for n, one in enumerate(tries, 1)])
        return number

    def put(self, table: Any, rows: Sequence[Mapping[str, Any]]) -> None:
        self.db.write(lambda session: [session.execute(insert(table), [row]) for row in rows] and None)

    def ran(self, number: int, attempt: int) -> None:
        """The CE once said that this attempt ran."""

        def write(session: Session) -> None:
            where = CeJob.app_job_id == f"{number}.1", CeJob.attempt == attempt
            job_id = session.scalars(select(CeJob.id).where(*where)).one()
            event = {"at": NOON, "from_state": "submitted", "to_state": "running", "reason": "", "actor": "poll"}
            session.execute(insert(CeJobEvent), [event | {"job_id": job_id, "attempt": attempt}])

        self.db.write(write)

    def rest(self, table: Any = PandaRow, **where: Any) -> None:
        """Rows go to the archive as they are."""
        archive = {PandaRow: PandaArchive, CeJob: CeJobArchive}[table]
        names = [column.name for column in archive.__table__.columns]

        def move(session: Session) -> None:
            rows = session.execute(select(*(getattr(table, name) for name in names)).filter_by(**where)).mappings()
            moved = [dict(row) for row in rows]
            session.execute(insert(archive), moved)
            session.execute(delete(table).where(table.id.in_([row["id"] for row in moved])))

        self.db.write(move)
