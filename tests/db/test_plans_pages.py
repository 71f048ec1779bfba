"""What the operators' page asks goes through an index, on both databases."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.orm import Session

from act_core.db import finding, job_pages, pages, panda_pages
from act_core.db.job_pages import Condition
from act_core.db.models import CeJob, CeJobArchive, CeJobEvent
from act_core.db.policy_models import LedgerLine
from act_core.db.session import Database
from act_core.reasons import Topic
from tests.db.test_plans import BIG, NOW, ROWS
from tests.db.test_plans import full as tables  # noqa: F401 - a fixture
from tests.fixtures.plans import analyze, assert_reads_none_whole

pytestmark = pytest.mark.xdist_group("plans_pages")  # one worker fills the tables, once
LATE = NOW - timedelta(minutes=2)
QUESTIONS: dict[str, Callable[[Session], Any]] = {
    "ended": lambda s: pages.ended(s, LATE),
    "ended_since": lambda s: pages.ended_since(s, LATE),
    "attempts": lambda s: pages.attempts(s, [1, 21]),
    "lately_moved": lambda s: pages.lately_moved(s, "ce1", 20),
    "events": lambda s: pages.events(s, [1, 21], 50),
    "lines_of": lambda s: pages.lines_of(s, [Topic.BREAKER, Topic.MODE], LATE),
    "lines_of a CE": lambda s: pages.lines_of(s, [Topic.BREAKER], LATE, "ce1"),
    "last_run": pages.last_run,
    "finding.apps": lambda s: (finding.apps(s, CeJob), finding.apps(s, CeJobArchive)),
    "finding.named (by key)": lambda s: finding.named(s, f"act-tower001-{7:026d}", 50),
    "finding.named (by id)": lambda s: finding.named(s, "j7", 50),
    "finding.named (on the CE)": lambda s: finding.named(s, "r7", 50),
    "finding.begun": lambda s: finding.begun(s, "act-tower001-0000000000000000000000000", 50),
    "job_pages.page of a CE": lambda s: job_pages.page(s, Condition(ces=("ce1",), states=("running",)), None, 50),
    "panda_job": lambda s: panda_pages.panda_job(s, "server", 1, 1),
}
MORE = {"ce_job_events", "ledger", "panda_jobs", "panda_jobs_archive"}


@pytest.fixture(scope="module")
def full(tables: Database) -> Database:  # noqa: F811 - the fixture
    """With events and decisions, too."""

    def fill(session: Session) -> None:
        event = {"attempt": 1, "from_state": "submitted", "to_state": "running", "reason": "", "actor": "poll"}
        late = [NOW - timedelta(minutes=n) for n in range(ROWS)]
        session.execute(insert(CeJobEvent), [event | {"job_id": n % 2000, "at": at} for n, at in enumerate(late)])
        line = {"share": "", "code": "full", "facts": {}}
        topics = [topic.value for topic in Topic]
        lines = [{"topic": topics[n % len(topics)], "ce": f"ce{n % 20}", "at": at} for n, at in enumerate(late)]
        session.execute(insert(LedgerLine), [line | one for one in lines])

    tables.write(fill)
    analyze(tables, ["ce_job_events", "ledger"])
    return tables


@pytest.mark.parametrize("name", QUESTIONS)
def test_no_page_reads_a_big_table_whole(full: Database, name: str) -> None:
    assert_reads_none_whole(full, name, QUESTIONS[name], BIG | MORE)
