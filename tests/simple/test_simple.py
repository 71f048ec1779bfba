"""A campaign's life: what follows an attempt's moves, results in their place, and what its owner sees and does."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from act_core.db.attempts import Attempt, as_attempt, attempts
from act_core.db.bootstrap import tower_id
from act_core.db.models import CeJob
from act_core.db.session import Database
from act_core.errors import BadInput, DiskError
from act_core.jobspec import JobSpec
from act_core.settings.model import Settings
from act_core.simple import book, collect, follow
from act_core.simple.campaign import Plan
from act_core.simple.tables import Job, JobState, Tables, bootstrap
from act_core.states import CeState, Request

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PLAN = Plan(name="scan", specs=(JobSpec(executable="x"),) * 3, resubmissions=1)


@pytest.fixture
def tables(db: Database, tmp_path: Path) -> Database:
    """With the application's own, and a campaign of three."""
    db.write(bootstrap)
    db.write(lambda session: [session.execute(table.delete()) for table in Tables.metadata.tables.values()] and None)
    db.write(book.add, db.read(tower_id), PLAN, frozenset({"ce"}), tmp_path / "out", NOW)
    return db


def rows(db: Database) -> list[Attempt]:
    return db.read(lambda session: [as_attempt(row) for row in session.execute(attempts().order_by(CeJob.id))])


def become(db: Database, settings: Settings, number: int, state: CeState, **more: object) -> None:
    """The attempt moves, and the application hears of it."""
    change = update(CeJob).where(CeJob.app_job_id == f"scan.{number}")
    values = {"state": state.value, "news": True, "remote_id": "r", **more}
    db.write(lambda session: session.execute(change.values(values)) and None)
    moved = [attempt for attempt in rows(db) if attempt.app_job_id == f"scan.{number}"]
    db.write(follow._hear, moved, settings, NOW)


def job(db: Database, number: int) -> Job:
    return db.read(lambda session: session.scalars(select(Job).where(Job.number == number)).one())


def test_every_state_of_an_attempt_is_shown() -> None:
    assert set(follow.SHOWN) == set(CeState)


def test_a_failed_job_is_tried_again_as_often_as_its_campaign_allows(tables: Database, db_settings: Settings) -> None:
    become(tables, db_settings, 1, CeState.DONEFAILED)
    assert (job(tables, 1).state, rows(tables)[0].request) == (JobState.WAITING, Request.RESUBMIT)
    become(tables, db_settings, 2, CeState.DONEFAILED, attempts_left=0, error="bad")
    found = job(tables, 2)
    assert (found.state, found.error, found.collect, rows(tables)[1].request) == ("failed", "bad", True, Request.CLEAN)
    become(tables, db_settings, 3, CeState.DONEFAILED, request="cancel")
    assert (job(tables, 3).state, rows(tables)[2].request) == (JobState.FAILED, Request.CANCEL), "it is not wanted"


def test_news_of_the_cleaning_alone_collect_nothing_twice(tables: Database, db_settings: Settings) -> None:
    become(tables, db_settings, 1, CeState.DONE)
    assert job(tables, 1).collect
    tables.write(lambda session: session.execute(update(Job).values(collect=False)) and None)
    become(tables, db_settings, 1, CeState.DONE, ce_clean_at=NOW, request=None)
    assert not job(tables, 1).collect
    become(tables, db_settings, 2, CeState.DONE, ce_clean_at=NOW)
    assert job(tables, 2).collect, "both were heard of at once"


def test_results_are_collected_once_and_only_for_the_attempt_that_left_them(
    tables: Database, db_settings: Settings, tmp_path: Path
) -> None:
    for number in (1, 2):
        become(tables, db_settings, number, CeState.DONE)
        source = Path(job(tables, number).source or "")
        source.mkdir(parents=True)
        (source / "out.txt").write_text(str(number))
    directory, picked = tables.read(collect._picked, "scan")
    assert tables.read(collect._waiting) == ["scan"]
    moved = {one: collect.move(Path(one.source or ""), directory / str(one.number)) for one in picked}
    become(tables, db_settings, 2, CeState.RUNNING)  # a next attempt has begun meanwhile
    tables.write(collect._settle, moved, NOW)
    assert (job(tables, 1).collect, job(tables, 1).outputs) == (False, str(tmp_path / "out" / "1"))
    assert (job(tables, 2).state, job(tables, 2).outputs) == (JobState.RUNNING, None)
    assert (tmp_path / "out" / "1" / "out.txt").read_text() == "1"
    assert [one.released_at is not None for one in rows(tables)] == [True, False, False]
    assert collect.move(Path(picked[0].source or ""), directory / "1") == directory / "1", "moved, and not written down"


def test_a_later_attempt_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    for text in ("first", "second"):
        (tmp_path / "from").mkdir()
        (tmp_path / "from" / text).touch()
        collect.move(tmp_path / "from", tmp_path / "to" / "1")
    assert [path.name for path in (tmp_path / "to").rglob("*")] == ["1", "second"]
    assert collect.move(tmp_path / "from", tmp_path / "to" / "2") is None, "nothing came home"


def test_a_place_that_cannot_be_written_is_the_disks_trouble(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(DiskError, match="cannot be written"):
        collect.move(tmp_path / "from", tmp_path / "file" / "1")


def over(db: Database, settings: Settings) -> None:
    for number, state in enumerate((CeState.DONE, CeState.LOST, CeState.CANCELLED), 1):
        become(db, settings, number, state)
    db.write(lambda session: session.execute(update(Job).values(collect=False)) and None)


def test_a_campaign_that_is_over_is_put_away_later_and_its_name_stays(tables: Database, db_settings: Settings) -> None:
    assert tables.write(book._ended, NOW) == 0
    over(tables, db_settings)
    assert tables.write(book._ended, NOW) == 1
    assert tables.read(book._to_put_away, NOW - timedelta(days=1)) == []
    assert tables.read(book._to_put_away, NOW + timedelta(days=1)) == ["scan"]
    assert [tables.write(book._put_away, "scan", NOW) for _ in range(2)] == [3, 0]
    told = tables.read(book.campaign, "scan")
    assert (told.state, told.jobs) == (
        "archived",
        dict.fromkeys((JobState.DONE, JobState.FAILED, JobState.CANCELLED), 1),
    )
    assert all(one.released_at for one in rows(tables))
    assert tables.read(book.campaigns) == []
    with pytest.raises(BadInput, match="there is a campaign scan already"):
        tables.write(book.add, tables.read(tower_id), PLAN, frozenset({"ce"}), Path("x"), NOW)


def test_its_owner_steers_it(tables: Database, db_settings: Settings) -> None:
    over(tables, db_settings)
    tables.write(book._ended, NOW)
    again = Request.RESUBMIT, (JobState.FAILED,), NOW
    (said,) = tables.write(book.steer, "scan", *again).values()
    assert said.startswith("refused: nobody knows")
    assert tables.read(book.campaign, "scan").campaign.ended_at is not None
    assert tables.write(book.steer, "scan", *again, force=True) == {"scan.2": "resubmit"}
    assert tables.read(book.campaign, "scan").campaign.ended_at is None
    tables.write(book.clean, "scan", NOW)
    assert {one.request for one in rows(tables)} == {Request.CLEAN}
    with pytest.raises(BadInput, match="no campaign 'x'"):
        tables.write(book.steer, "x", Request.CANCEL, tuple(JobState), NOW)
