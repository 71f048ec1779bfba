"""Downtimes as the configuration announces them, and which CE they mean."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from act_core.db import downtimes
from act_core.db.downtimes import FOREVER, Downtime
from act_core.db.modes import Mode
from act_core.db.session import Database
from act_core.settings.policy import Announced
from act_core.settings.policy import Downtime as Section

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ENDPOINT = "https://CE1.example.org:443/arex"


@pytest.mark.parametrize(
    ("named", "concerned"),
    [
        pytest.param("ce1", True, id="its name"),
        pytest.param("*", True, id="every CE"),
        pytest.param("https://ce1.example.org/arex/", True, id="its endpoint"),
        pytest.param("ce1.example.org/arex", True, id="its endpoint without a scheme"),
        pytest.param("ce1.example.org", False, id="another path"),
        pytest.param("1.example.org/arex", False, id="bug 13: the end of its endpoint"),
        pytest.param("", False, id="nothing"),
    ],
)
def test_who_is_meant(named: str, concerned: bool) -> None:
    assert Downtime(named, NOW, NOW + HOUR).concerns("ce1", ENDPOINT) is concerned
    assert not Downtime(named, NOW, NOW + HOUR).concerns("other", "") or named == "*"


def test_what_holds_now_and_what_is_ahead() -> None:
    short = Downtime("*", NOW - HOUR, NOW + HOUR)
    long, hard = Downtime("*", NOW, NOW + 2 * HOUR), Downtime("*", NOW, NOW + timedelta(1), Mode.OFFLINE)
    later, next_one = Downtime("*", NOW + 5 * HOUR, NOW + 6 * HOUR), Downtime("*", NOW + HOUR, NOW + 2 * HOUR)
    assert downtimes.under_way([short, long, later], NOW) == long
    assert downtimes.under_way([short, hard, long], NOW) == hard
    assert downtimes.under_way([short], NOW + HOUR) is None
    assert downtimes.ahead([short, later, next_one], NOW) == next_one


def test_the_rows_follow_what_is_said(db: Database) -> None:
    said = Section(
        clusters=("ce1",), announced=(Announced(ce="ce2", start="2026-03-02 08:00", end="2026-03-02T12:00+02:00"),)
    )
    db.write(downtimes.sync_downtimes, "cric", [Downtime("ce1", NOW, NOW + HOUR, reason="power")])
    db.write(downtimes.sync_configured, said)
    db.write(downtimes.sync_configured, said)
    listed, cric, announced = db.read(downtimes.coming, NOW)
    assert (listed.ce, listed.mode, listed.until, listed.end) == ("ce1", Mode.OFFLINE, None, FOREVER)
    assert (cric.reason, cric.until) == ("power", NOW + HOUR)
    assert (announced.start.hour, announced.end.hour) == (8, 10)  # UTC
    longer = Announced(ce="ce2", start="2026-03-02 08:00", end="2026-03-02 20:00", mode="offline")
    db.write(downtimes.sync_configured, Section(announced=(longer,)))
    assert [one.mode for one in db.read(downtimes.coming, NOW + HOUR)] == [Mode.OFFLINE]
    db.write(downtimes.sync_configured, Section())
    assert [one.reason for one in db.read(downtimes.coming, NOW)] == ["power"]


def test_an_end_before_its_start_is_refused() -> None:
    with pytest.raises(ValidationError, match="the end comes after the start"):
        Announced(ce="a", start=NOW, end=NOW)
