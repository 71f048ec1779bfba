"""How long what is kept: the settings, the books of open days, and a pause once nothing is left to remove."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import func, insert, select

from act_core.atlas import closed_days, closing
from act_core.atlas.accounts import Books
from act_core.atlas.instance import server_key
from act_core.db.models import CeJobArchive, CeJobEvent
from act_core.db.panda_models import PandaArchive
from act_core.db.session import Database
from act_core.engine.purge import Purging, kept_for
from act_core.runtime import Runtime
from act_core.settings.model import ArcSettings, Settings
from act_core.settings.retention import DAY, Retention
from act_core.stages import Tower
from tests.db.test_retention import attempt, event


def test_no_run_goes_before_the_events_that_name_it() -> None:
    assert kept_for(Retention(runs="1 d", events="30 d"), "runs") == 30 * DAY
    assert kept_for(Retention(runs="60 d"), "runs") == 60 * DAY


def test_less_than_a_day_is_no_retention() -> None:
    with pytest.raises(ValidationError, match="a day is the least"):
        ArcSettings.model_validate({"retention": {"events": "1 h"}})


def test_what_tells_that_a_job_is_over_is_kept_for_a_month() -> None:
    """A CE that was away may come back with a job whose attempt was given up: unknown, it would run on."""
    with pytest.raises(ValidationError, match="30 days are the least"):
        ArcSettings.model_validate({"retention": {"archive": "29 d"}})
    assert ArcSettings.model_validate({"retention": {"archive": "30 d"}}).retention.archive == 30 * DAY


@pytest.mark.parametrize(
    ("given", "days"),
    [
        ({}, 14),
        ({"retention": {"logs": "36 h"}}, 2),
        ({"logger": {"rotate": 5}}, 5),
        ({"logger": {"rotate": 5}, "retention": {"logs": "5 d"}}, 5),
    ],
)
def test_how_long_logs_are_kept_has_one_meaning(given: dict[str, Any], days: int) -> None:
    arc = ArcSettings.model_validate(given)
    assert (arc.logger.rotate, -(-arc.retention.logs // DAY)) == (days, days)


def test_two_words_for_one_thing_agree() -> None:
    with pytest.raises(ValidationError, match=r"logger.rotate \(5 d\) and retention.logs \(7 d\) are the same"):
        ArcSettings.model_validate({"logger": {"rotate": 5}, "retention": {"logs": "7 d"}})


@pytest.fixture
def settings(servers: Any, tmp_path: Path) -> Settings:
    arc = ArcSettings(db=servers.ready("sqlite", tmp_path / "state"))
    return Settings(state_dir=tmp_path / "state", arc=arc)


async def test_the_stage_clean_removes_what_is_old_and_then_rests(settings: Settings) -> None:
    async with Runtime.open(settings) as rt:
        age = (rt.now() - datetime(2026, 3, 1, tzinfo=UTC)) / DAY  # that module's now
        await rt.write(
            lambda session: session.execute(insert(CeJobEvent), [event(1, 40 - age), event(2, 20 - age)]) and None
        )
        tower = Tower(rt)
        assert await tower.house("clean") == {"old events": 1}
        assert await tower.house("clean") == {}
        await rt.write(lambda session: session.execute(insert(CeJobEvent), [event(3, 40 - age)]) and None)
        assert await tower.house("clean") == {}, "it looks again in ten minutes"


async def test_what_open_books_need_stays(settings: Settings) -> None:
    async with Runtime.open(settings) as rt:
        needed: list[datetime | None] = [datetime(2024, 1, 1, tzinfo=UTC)]

        async def needs() -> datetime | None:
            return needed[0]

        long_ago = {"modified": datetime(2024, 1, 2, tzinfo=UTC)}
        row = attempt(1, "done", 0) | long_ago
        await rt.write(lambda session: session.execute(insert(CeJobArchive), [row]) and None)
        assert await Purging(rt, needs).purge() == {}
        needed[0] = None
        assert await Purging(rt, needs).purge() == {"old archive": 1}
        assert await rt.read(lambda session: session.scalar(select(func.count()).select_from(CeJobArchive))) == 0


def test_a_day_that_is_not_closed_needs_its_rows(settings: Settings) -> None:
    db, server, now = Database(settings), server_key(settings), datetime(2026, 3, 4, 12, tzinfo=UTC)
    assert db.read(closing.needs, settings, now) is None
    ended = datetime(2026, 3, 2, 5, tzinfo=UTC)
    times = dict.fromkeys(("created", "state_since", "modified"), ended)
    what = {"id": 1, "server": server, "panda_id": 1, "attempt_nr": 1, "queue": "Q", "label": "x", "reporter": "tower"}
    rest = {"state": "closed", "version": 1, "wanted": "x", "job": "{}"}
    db.write(lambda session: session.execute(insert(PandaArchive), [times | what | rest]) and None)
    assert db.read(closing.needs, settings, now) == datetime(2026, 3, 2, tzinfo=UTC)
    for day in (2, 3):
        db.write(closed_days.write, Books(date(2026, 3, day), server, now), now)
    assert db.read(closing.needs, settings, now) is None
    assert db.read(closing.needs, settings, now + timedelta(days=1)) == datetime(2026, 3, 4, tzinfo=UTC)
    db.close()
