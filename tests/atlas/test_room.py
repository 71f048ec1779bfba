"""A disk that is too full: no jobs are taken from PanDA; those that are there go on to their end."""

from act_core.db import ledger
from act_core.engine.room import EVERY, LATER
from act_core.reasons import Reason, Topic
from act_core.settings.policy import Disk
from tests.atlas.house import House


def limited(house: House, limits: dict[str, object]) -> None:
    settings = house.rt.settings
    arc = settings.arc.model_copy(update={"disk": Disk.model_validate(limits)})
    house.rt.settings = settings.model_copy(update={"arc": arc})
    house.later(seconds=(EVERY + LATER).total_seconds())


async def test_nothing_new_is_taken_and_what_is_there_goes_on(home: House) -> None:
    await home.bound(1)
    home.order(2)
    limited(home, {"fetchjobs": "1000000 TB", "downloads": 0})
    assert await home.run("fetch-jobs") == {}
    assert [row.code for row in await home.rt.read(ledger.standing) if row.topic == Topic.DISK] == [Reason.DISK_JOBS]
    assert (await home.run("submit"))["submitted"] == 1
    limited(home, {"fetchjobs": 0, "downloads": 0})
    assert await home.run("fetch-jobs") == {"taken": 2}
