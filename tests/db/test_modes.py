"""Who may set which mode over whom, how modes end, and that each change is in the ledger."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from act_core.db import ces, ledger, modes
from act_core.db.models import Ce
from act_core.db.modes import BLACKHOLE, DOWNTIME, OPERATOR, PERMITS, RULE, UNSEEN, Mode, Wanted
from act_core.db.session import Database
from act_core.settings.model import Site

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ONLINE, OFF = Site(kind="local"), Site(kind="local", status="offline")


@pytest.fixture
def ce(db: Database) -> Callable[[], Ce]:
    """The row of the one CE."""
    db.write(ces.sync_ces, {"a": ONLINE}, ces.CONFIG, NOW)
    return lambda: db.read(ces.all_ces)[0]


def _set(db: Database, mode: Mode, owner: str, reason: str = "x", until: datetime | None = None) -> bool:
    return db.write(modes.set_mode, "a", Wanted(mode, owner, reason, until), NOW)


def _sync(db: Database, site: Site | None) -> None:
    db.write(ces.sync_ces, {"a": site} if site else {}, ces.CONFIG, NOW)


def _told(db: Database) -> list[str]:
    return [line.code for line in reversed(db.read(ledger.lines, ce="a"))]


def test_what_each_mode_permits() -> None:
    assert {mode.value: (permits.new, permits.care) for mode, permits in PERMITS.items()} == {
        "on": (True, True),
        "rest": (False, True),
        "stop": (False, True),
        "drain": (False, True),
        "offline": (False, False),
        "abandoned": (False, False),
    }


@pytest.mark.parametrize(
    ("held", "wanted", "may"),
    [
        pytest.param("config", BLACKHOLE, True, id="a black hole over the configuration"),
        pytest.param(RULE, BLACKHOLE, True, id="equals"),
        pytest.param(BLACKHOLE, DOWNTIME, True, id="a downtime over a black hole"),
        pytest.param(DOWNTIME, BLACKHOLE, False, id="not the other way round"),
        pytest.param(DOWNTIME, UNSEEN, True, id="a CE that is given up"),
        pytest.param(OPERATOR, DOWNTIME, False, id="nobody over the operator: downtime"),
        pytest.param(OPERATOR, UNSEEN, False, id="nobody over the operator: given up"),
        pytest.param(OPERATOR, OPERATOR, True, id="but himself"),
    ],
)
def test_who_is_stronger(db: Database, ce: Callable[[], Ce], held: str, wanted: str, may: bool) -> None:
    _set(db, Mode.STOP, held)
    assert _set(db, Mode.OFFLINE, wanted) == may
    assert ce().mode == ("offline" if may else "stop")


def test_the_configuration_is_heard_when_the_other_mode_ends(db: Database, ce: Callable[[], Ce]) -> None:
    _set(db, Mode.REST, OPERATOR, "disk", NOW + HOUR)
    _sync(db, OFF)
    assert (ce().mode, ce().mode_owner, ce().mode_reason) == ("rest", "operator", "disk")
    assert not db.write(modes.end_over, "a", NOW + HOUR - timedelta(seconds=1))
    assert db.read(modes.over, NOW + HOUR) == ["a"]
    assert db.write(modes.end_over, "a", NOW + HOUR)
    assert not db.write(modes.end_over, "a", NOW + HOUR)  # of several writers one finds it
    assert (ce().mode, ce().mode_owner, ce().mode_until) == ("stop", "config", None)
    assert _told(db) == ["mode-rest", "", "mode-stop"]


def test_a_mode_that_is_over_stands_in_nobodys_way(db: Database, ce: Callable[[], Ce]) -> None:
    _set(db, Mode.STOP, OPERATOR, until=NOW)
    assert _set(db, Mode.REST, BLACKHOLE)
    assert ce().mode_owner == BLACKHOLE


def test_giving_back_is_for_its_owner(db: Database, ce: Callable[[], Ce]) -> None:
    _set(db, Mode.STOP, DOWNTIME)
    assert not db.write(modes.give_back, "a", BLACKHOLE, NOW)
    assert db.write(modes.give_back, "a", DOWNTIME, NOW)
    assert (ce().mode, ce().mode_owner) == ("on", "config")
    _sync(db, None)
    _set(db, Mode.STOP, DOWNTIME)
    db.write(modes.give_back, "a", DOWNTIME, NOW)
    assert (ce().mode, ce().mode_reason) == ("drain", "no longer named by config")


@pytest.mark.parametrize(
    ("site", "until", "owner"),
    [
        pytest.param(ONLINE, None, "config", id="as configured"),
        pytest.param(OFF, None, "operator", id="against the configuration"),
        pytest.param(ONLINE, NOW + HOUR, "operator", id="for a while"),
    ],
)
def test_on_by_hand(db: Database, ce: Callable[[], Ce], site: Site, until: datetime | None, owner: str) -> None:
    _sync(db, site)
    _set(db, Mode.STOP, OPERATOR)
    assert db.write(modes.back_on, "a", "mended", until, NOW)
    assert (ce().mode, ce().mode_owner, ce().mode_until) == ("on", owner, until)
    _sync(db, site)
    assert ce().mode == "on"


def test_the_ledger_hears_of_another_reason_and_of_no_repetition(db: Database, ce: Callable[[], Ce]) -> None:
    for reason in ("one", "one", "two"):
        _set(db, Mode.STOP, OPERATOR, reason)
    assert _told(db) == ["mode-stop", "", "mode-stop"]
    facts: dict[str, Any] = db.read(ledger.standing, ces=["a"])[0].facts
    assert facts == {"ce": "a", "owner": "operator", "reason": "two", "until": None}
    assert ce().mode_since == NOW


def test_a_ce_that_is_not_there(db: Database) -> None:
    assert not _set(db, Mode.STOP, OPERATOR)
    assert not db.write(modes.back_on, "a", "", None, NOW)
