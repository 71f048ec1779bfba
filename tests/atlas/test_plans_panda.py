"""The questions about jobs that wait without an attempt go through an index: the plans of both databases."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from act_core.atlas import asks, bind, forgotten, lost_answers, workers
from act_core.db.bootstrap import bootstrap
from act_core.db.panda_models import PandaAsk, PandaRow
from act_core.db.session import Database
from act_core.settings.model import ArcSettings, Settings
from tests.db.test_plans import _scans, _sent

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ROWS = 4000
BIG = {"panda_jobs", "panda_asks"}


def _job(n: int) -> dict[str, Any]:
    state = {0: "sent", 1: "forgotten", 2: "starting"}.get(n % 100, "closed")
    times = {"state_since": NOW, "created": NOW, "modified": NOW, "check_due_at": None if state == "sent" else NOW}
    row = {"server": "s", "panda_id": n, "attempt_nr": 1, "queue": f"Q{n % 40}", "label": "managed", "state": state}
    return row | times | {"told": None, "job": "{}", "worker_due_at": None if n % 40 else NOW}


def _ask(n: int) -> dict[str, Any]:
    at = NOW - timedelta(hours=n)
    row = {"server": "s", "queue": f"Q{n % 40}", "label": "managed", "at": at, "until": at + asks.SENT_FOR, "n": 3}
    return row | {"asked": 3, "what": "lost", "looked_at": at if n else None}


def _fill(session: Session) -> None:
    for start in range(0, ROWS, 500):
        session.execute(insert(PandaRow), [_job(n) for n in range(start, start + 500)])
        session.execute(insert(PandaAsk), [_ask(n) for n in range(start, start + 500)])


@pytest.fixture(scope="module", params=["sqlite", "mysql"])
def full(request: pytest.FixtureRequest, servers: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A database of this module's own, filled once."""
    directory: Path = tmp_path_factory.mktemp("plans")
    db = Database(Settings(state_dir=directory, arc=ArcSettings(db=servers.empty(request.param))))
    bootstrap(db, NOW)
    db.write(_fill)
    with db.engine.begin() as connection:
        connection.execute(text("ANALYZE" if request.param == "sqlite" else "ANALYZE TABLE panda_jobs, panda_asks"))
    yield db
    db.close()


DAY = timedelta(days=1)
QUESTIONS: dict[str, Callable[[Session], Any]] = {
    "bind.due": lambda s: bind._queues_with_sent(s, "s", NOW, False),
    "bind.sent": lambda s: bind._sent(s, "s", "Q0", NOW, True),
    "forgotten.due": lambda s: forgotten._rows(s, "s", NOW, 1000),
    "forgotten.due_behind": lambda s: forgotten._behind(s, "s", NOW, 1000),
    "forgotten.in_doubt": forgotten.in_doubt,
    "forgotten.restored": lambda s: forgotten.restored(s, NOW),
    "asks.booked": lambda s: asks.booked(s, 1),
    "asks.reserved": lambda s: asks.reserved(s, "s", "Q0", NOW),
    "asks.unlooked": lambda s: asks.unlooked(s, "s", NOW, 100),
    "asks.look_again": lambda s: asks.look_again(s, "s", "Q0", NOW),
    "asks.looked": lambda s: asks.looked(s, {1: 2, 2: 0}, NOW),
    "asks.lost_now": lambda s: asks.lost_now(s, "s", NOW),
    "asks.lost_between": lambda s: asks.lost_between(s, "s", NOW - DAY, NOW),
    "workers.due_jobs": lambda s: workers.due_jobs(s, "s", NOW, 500),
    "workers.moved": lambda s: workers.moved(s, [1, 41], NOW),
    "lost_answers.untold": lambda s: lost_answers._untold(s, "s", ["Q0", "Q1"]),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_no_question_reads_a_big_table_whole(full: Database, name: str) -> None:
    sent = _sent(full, QUESTIONS[name])
    assert sent, "it sent nothing that could be looked at"
    for statement, parameters in sent:
        scanned = BIG & _scans(full.engine, statement, parameters)
        assert not scanned, f"{name} reads all of {scanned}: {statement}"
