"""Rows at rest leave the hot table, and the days are counted."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from act_core.db import archive
from act_core.db.models import CeJob, CeJobArchive, DailyCount
from act_core.db.session import Database
from act_core.ids import SubmissionKey
from act_core.states import CeState

AT_REST: dict[str, Any] = {"state": "done", "ce": "ce1", "remote_id": "r", "request": None, "news": False}
HOUR = timedelta(hours=1)


def _rest(rows: Any, *names: str, **columns: Any) -> None:
    rows.add(*names)
    rest = AT_REST | {"ce_clean_at": rows.now, "released_at": rows.now, "modified": rows.now}
    rows.put(*names, **(rest | columns))


def test_a_row_at_rest_moves_whole(rows: Any, db: Database) -> None:
    _rest(rows, "a", error="ä", wall_s=7, submit_before=rows.now)
    (before,) = rows.all("a")
    assert db.write(archive.archive_attempts, rows.now + HOUR) == 1
    assert rows.all("a") == []
    (after,) = db.read(lambda session: session.scalars(select(CeJobArchive)).all())
    columns = [column.name for column in CeJob.__table__.columns]
    assert {name: getattr(after, name) for name in columns} == {name: getattr(before, name) for name in columns}


@pytest.mark.parametrize(
    "restless",
    [
        pytest.param({"state": "failed"}, id="not final"),
        pytest.param({"request": "clean"}, id="something is wished"),
        pytest.param({"ce_clean_at": None}, id="still on the CE"),
        pytest.param({"released_at": None}, id="its application needs it"),
        pytest.param({"news": True}, id="its application has not heard"),
    ],
)
def test_what_is_not_at_rest_stays(rows: Any, db: Database, restless: dict[str, Any]) -> None:
    _rest(rows, "a", **restless)
    assert db.write(archive.archive_attempts, rows.now + HOUR) == 0


def test_what_moved_lately_stays(rows: Any, db: Database) -> None:
    _rest(rows, "a")
    assert db.write(archive.archive_attempts, rows.now) == 0


def test_what_was_never_on_a_ce_needs_no_cleaning(rows: Any, db: Database) -> None:
    _rest(rows, "a", state="cancelled", remote_id=None, ce_clean_at=None, ce=None)
    assert db.write(archive.archive_attempts, rows.now + HOUR) == 1


def test_days_are_counted_once_and_added_up(rows: Any, db: Database) -> None:
    day = timedelta(days=1)
    _rest(rows, "a", "b", wall_s=10, cpu_s=5, ended_at=rows.now)
    _rest(rows, "c", wall_s=None, ended_at=None, state_since=rows.now - day, state="cancelled")
    assert db.write(archive.archive_attempts, rows.now + HOUR) == 3
    _rest(rows, "d", wall_s=1, cpu_s=1, ended_at=rows.now)
    assert db.write(archive.archive_attempts, rows.now + HOUR) == 1
    assert db.write(archive.archive_attempts, rows.now + HOUR) == 0
    counts = db.read(lambda session: session.scalars(select(DailyCount).order_by(DailyCount.day)).all())
    assert [(c.day, c.app, c.ce, c.state, c.n, c.wall_s, c.cpu_s) for c in counts] == [
        ("2026-02-28", "manual", "ce1", "cancelled", 1, 0, 0),
        ("2026-03-01", "manual", "ce1", "done", 3, 21, 11),
    ]


def test_a_key_is_known_after_its_row_has_gone(rows: Any, db: Database) -> None:
    from act_core.db import queries

    _rest(rows, "a")
    key = SubmissionKey(rows.all("a")[0].submission_key)
    db.write(archive.archive_attempts, rows.now + HOUR)
    assert db.read(queries.by_keys, [key, SubmissionKey("act-x-y")]) == {key: CeState.DONE}
