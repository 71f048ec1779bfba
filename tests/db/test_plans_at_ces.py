"""What is asked of a CE full of jobs reads the few that are asked for, whatever MariaDB believes of its indexes."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from act_core.db import queries
from act_core.db.due import ces_with_jobs, due_ces
from act_core.db.models import CeJob
from act_core.db.session import Database
from act_core.states import FINAL, CeState, Request
from tests.db.test_plans import CES, NOW, places, row_of
from tests.fixtures.databases import Servers
from tests.fixtures.plans import filled

EACH = 200  # jobs of a CE
TABLES = {"ce_jobs", "ces", "placement_ces"}
MISLED = {"ix_ce_jobs_ce_state_due_at", "ix_ce_jobs_ce_request", "ix_ce_jobs_ce_remote_id"}
NOTHING = dict.fromkeys(["request", "due_at", "released_at", "ce_clean_at", "ended_at"])


def running(n: int) -> dict[str, Any]:
    """A job that runs, of which nobody wants anything."""
    return row_of(n) | NOTHING | {"ce": f"ce{n % CES + 1}", "remote_id": f"r{n}", "state": "running"}


def _fill(session: Session) -> None:
    places(session)
    session.execute(insert(CeJob), [running(n) for n in range(CES * EACH)])


@pytest.fixture(
    scope="module", params=[pytest.param(MISLED - {right}, id=f"all but {right} look good") for right in sorted(MISLED)]
)
def busy(
    request: pytest.FixtureRequest, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """MariaDB takes these indexes to tell a row by its CE alone: its samples are few, and it may."""
    with filled(servers, "mysql", tmp_path_factory.mktemp("busy"), NOW, _fill, TABLES) as db:
        with db.engine.begin() as connection:
            names = ", ".join(sorted(MISLED))
            connection.execute(text(f"ANALYZE TABLE ce_jobs PERSISTENT FOR COLUMNS () INDEXES ({names})"))
            believed = (
                "UPDATE mysql.index_stats SET avg_frequency = 1 WHERE db_name = DATABASE() AND index_name = :index"
            )
            for index in sorted(request.param):
                connection.execute(text(believed), {"index": index})
            connection.execute(text("FLUSH TABLE ce_jobs"))
        yield db


QUESTIONS: dict[str, Callable[[Session], Any]] = {
    "submit": lambda s: due_ces(s, "submit", NOW),
    "sweep-status": lambda s: due_ces(s, "sweep-status", NOW),
    "fetch-validate": lambda s: due_ces(s, "fetch-validate", NOW),
    "clean": lambda s: due_ces(s, "clean", NOW),
    "ces_with_jobs": lambda s: ces_with_jobs(s, NOW),
    "awaiting_inputs": lambda s: queries.awaiting_inputs(s, "ce1", NOW, 100),
    "in_doubt": lambda s: queries.in_doubt(s, "ce1", NOW, 100),
    "to_fetch": lambda s: queries.to_fetch(s, "ce1", NOW, 100),
    "wished": lambda s: queries.wished(s, "ce1", [Request.CANCEL, Request.CLEAN], NOW, 100),
    "wished, over": lambda s: queries.wished(s, "ce1", [Request.CLEAN], NOW, 100, FINAL),
    "wished_over": lambda s: queries.wished_over(s, ["ce1", "ce2"], [Request.CANCEL], 100),
    "wished_unplaced": lambda s: queries.wished_unplaced(s, 100),
    "tasks": lambda s: queries.tasks(s, "ce1", NOW),
}


def rows_read(session: Session) -> int:
    found = session.execute(text("SHOW SESSION STATUS LIKE 'Rows_read'")).one()
    return int(found[1])


@pytest.mark.parametrize("name", QUESTIONS)
def test_only_what_is_asked_for_is_read(busy: Database, name: str) -> None:
    def read(session: Session) -> int:
        before = rows_read(session)
        QUESTIONS[name](session)
        return rows_read(session) - before

    assert busy.read(read) < EACH / 2


def test_a_running_job_is_found(busy: Database) -> None:
    """The test of this test: the CEs are full."""
    assert len(busy.read(due_ces, "sweep-status", NOW)) == CES
    assert {one.state for one in busy.read(queries.living, "ce1")} == {CeState.RUNNING}
