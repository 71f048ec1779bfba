"""The books' questions go through indexes, on both databases, over some thousand rows."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.orm import Session

from act_core.atlas import accounting, closed_days, suspects
from act_core.atlas.accounts import Books, patience
from act_core.db.models import CeJob, CeJobArchive, CeJobEvent
from act_core.db.panda_models import ClosedDay, DailyBook, DailySpent, PandaArchive, PandaRow
from act_core.db.session import Database
from act_core.settings.model import ArcSettings, Settings
from act_core.states import PandaState
from tests.atlas.ledgers import DAY, NOON, OWNER, attempt_row, hours, job_row
from tests.fixtures.databases import Servers
from tests.fixtures.plans import analyze, assert_reads_none_whole

pytestmark = pytest.mark.xdist_group("plans_books")  # one worker fills the tables, once
ROWS, DAYS = 1200, 60
BIG = {"panda_jobs", "panda_jobs_archive", "ce_jobs", "ce_jobs_archive", "ce_job_events", "daily_books", "daily_spent"}
STATES = [state.value for state in PandaState if state is not PandaState.CLOSED]


def _fill(session: Session) -> None:
    """Most jobs were closed on other days; each twentieth is open, and each has an attempt."""
    for table, tries, first in ((PandaRow, CeJob, 1), (PandaArchive, CeJobArchive, ROWS + 1)):
        numbers = range(first, first + ROWS)
        closed = [
            {"state": "closed", "state_since": NOON - timedelta(days=n % DAYS), "unverified": n % 2} for n in numbers
        ]
        for n in range(0, ROWS, 20) if table is PandaRow else ():
            closed[n] = {"state": STATES[n // 20 % len(STATES)]}
        jobs = [job_row(n, id=n, **columns) for n, columns in zip(numbers, closed, strict=True)]
        attempts = [attempt_row(n, id=n, app="atlas" if n % 10 == 0 else "manual") for n in numbers]
        session.execute(insert(table), jobs)
        session.execute(insert(tries), attempts)
    event = {"attempt": 1, "at": NOON, "from_state": "submitted", "to_state": "running", "reason": "", "actor": "poll"}
    session.execute(insert(CeJobEvent), [event | {"job_id": n} for n in range(1, ROWS)])
    amounts = dict.fromkeys(("opening", "taken", "finished", "failed", "killed", "taken_back", "in_flight"), 1)
    days = [f"{DAY - timedelta(days=n):%Y-%m-%d}" for n in range(DAYS)]
    keys = [{"day": day, "server": OWNER.server, "queue": f"Q{n}"} for day in days for n in range(20)]
    session.execute(insert(DailyBook), [key | amounts for key in keys])
    session.execute(insert(DailySpent), [key | {"ce": "", "cause": "x", "attempts": 1, "core_s": 1} for key in keys])
    closing = {"server": OWNER.server, "closed_at": NOON, "revision": 1, "changed": [], "findings": {}}
    session.execute(insert(ClosedDay), [closing | {"day": day} for day in days])


@pytest.fixture(scope="module", params=["sqlite", "mysql"])
def full(
    request: pytest.FixtureRequest, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    directory: Path = tmp_path_factory.mktemp("books")
    db = Database(Settings(state_dir=directory, arc=ArcSettings(db=servers.ready(request.param, directory))))
    db.write(_fill)
    analyze(db, BIG)
    yield db
    db.close()


SPAN = DAY + hours(10), DAY + hours(13)
BOUND = patience(timedelta(days=1), timedelta(days=10))
YESTERDAY = (DAY - timedelta(days=1)).date()
QUESTIONS: dict[str, Callable[[Session], Any]] = {
    "counted": lambda s: list(accounting.counted(s, OWNER.server, *SPAN)),
    "counted (many pieces)": lambda s: list(accounting.counted(s, OWNER.server, SPAN[0], SPAN[0] + hours(9))),
    "spent": lambda s: accounting.spent(s, OWNER, *SPAN),
    "unaccounted": lambda s: suspects.unaccounted(s, OWNER, BOUND, NOON),
    "doubly": lambda s: suspects.doubly(s, OWNER, *SPAN),
    "tries": lambda s: suspects._tries(s, OWNER.app, ["10.1", "20.1"]),
    "unverified": lambda s: suspects.unverified(s, OWNER.server, *SPAN),
    "read": lambda s: closed_days.read(s, OWNER.server, YESTERDAY),
    "carried": lambda s: closed_days.carried(s, OWNER.server, YESTERDAY),
    "write": lambda s: closed_days.write(s, Books(YESTERDAY, OWNER.server, NOON), NOON, ()),
    "open_days": lambda s: closed_days.open_days(s, OWNER.server, YESTERDAY),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_no_question_of_the_books_reads_a_big_table_whole(full: Database, name: str) -> None:
    assert_reads_none_whole(full, name, QUESTIONS[name], BIG)
