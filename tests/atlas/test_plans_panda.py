"""The questions about jobs that wait without an attempt go through an index: the plans of both databases."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.orm import Session

from act_core.atlas import asks, bind, forgotten, late, lost_answers, queues, retire, workers
from act_core.db import measuring
from act_core.db.panda_models import HandedJob, PandaArchive, PandaAsk, PandaRow
from act_core.db.session import Database
from act_core.settings.app_model import AppSettings, Panda
from act_core.settings.model import Settings
from tests.fixtures.databases import Servers
from tests.fixtures.plans import assert_reads_none_whole, filled

pytestmark = pytest.mark.xdist_group("plans_panda")  # one worker fills the tables, once
NOW = datetime(2026, 3, 1, tzinfo=UTC)
ROWS = 4000
DAY = timedelta(days=1)
BIG = {"panda_jobs", "panda_jobs_archive", "panda_asks", "handed_jobs"}


def _job(n: int) -> dict[str, Any]:
    state = {0: "sent", 1: "forgotten", 2: "starting"}.get(n % 100, "closed")
    times = {"state_since": NOW, "created": NOW, "modified": NOW, "check_due_at": None if state == "sent" else NOW}
    beat = {"heartbeat_due_at": None if state == "closed" else NOW + DAY * (n % 7 - 1)}
    row = {"server": "s", "panda_id": n, "attempt_nr": 1, "queue": f"Q{n % 40}", "label": "managed", "state": state}
    return row | times | {"told": None, "job": "{}", "worker_due_at": None if n % 40 else NOW} | beat


def _ask(n: int) -> dict[str, Any]:
    at = NOW - timedelta(hours=n)
    row = {"server": "s", "queue": f"Q{n % 40}", "label": "managed", "at": at, "until": at + asks.SENT_FOR, "n": 3}
    return row | {"asked": 3, "what": "lost", "looked_at": at if n else None}


def _handed(n: int) -> dict[str, Any]:
    return {"id": n + 1, "harvester_id": "h", "worker_id": n, "truepilot": False, "created": NOW - timedelta(hours=n)}


def _rested(n: int) -> dict[str, Any]:
    return _job(n) | {"state": "closed", "modified": NOW - timedelta(hours=n), "id": n + ROWS + 1}


def _fill(session: Session) -> None:
    for start in range(0, ROWS, 500):
        session.execute(insert(PandaRow), [_job(n) for n in range(start, start + 500)])
        session.execute(insert(PandaAsk), [_ask(n) for n in range(start, start + 500)])
        session.execute(insert(PandaArchive), [_rested(n) for n in range(start, start + 500)])
        session.execute(insert(HandedJob), [_handed(n) for n in range(start, start + 500)])


@pytest.fixture(scope="module", params=["sqlite", "mysql"])
def full(
    request: pytest.FixtureRequest, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """A database of this module's own, filled once."""
    with filled(servers, request.param, tmp_path_factory.mktemp("plans"), NOW, _fill, BIG) as db:
        yield db


OF_SERVER = Settings(state_dir=Path(), app=AppSettings(panda=Panda(server="https://s")))
QUESTIONS: dict[str, Callable[[Session], Any]] = {
    "bind.due": lambda s: bind._queues_with_sent(s, "s", NOW, False),
    "bind.sent": lambda s: bind._sent(s, "s", "Q0", NOW, True),
    "forgotten.due": lambda s: forgotten._rows(s, "s", NOW, 1000),
    "forgotten.due_behind": lambda s: forgotten._behind(s, "s", NOW, 1000),
    "queues.in_doubt": queues.in_doubt,
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
    "late.late": lambda s: late.late(s, OF_SERVER, timedelta(minutes=45), NOW + DAY),
    "measuring.late_heartbeats": lambda s: measuring.late_heartbeats(s, NOW, "harvester"),
    "retire.forget": lambda s: retire.forget(s, NOW - 150 * DAY),
    "retire.forget_handed": lambda s: retire.forget_handed(s, NOW - 150 * DAY),
    "lost_answers.untold": lambda s: lost_answers._untold(s, "s", ["Q0", "Q1"]),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_no_question_reads_a_big_table_whole(full: Database, name: str) -> None:
    assert_reads_none_whole(full, name, QUESTIONS[name], BIG)
