"""A disk that is too full: outputs stay on the CE as they are, and come home when there is room again."""

import json
from datetime import timedelta

import pytest

from act_core.db import ledger
from act_core.disks import Stops
from act_core.engine.fetch import fetch
from act_core.engine.room import EVERY, FILE, LATER, sample, stopped
from act_core.monitor.explain_ces import line_of
from act_core.reasons import Reason, Topic
from act_core.settings.model import Logger
from act_core.settings.policy import Disk
from act_core.stages import Tower
from act_core.states import CeState
from tests.engine.house import CE, House

MORE_THAN_THERE_IS = Disk.model_validate(
    {"fetchjobs": "1000000 TB", "downloads": "1000000 TB"}
)  # a real disk, and a limit that no disk meets


def limited(house: House, limits: Disk) -> None:
    house.settings = house.settings.model_copy(update={"arc": house.settings.arc.model_copy(update={"disk": limits})})
    house.ahead += EVERY + LATER


async def told(house: House) -> list[str]:
    return [row.code for row in await house.read(ledger.standing) if row.topic == Topic.DISK]


async def test_outputs_wait_for_room_and_nothing_fails(house: House) -> None:
    await house.jobs(2, CeState.FINISHED)
    before = [(row.state, row.version, row.tries) for row in await house.rows()]
    limited(house, MORE_THAN_THERE_IS)
    assert await fetch(house, CE) == {}
    assert [(row.state, row.version, row.tries) for row in await house.rows()] == before
    assert await told(house) == [Reason.DISK_DOWNLOADS]
    (row,) = [one for one in await house.read(ledger.standing) if one.topic == Topic.DISK]
    assert "the limit for downloads is" in line_of(row, house.now()).why
    assert "How fast it fills is not known yet." in line_of(row, house.now()).why
    house.ahead += timedelta(minutes=2)
    limited(house, Disk(fetchjobs=0, downloads=0))
    await fetch(house, CE)
    assert set((await house.states()).values()) == {"done"}
    assert await told(house) == []


async def test_a_file_system_that_cannot_be_asked_stops_nothing_for_good(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """A stale handle of NFS answers with an error, too."""
    house.settings.state_dir.mkdir(exist_ok=True)
    no_name = Logger(logdir=house.settings.state_dir / ("x" * 300))
    arc = house.settings.arc.model_copy(update={"logger": no_name})
    house.settings = house.settings.model_copy(update={"arc": arc})
    for _ in range(2):
        house.ahead += EVERY
        assert await stopped(house) is Stops.NOTHING
    assert "how much is free cannot be said of" in caplog.text
    limited(house, MORE_THAN_THERE_IS)
    assert await stopped(house) is Stops.DOWNLOADS


async def test_between_the_limits_outputs_come_home(house: House) -> None:
    await house.jobs(1, CeState.FINISHED)
    limited(house, Disk.model_validate({"fetchjobs": "1000000 TB", "downloads": 0}))
    assert await stopped(house) is Stops.JOBS
    await fetch(house, CE)
    assert set((await house.states()).values()) == {"done"}
    assert await told(house) == [Reason.DISK_JOBS]


async def test_a_full_disk_is_told_where_nothing_waits_for_room(house: House) -> None:
    limited(house, MORE_THAN_THERE_IS)
    await Tower(house, apps=()).count(timedelta(0))
    assert await told(house) == [Reason.DISK_DOWNLOADS]


async def test_samples_are_kept_and_a_line_that_holds_has_fresh_facts(house: House) -> None:
    house.settings.state_dir.mkdir(exist_ok=True)
    await sample(house)
    (rows,) = json.loads((house.settings.state_dir / FILE).read_text()).values()
    assert len(rows) == 1
    limited(house, MORE_THAN_THERE_IS)
    for _ in range(3):
        house.ahead += timedelta(hours=1)
        await sample(house)
    (rows,) = json.loads((house.settings.state_dir / FILE).read_text()).values()
    assert len(rows) == 4
    (row,) = [one for one in await house.read(ledger.standing) if one.topic == Topic.DISK]
    assert row.facts["forecast"] != "How fast it fills is not known yet."
