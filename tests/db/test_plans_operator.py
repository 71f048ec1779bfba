"""What an operator asks and wants goes through an index: the plans of both databases, over some thousand rows."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.orm import Session

from act_core.db import backlog, choosing, filling, operator_modes
from act_core.db.backlog import Gate
from act_core.db.listing import Filter
from act_core.db.models import CeJob
from act_core.db.modes import Mode, Wanted
from act_core.db.operator_modes import Kind
from act_core.db.session import Database
from act_core.states import CeState
from tests.db.test_plans import BIG, KEYS, NOW, ROWS, places, row_of
from tests.fixtures.databases import Servers
from tests.fixtures.plans import assert_reads_none_whole, filled

pytestmark = pytest.mark.xdist_group("plans_operator")  # one worker fills the tables, once
FILLED = {"ce_jobs", "ces", "placement_ces"}
LATELY = NOW - timedelta(hours=1)
TRIED = Gate(again=True)


def _fill(session: Session) -> None:
    places(session)
    for start in range(0, ROWS, 1000):
        rows = [row_of(n) | {"share": f"s{n % 50}"} for n in range(start, start + 1000)]
        session.execute(insert(CeJob), rows)
    for name in ("s1", "s2"):
        operator_modes.put(session, Kind.SHARE, name, Wanted(Mode.STOP, "op"), NOW)


@pytest.fixture(scope="module", params=["sqlite", "mysql"])
def full(
    request: pytest.FixtureRequest, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """A database of this module's own, filled once."""
    with filled(servers, request.param, tmp_path_factory.mktemp("plans"), NOW, _fill, FILLED) as db:
        yield db


FILTERS = {
    "a CE": Filter(ces=("ce1",), error="x"),
    "a state": Filter(states=(CeState.RUNNING,), since_before=LATELY),
    "CEs and states": Filter(ces=("ce1", "ce2"), states=(CeState.RUNNING, CeState.FAILED), made_before=NOW),
    "a share": Filter(shares=("s3",), since_after=LATELY),
    "shares and a state": Filter(shares=("s3", "s4"), states=(CeState.TOSUBMIT,), apps=("manual", "atlas")),
    "ids": Filter(ids=("j1", "j2", str(KEYS[0])), app="manual"),
}
QUESTIONS: dict[str, Callable[[Session], Any]] = {
    "operator_modes.of_submission": lambda s: operator_modes.of_submission(s, NOW),
    "backlog.waiting (without)": lambda s: backlog.waiting(s, "ce1", NOW, 1, timedelta(0), without=["s1", "s2"]),
    "backlog.waiting (more, without)": lambda s: backlog.waiting(s, "ce1", NOW, 9, timedelta(0), without=["s1"]),
    "backlog.waiting (tried before)": lambda s: backlog.waiting(s, "ce1", NOW, 100, timedelta(0), TRIED.passed),
    "backlog.waiting (never tried)": lambda s: backlog.waiting(s, "ce1", NOW, 1, timedelta(0), TRIED.shut),
    "filling.share_is_empty": lambda s: filling.share_is_empty(s, "s3"),
}


@pytest.mark.parametrize("name", [*QUESTIONS, *FILTERS])
def test_no_question_reads_a_big_table_whole(full: Database, name: str) -> None:
    assert_reads_none_whole(full, name, QUESTIONS.get(name, lambda s: choosing.chosen(s, FILTERS[name], 100_001)), BIG)
