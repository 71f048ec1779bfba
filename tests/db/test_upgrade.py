"""A database of the version before, with jobs at work and at rest, is brought to this version's tables."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from alembic import command
from sqlalchemy import MetaData, insert, select
from sqlalchemy.orm import Session

from act_core.atlas import accounting, books, retire
from act_core.atlas.accounts import tally
from act_core.db.archive import archive_attempts
from act_core.db.bootstrap import _config, bootstrap
from act_core.db.models import CeJobArchive
from act_core.db.panda_models import PandaArchive, PandaRow
from act_core.db.session import Database
from act_core.settings.model import Settings
from act_core.states import PandaEnd

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BEFORE = "0004"


@pytest.fixture
def old(empty_settings: Settings) -> Iterator[Database]:
    """Tables as the version before made them."""
    db = Database(empty_settings)
    config = _config()
    with db.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, BEFORE)
    yield db
    db.close()


def _job(number: int, state: str, told: str | None, **more: object) -> dict[str, Any]:
    times = dict.fromkeys(("state_since", "created", "modified"), NOW)
    what = {"server": "s", "panda_id": number, "attempt_nr": 1, "queue": "Q", "label": "managed", "reporter": "tower"}
    rest = {"version": 3, "wanted": "starting", "refused": 0, "cores": 1, "checks": 0, "job": "{}"}
    return times | what | rest | {"state": state, "told": told} | more


def _attempt(number: int, state: str, **more: object) -> dict[str, Any]:
    times = dict.fromkeys(("state_since", "created", "modified"), NOW)
    what = {"app": "atlas", "app_job_id": f"{number}.1", "attempt": 1, "submission_key": f"act-t-{number}"}
    rest = {"version": 0, "attempts_left": 1, "tries": 0, "reruns": 0, "news": False, "priority": 50, "share": "Q"}
    return times | what | rest | {"state": state, "description_id": 1, "placement_id": 1} | more


JOBS = (_job(1, "sent", None), _job(2, "toreport", "running", report='{"job_id":2,"job_status":"failed"}'))
CLOSED = (_job(3, "closed", "finished"), _job(4, "closed", "running"))


def _fill(db: Database) -> None:
    tables = MetaData()
    with db.engine.begin() as connection:
        tables.reflect(connection)
        connection.execute(insert(tables.tables["panda_jobs"]), [dict(row) for row in (JOBS[0], CLOSED[0])])
        connection.execute(insert(tables.tables["panda_jobs"]), [JOBS[1]])
        connection.execute(insert(tables.tables["panda_jobs_archive"]), [CLOSED[1] | {"id": 99}])
        connection.execute(insert(tables.tables["job_descriptions"]), [{"id": 1, "spec": "{}", "created": NOW}])
        rows = [_attempt(1, "tosubmit"), _attempt(3, "done") | {"released_at": NOW}]
        for row in rows:
            connection.execute(insert(tables.tables["ce_jobs"]), [row])
        queue = dict.fromkeys(("seen_at", "modified"), NOW) | {
            "server": "s",
            "name": "Q",
            "served": True,
            "status": "online",
        }
        connection.execute(insert(tables.tables["panda_queues"]), [queue | {"parsed": "{}", "raw": "{}"}])


def _counted(session: Session) -> list[tuple[PandaEnd | None, int]]:
    start, end = NOW.replace(hour=0), NOW.replace(hour=23)
    return sorted(((one.end, one.n) for one in accounting.counted(session, "s", start, end)), key=str)


def test_jobs_of_the_version_before_go_on_and_are_in_the_books(old: Database) -> None:
    _fill(old)
    assert bootstrap(old, NOW).before == BEFORE
    rows = old.read(lambda s: {one.panda_id: one for one in books.picked(s, PandaRow.id > 0, limit=9)})
    assert {number: (row.state, row.sent_at, row.version) for number, row in rows.items()} == {
        1: ("sent", None, 3),
        2: ("toreport", None, 3),
        3: ("closed", None, 3),
    }
    ends = old.read(_counted)
    assert sum(n for _, n in ends) == 4
    assert {(PandaEnd.FINISHED, 1), (PandaEnd.TAKEN_BACK, 1)} <= set(ends)
    accounts = old.read(lambda s: tally(accounting.counted(s, "s", NOW.replace(hour=0), NOW.replace(hour=23)), None))
    assert [one.missing for one in accounts] == [0]


def test_what_is_at_rest_can_be_archived(old: Database) -> None:
    _fill(old)
    bootstrap(old, NOW)
    later = NOW.replace(day=2)
    assert old.write(archive_attempts, later) == 1
    assert [row.panda_id for row in old.write(retire._move, later)] == [3]
    assert old.read(lambda s: s.scalars(select(CeJobArchive.app_job_id)).all()) == ["3.1"]
    found = old.read(lambda s: s.execute(select(PandaArchive.panda_id, PandaArchive.unverified)).tuples().all())
    assert sorted(found) == [(3, 0), (4, 0)]
