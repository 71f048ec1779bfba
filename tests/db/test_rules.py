"""Counters of error rules, CEs that rest by them, and failed jobs that stay for a while."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from act_core.db import ces, cleaning, rules
from act_core.db.models import Ce
from act_core.db.queries import ce_row
from act_core.db.rules import Hit
from act_core.db.session import Database
from act_core.settings.model import Site
from act_core.states import CeState, Request
from tests.db.conftest import BEGINNING, Rows

NOW = BEGINNING
WINDOW = timedelta(minutes=10)


def hit(rule: str, n: int = 1, ce: str = "ce1", job: int = 1) -> Hit:
    return Hit(rule, ce, n, job)


def test_hits_add_up_by_rule_and_ce(db: Database) -> None:
    assert db.write(rules.count, [hit("a", 2), hit("b"), hit("a", 1, "ce2")], NOW, WINDOW) == {
        ("a", "ce1"): 2,
        ("b", "ce1"): 1,
        ("a", "ce2"): 1,
    }
    later = NOW + timedelta(minutes=9)
    assert db.write(rules.count, [hit("a", 3, job=7)], later, WINDOW) == {("a", "ce1"): 5}
    found = {(row.rule, row.ce): (row.n, row.last_job, row.last_at) for row in db.read(rules.hits)}
    assert found == {("a", "ce1"): (5, 7, later), ("b", "ce1"): (1, 1, NOW), ("a", "ce2"): (1, 1, NOW)}


@pytest.mark.parametrize(("minutes", "within"), [(9, 2), (10, 1), (60, 1)])
def test_a_window_ends(db: Database, minutes: int, within: int) -> None:
    db.write(rules.count, [hit("a")], NOW, WINDOW)
    assert db.write(rules.count, [hit("a")], NOW + timedelta(minutes=minutes), WINDOW) == {("a", "ce1"): within}
    assert [row.n for row in db.read(rules.hits)] == [2]


def test_a_ce_rests_by_a_rule_once_and_only_if_it_is_on(db: Database) -> None:
    db.write(ces.enter_ces, {"ce1": Site(), "ce2": Site()}, ces.CONFIG, NOW)
    until = NOW + timedelta(minutes=30)
    assert db.write(rules.rest, "ce1", "rule x", until, NOW)
    assert not db.write(rules.rest, "ce1", "rule y", until, NOW)
    row = db.read(ce_row, "ce1")
    assert row is not None
    assert (row.mode, row.mode_owner, row.mode_reason, row.mode_until) == ("rest", "rule", "rule x", until)
    db.write(lambda session: session.execute(update(Ce).where(Ce.name == "ce2").values(mode="drain")) and None)
    assert not db.write(rules.rest, "ce2", "rule x", until, NOW)
    assert not db.write(rules.rest, "nobody", "rule x", until, NOW)


@pytest.mark.parametrize(
    ("columns", "shares"),
    [
        ({"state": CeState.HOLDING.value, "rule": "r"}, {"s"}),
        ({"state": CeState.HOLDING.value}, set()),
        ({"state": CeState.FAILED.value, "rule": "r", "due_at": NOW + timedelta(hours=1)}, {"s"}),
        ({"state": CeState.FAILED.value, "rule": "r", "due_at": NOW}, set()),
        ({"state": CeState.FAILED.value, "rule": "r", "news": False}, {"s"}),
        ({"state": CeState.FAILED.value, "rule": "r", "news": True}, set()),
        ({"state": CeState.FAILED.value, "rule": "r", "news": False, "request": Request.FETCH.value}, set()),
        ({"state": CeState.RUNNING.value, "rule": "r"}, set()),
    ],
    ids=[
        "held",
        "held by nobody's rule",
        "failed and waiting",
        "its time is over",
        "failed and waiting without end",
        "failed, and its application will hear",
        "failed, and its logs are wanted",
        "it runs again",
    ],
)
def test_shares_with_jobs_that_a_rule_holds(rows: Rows, columns: dict[str, Any], shares: set[str]) -> None:
    rows.add("j", share="s")
    rows.put("j", ce="ce1", **columns)
    assert rows.db.read(rules.held_shares, "ce1", NOW) == shares


def test_the_newest_kept_jobs_stay(rows: Rows) -> None:
    names = [f"j{n}" for n in range(5)]
    rows.add(*names, "soon", "living")
    for n, name in enumerate(names):
        rows.put(name, ce="ce1", state="donefailed", request=Request.CLEAN.value, due_at=NOW + timedelta(hours=n + 1))
    rows.put("soon", ce="ce1", state="donefailed", request=Request.CLEAN.value, due_at=NOW)
    rows.put("living", ce="ce1", state="running", request=Request.CLEAN.value, due_at=NOW + timedelta(hours=1))

    def older(newest: int) -> list[str]:
        return [attempt.app_job_id for attempt in rows.db.read(cleaning.kept, "ce1", NOW, newest)]

    assert older(3) == ["j1", "j0"]
    assert older(5) == []
    assert older(0) == older(-2) == ["j4", "j3", "j2", "j1", "j0"]
