"""What reports and metrics tell of campaigns."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import delete, event, update

from act_core.db.bootstrap import tower_id
from act_core.db.session import Database
from act_core.jobspec import JobSpec
from act_core.settings.model import Settings
from act_core.simple import book, counts
from act_core.simple.campaign import Plan
from act_core.simple.tables import Job, JobState, Tables, bootstrap

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def tables(db: Database, tmp_path: Path) -> Iterator[Database]:
    """Two campaigns: `scan9` of two jobs is over, `scan10` of three is at work; both counted."""
    db.write(bootstrap)
    db.write(lambda session: [session.execute(table.delete()) for table in Tables.metadata.tables.values()] and None)
    for name, jobs in (("scan9", 2), ("scan10", 3)):
        plan = Plan(name=name, specs=(JobSpec(executable="x"),) * jobs, resubmissions=1)
        db.write(book.add, db.read(tower_id), plan, frozenset({"ce"}), tmp_path / name, NOW)
    stand(db, "scan9.1", JobState.DONE)
    stand(db, "scan9.2", JobState.FAILED)
    stand(db, "scan10.2", JobState.RUNNING)
    db.write(counts.count)
    yield db
    db.write(lambda session: [session.execute(table.delete()) for table in Tables.metadata.tables.values()] and None)


def stand(db: Database, app_job_id: str, state: JobState) -> None:
    change = update(Job).where(Job.app_job_id == app_job_id).values(state=state.value)
    db.write(lambda session: session.execute(change) and None)


def test_the_report_has_campaigns_by_state_those_at_work_first(tables: Database, db_settings: Settings) -> None:
    (told,) = tables.read(counts.report, db_settings, NOW)
    assert told.columns == ("campaign", "waiting", "running", "done", "failed", "cancelled", "total")
    assert told.rows == (("scan10", 2, 1, 0, 0, 0, 3), ("scan9", 0, 0, 1, 1, 0, 2))
    assert told.totals == ("total", 2, 1, 1, 1, 0, 5)


def test_more_campaigns_than_fit_are_told_by_number(
    tables: Database, db_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "MOST", 1)
    (told,) = tables.read(counts.report, db_settings, NOW)
    assert ([row[0] for row in told.rows], told.note) == (["scan10"], "1 more: `act simple list`")


def test_metrics_name_only_campaigns_at_work(tables: Database, db_settings: Settings) -> None:
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in tables.read(counts.collect, db_settings, NOW)
        for sample in family.samples
    }
    assert found == {
        ("act_simple_jobs", "scan10", "waiting"): 2,
        ("act_simple_jobs", "scan10", "running"): 1,
        ("act_simple_campaigns", "at work"): 1,
        ("act_simple_campaigns", "over"): 1,
    }


def test_what_has_not_changed_is_not_written_and_what_is_gone_is_removed(
    tables: Database, db_settings: Settings
) -> None:
    assert tables.write(counts.count) == 0
    tables.write(lambda session: session.execute(delete(Job).where(Job.campaign == "scan9")) and None)
    assert tables.write(counts.count) == 2
    assert [row[0] for row in tables.read(counts.report, db_settings, NOW)[0].rows] == ["scan10"]


def test_neither_reads_the_jobs(tables: Database, db_settings: Settings) -> None:
    said: list[str] = []
    event.listen(tables.engine, "before_cursor_execute", lambda *given: said.append(given[2]))
    tables.read(counts.report, db_settings, NOW)
    list(tables.read(counts.collect, db_settings, NOW))
    asked = [one for one in said if "simple_" in one]
    assert len(asked) == 2
    assert all("simple_counts" in one and "simple_jobs" not in one for one in asked)
