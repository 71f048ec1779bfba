"""What operators want of the tower and of shares holds in the claim, and shares that are empty are stopped."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from act_core.db import operator_modes
from act_core.db.models import CeJob
from act_core.db.modes import Mode, Wanted
from act_core.db.operator_modes import Kind
from act_core.engine.modes import keep_modes
from act_core.reasons import Reason
from act_core.states import CeState
from tests.engine.house import House
from tests.engine.test_claim import HOUR, NOW, Tables, tables

__all__ = ["tables"]


def _word(tables: Tables, kind: Kind, mode: Mode, name: str = "", until: timedelta | None = None) -> None:
    wanted = Wanted(mode, "alice", "x", NOW + until if until else None)
    tables.db.write(operator_modes.put, kind, name, wanted, NOW)


@pytest.mark.parametrize("mode", [Mode.REST, Mode.STOP, Mode.DRAIN])
def test_a_share_that_is_stopped_is_sent_nowhere_and_the_others_are(tables: Tables, mode: Mode) -> None:
    tables.add(3, share="held")
    tables.add(2, share="free")
    _word(tables, Kind.SHARE, mode, "held", HOUR)
    claimed = tables.claim()
    assert [one.app_job_id for one in claimed.written] == ["j3", "j4"]
    assert claimed.held["held"].reason is Reason.SHARE_MODE
    assert claimed.held["held"].facts["mode"] == mode
    assert len(tables.claim(now=NOW + HOUR).written) == 3  # it ends by itself, to the second


def test_a_share_that_is_stopped_takes_no_part_of_b(tables: Tables) -> None:
    tables.add(1, share="held")
    tables.add(30, share="free")
    _word(tables, Kind.SHARE, Mode.STOP, "held")
    assert len(tables.claim().written) == 30


def test_a_full_ce_tells_of_the_stopped_share_all_the_same(tables: Tables) -> None:
    tables.add(1, share="held")
    tables.add(1, share="free")
    _word(tables, Kind.SHARE, Mode.STOP, "held")
    tables.put(maxjobs=0)
    held = tables.claim().held
    assert {share: why.reason for share, why in held.items()} == {"held": Reason.SHARE_MODE, "free": Reason.FULL}


def test_a_tower_that_is_drained_sends_what_was_tried_before_and_nothing_else(tables: Tables) -> None:
    tables.add(3, share="prod")
    tables.add(1, share="user")
    tables.db.write(lambda s: s.execute(update(CeJob).where(CeJob.app_job_id == "j1").values(attempt=2)) and None)
    _word(tables, Kind.TOWER, Mode.DRAIN)
    claimed = tables.claim()
    assert [one.app_job_id for one in claimed.written] == ["j1"]
    assert {share: why.reason for share, why in claimed.held.items()} == dict.fromkeys(
        ("prod", "user"), Reason.TOWER_DRAIN
    )
    _word(tables, Kind.TOWER, Mode.ON)
    assert len(tables.claim().written) == 3


async def test_a_share_is_stopped_once_it_is_empty(house: House) -> None:
    await house.write(operator_modes.put, Kind.SHARE, "prod", Wanted(Mode.DRAIN, "alice"), house.now())
    await house.write(
        operator_modes.put, Kind.SHARE, "rest", Wanted(Mode.REST, "alice", "", house.now() + HOUR), house.now()
    )
    house.ahead += 2 * HOUR
    assert (await keep_modes(house))["modes"] == 2
    words = (await house.read(operator_modes.standing, house.now())).shares
    assert {name: (one.mode, one.reason) for name, one in words.items()} == {"prod": (Mode.STOP, "emptied")}


def test_what_a_ce_has_of_a_stopped_share_is_nobodys_business_here(tables: Tables) -> None:
    tables.add(1, share="held")
    (sent,) = tables.claim().written
    _word(tables, Kind.SHARE, Mode.STOP, "held")
    assert (sent.state, tables.on_ce()) == (CeState.SUBMITTING, 1)
    assert tables.claim().written == []
