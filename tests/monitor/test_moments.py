"""Moments as people write them."""

from datetime import UTC, datetime, timedelta

import pytest

from act_core.errors import BadInput
from act_core.monitor.moments import day, future, past

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        pytest.param("2h ago", NOW - timedelta(hours=2), id="a while ago"),
        pytest.param("90 min", NOW - timedelta(minutes=90), id="a length alone"),
        pytest.param("09:30", NOW.replace(hour=9, minute=30), id="today"),
        pytest.param("today 9:30:05", NOW.replace(hour=9, minute=30, second=5), id="today, by its name"),
        pytest.param("yesterday 14:00", datetime(2026, 2, 28, 14, tzinfo=UTC), id="yesterday"),
        pytest.param("Yesterday", datetime(2026, 2, 28, tzinfo=UTC), id="yesterday's midnight"),
        pytest.param("2026-02-27", datetime(2026, 2, 27, tzinfo=UTC), id="a day"),
        pytest.param("2026-03-01T12:30+01:00", NOW - timedelta(minutes=30), id="elsewhere"),
        pytest.param(" now ", NOW, id="now"),
    ],
)
def test_what_is_over(text: str, meant: datetime) -> None:
    assert past(text, NOW) == meant


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("13:00", "2026-03-01T13:00:00Z, and has not come yet", id="later today"),
        pytest.param("2027-01-01", "has not come yet", id="next year"),
        pytest.param("25:00", "a time is wanted", id="no hour"),
        pytest.param("last week", "a time is wanted", id="words"),
        pytest.param("", "a time is wanted", id="nothing"),
        pytest.param("9999999 d ago", "before all calendars", id="long ago"),
        pytest.param("99999999999999999999 d ago", "a time is wanted", id="too long ago"),
    ],
)
def test_what_is_not(text: str, complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint) as refused:
        past(text, NOW)
    assert str(refused.value).startswith("--at ")


def test_a_day_begins_at_midnight() -> None:
    assert day("yesterday 14:00", NOW) == datetime(2026, 2, 28, tzinfo=UTC)
    with pytest.raises(BadInput, match="--day 'soon'"):
        day("soon", NOW)


def test_what_is_to_come() -> None:
    assert future("in 2h", NOW) == NOW + timedelta(hours=2)
    assert future("22:00", NOW) == NOW.replace(hour=22)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        pytest.param("", None, id="for good"),
        pytest.param("2h", NOW + timedelta(hours=2), id="a while"),
        pytest.param("90", NOW + timedelta(seconds=90), id="seconds"),
        pytest.param("2026-03-02", NOW + timedelta(hours=12), id="a day"),
        pytest.param("2026-03-01T12:30", NOW + timedelta(minutes=30), id="a moment, UTC"),
        pytest.param("2026-03-01T13:30+01:00", NOW + timedelta(minutes=30), id="a moment elsewhere"),
    ],
)
def test_until(text: str, meant: datetime | None) -> None:
    assert future(text, NOW) == meant


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("tomorrow", "a time is wanted", id="no time"),
        pytest.param("0", "that has passed", id="now"),
        pytest.param("2026-02-28", "that has passed", id="yesterday"),
        pytest.param("99999999d", "nobody waits so long", id="beyond the calendar"),
    ],
)
def test_until_when(text: str, complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        future(text, NOW)
