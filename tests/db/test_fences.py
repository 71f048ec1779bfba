"""Fences: every submission asks for them, and the transaction that makes a next attempt puts them up."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from act_core.db import backlog, claims, fences
from act_core.db.attempts import as_attempt, attempts
from act_core.db.fences import Fence
from act_core.db.models import CeJob, Placement, PlacementCe
from act_core.db.session import Database
from act_core.decisions import Stay
from act_core.states import CeState
from tests.db.conftest import BEGINNING as NOW

KEY = "act-tower001-00000000000000000000000001"
LATER = NOW + timedelta(minutes=15)


def put(db: Database, **columns: Any) -> None:
    """One attempt that waits for the CE `ce`."""
    row = {
        "app": "atlas",
        "app_job_id": "7.1",
        "attempt": 1,
        "attempts_left": 3,
        "submission_key": KEY,
        "placement_id": 1,
        "state": "tosubmit",
        "state_since": NOW,
        "description_id": 1,
        "created": NOW,
        "modified": NOW,
    }

    def write(session: Session) -> None:
        session.execute(insert(Placement), [{"id": 1, "digest": "1"}])
        session.execute(insert(PlacementCe), [{"placement_id": 1, "ce": "ce"}])
        session.execute(insert(CeJob), [row | columns])

    db.write(write)


@pytest.mark.parametrize(
    ("until", "goes"),
    [(None, True), (NOW, True), (NOW - timedelta(seconds=1), True), (NOW + timedelta(seconds=1), False)],
    ids=["no fence", "it falls now", "it has fallen", "it stands"],
)
@pytest.mark.parametrize("limit", [1, 100])
def test_what_stands_behind_a_fence_does_not_go(db: Database, until: Any, goes: bool, limit: int) -> None:
    put(db, fenced_until=until)
    assert db.read(backlog.any_waits, "ce", NOW, timedelta(0)) is goes
    assert bool(db.read(backlog.waiting, "ce", NOW, limit, timedelta(0))) is goes


def test_a_fence_that_is_lifted_lets_through(db: Database) -> None:
    put(db, fenced_until=LATER)
    assert db.read(fences.of, [KEY, "another"]) == {KEY: Fence(CeState.TOSUBMIT, LATER)}
    db.write(fences.lift, [KEY])
    assert db.read(fences.of, [KEY]) == {KEY: Fence(CeState.TOSUBMIT, None)}
    assert db.read(backlog.any_waits, "ce", NOW, timedelta(0))


@pytest.mark.parametrize(
    ("columns", "until"),
    [
        ({"fence_s": 900, "remote_id": "r"}, LATER),
        ({"fence_s": 900}, None),  # it never was at a CE
        ({"remote_id": "r"}, None),
    ],
    ids=["was at a CE", "was at none", "nobody wants one"],
)
def test_the_next_attempt_is_born_behind_its_fence(db: Database, columns: dict[str, Any], until: Any) -> None:
    put(db, state="done", **columns)
    old = as_attempt(db.read(lambda s: s.execute(attempts()).one()))
    db.write(claims.settle, {old: Stay(successor=True)}, NOW, "test")
    (new,) = db.read(lambda s: s.scalars(select(CeJob).where(CeJob.attempt == 2)).all())
    assert (new.fenced_until, new.fence_s) == (until, columns.get("fence_s"))


def test_a_fence_is_no_change_that_anybody_else_sees(db: Database) -> None:
    """Who has picked the row goes on with it: lifting a fence is no new version."""
    put(db, fenced_until=LATER)
    before = db.read(lambda s: s.execute(select(CeJob.version)).scalar_one())
    db.write(fences.lift, [KEY])
    assert db.read(lambda s: s.execute(select(CeJob.version)).scalar_one()) == before
