"""Transactions: what ends in a deadlock is run again, what is busy is nobody's fault, times come back as they went."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select, text, update
from sqlalchemy.exc import StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from act_core.db import ces
from act_core.db.models import Ce, CeJob
from act_core.db.session import Database
from act_core.errors import ConfigError, Transient
from act_core.settings.model import ArcSettings, Db, Settings, Site

WAIT = 20  # seconds, for what must come at once


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC), id="microseconds"),
        pytest.param(datetime(2026, 3, 29, 1, 30, tzinfo=UTC), id="an hour that some zones skip"),
        pytest.param(datetime(2026, 7, 1, 2, tzinfo=timezone(timedelta(hours=9))), id="from another zone"),
    ],
)
def test_times_come_back_aware_and_exact(rows: Any, moment: datetime) -> None:
    rows.add("a")
    rows.put("a", due_at=moment)
    found = rows.all("a")[0].due_at
    assert found == moment
    assert found.utcoffset() == timedelta(0)
    earlier = moment - timedelta(microseconds=1)
    question = select(CeJob.app_job_id).where(CeJob.due_at > earlier, CeJob.due_at <= moment)
    assert rows.db.read(lambda session: session.scalars(question).all()) == ["a"]


def test_a_time_without_zone_is_refused(rows: Any) -> None:
    rows.add("a")
    with pytest.raises(StatementError, match="has no time zone"):
        rows.put("a", due_at=datetime(2026, 3, 1))  # noqa: DTZ001 - this is the mistake


def test_the_clock_is_the_databases(db: Database) -> None:
    assert abs(db.clock() - datetime.now(UTC)) < timedelta(minutes=1)
    assert db.clock().utcoffset() == timedelta(0)


def _two_ces(db: Database) -> None:
    db.write(ces.sync_ces, {"a": Site(), "b": Site()}, "config", datetime.now(UTC))


def _trouble(session: Session, ce: str, words: str) -> None:
    session.execute(update(Ce).where(Ce.name == ce).values(trouble=words))


@pytest.mark.parametrize("database", ["mysql"], indirect=True)
@pytest.mark.parametrize("nested", [False, True], ids=["in the transaction", "in a savepoint of it"])
def test_a_real_deadlock_is_run_again(db: Database, nested: bool) -> None:
    """Its victim's savepoints are gone with the transaction, so that the way back to them fails, too."""
    _two_ces(db)
    both_hold_one = threading.Barrier(2)
    tries = {"ab": 0, "ba": 0}

    def crosswise(session: Session, order: str) -> None:
        tries[order] += 1
        _trouble(session, order[0], order)
        if tries[order] == 1:
            both_hold_one.wait(timeout=WAIT)
        with session.begin_nested() if nested else nullcontext():
            _trouble(session, order[1], order)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda order: db.write(crosswise, order), tries))
    assert sorted(tries.values()) == [1, 2]
    loser = max(tries, key=lambda order: tries[order])
    assert {row.trouble for row in db.read(ces.all_ces)} == {loser}  # it came last, and whole


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_writer_waits_for_another_process(db: Database, db_settings: Settings) -> None:
    _two_ces(db)
    other = Database(db_settings)
    holds, may_end = threading.Event(), threading.Event()

    def slowly(session: Session) -> None:
        _trouble(session, "a", "first")
        holds.set()
        assert may_end.wait(WAIT)

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(other.write, slowly)
        assert holds.wait(WAIT)
        second = threads.submit(db.write, _trouble, "a", "second")
        may_end.set()
        first.result()
        second.result()
    other.close()
    assert [row.trouble for row in db.read(ces.all_ces)] == ["second", None]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_database_that_stays_busy_is_transient_and_readable(db: Database) -> None:
    _two_ces(db)
    db.close()  # the next connections shall not wait
    event.listen(db.engine, "connect", lambda one, _record: one.execute("PRAGMA busy_timeout=0").close())
    blocker = sqlite3.connect(str(db.engine.url.database), isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(Transient, match="locked"):
        db.write(_trouble, "a", "x")
    assert len(db.read(ces.all_ces)) == 2
    blocker.execute("ROLLBACK")
    blocker.close()
    db.write(_trouble, "a", "x")


def test_what_raises_leaves_nothing(db: Database) -> None:
    _two_ces(db)

    def fails(session: Session) -> None:
        _trouble(session, "a", "x")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        db.write(fails)
    assert [row.trouble for row in db.read(ces.all_ces)] == [None, None]


def test_a_database_that_is_away_is_transient(tmp_path: Path) -> None:
    away = Database(Settings(state_dir=tmp_path, arc=ArcSettings(db=Db(type="mysql", port=1, password="secret"))))
    with pytest.raises(Transient) as caught:
        away.clock()
    assert "secret" not in str(caught.value)
    away.close()


@pytest.mark.parametrize("verb", ["read", "write"])
def test_a_pool_without_a_free_connection_is_transient(db: Database, verb: str) -> None:
    def waits_in_vain(_session: Session) -> None:
        raise PoolTimeout("QueuePool limit of size 8 overflow 0 reached")

    with pytest.raises(Transient, match="all its connections are in use"):
        getattr(db, verb)(waits_in_vain)


@pytest.mark.parametrize(
    ("place", "file", "named_by"),
    [
        pytest.param("file/state", None, "$ACT_STATE_DIR", id="a state directory below a file"),
        pytest.param("state", "file/act.sqlite", "db.file", id="a database below a file"),
    ],
)
def test_a_place_that_can_be_none_is_the_operators(tmp_path: Path, place: str, file: str | None, named_by: str) -> None:
    (tmp_path / "file").write_text("x")
    db = Db(file=tmp_path / file if file else None)
    with pytest.raises(ConfigError) as caught:
        Database(Settings(state_dir=tmp_path / place, arc=ArcSettings(db=db)))
    assert str(caught.value) == (
        f"{tmp_path / (place if file is None else 'file')}: no directory can be made there: "
        f"{'Not a directory' if file is None else 'File exists'}; name another by {named_by}"
    )


def test_a_file_that_cannot_be_opened_is_the_operators(tmp_path: Path) -> None:
    (tmp_path / "act.sqlite").mkdir()
    with pytest.raises(ConfigError, match=r"unable to open database file.*\$ACT_STATE_DIR"):
        Database(Settings(state_dir=tmp_path)).read(ces.all_ces)


@pytest.mark.parametrize("database", ["mysql"], indirect=True)
def test_a_refused_password_is_the_operators(db_settings: Settings) -> None:
    db = db_settings.arc.db.model_copy(update={"user": "nobody_of_that_name", "name": "act_no_such"})
    refused = Database(db_settings.model_copy(update={"arc": ArcSettings(db=db)}))
    with pytest.raises(ConfigError, match=r"aCTConfigARC\.yaml"):
        refused.clock()
    refused.close()


def test_a_file_that_is_no_database_is_named_and_left(tmp_path: Path) -> None:
    content = "root:x:0:0:root:/root:/bin/sh\n" * 40
    file = tmp_path / "file"
    file.write_text(content)
    db = Database(Settings(state_dir=tmp_path, arc=ArcSettings(db=Db(file=file))))
    with pytest.raises(ConfigError, match=rf"{file}: file is not a database; name another by db.file"):
        db.clock()
    db.close()
    assert file.read_text() == content


def test_the_file_is_for_nobody_else(tmp_path: Path) -> None:
    db = Database(Settings(state_dir=tmp_path))
    db.write(lambda session: session.execute(text("CREATE TABLE t (n INTEGER)")) and None)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    db.close()
