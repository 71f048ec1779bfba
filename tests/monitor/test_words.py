"""Moments, spans, and sentences that are filled whatever the facts are."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from act_core.monitor.sentences import filled
from act_core.monitor.times import moment, some, span

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (61, "61 s"),
        (3600, "1 h"),
        (5400, "90 min"),
        (7200, "2 h"),
        (-86400, "1 d"),
    ],
)
def test_spans(seconds: int, told: str) -> None:
    assert span(timedelta(seconds=seconds)) == told


def test_moments_and_numbers() -> None:
    assert moment(NOW - timedelta(hours=2), NOW) == "10:00:00Z (2 h ago)"
    assert moment(NOW + timedelta(days=3), NOW) == "2026-03-04 12:00Z (in 3 d)"
    assert moment(None, NOW) == "…"
    assert [some(1), some(2, "error")] == ["1 job", "2 errors"]


@pytest.mark.parametrize(
    ("template", "facts", "told"),
    [
        pytest.param("{a} of {b}", {"a": 1}, "1 of …", id="a missing fact"),
        pytest.param("{a:g}", {"a": "much"}, "much", id="a text for a number"),
        pytest.param(
            "by {owner}: {reason}. Until: {until}.",
            {"until": None, "owner": "", "reason": "x"},
            "by somebody: x. Until: somebody ends it.",
            id="a mode without an end",
        ),
        pytest.param("{a:g}", {"a": None}, "…", id="nothing for a number"),
        pytest.param("{a.b} {a[0]} {0}", {"a": 1}, "… … …", id="what is not in a fact"),
        pytest.param("{a!z}", {"a": 1}, "1", id="an odd conversion"),
        pytest.param("{a", {"a": 1}, "{a", id="no template"),
        pytest.param("{a}", {"a": "x" * 1000}, "x" * 400, id="a long fact"),
        pytest.param("{a}", {"a": ["ce1", "ce2"]}, "ce1, ce2", id="a list"),
        pytest.param("{a}", {"a": "2026-03-01T10:00:00+00:00"}, "10:00:00Z (2 h ago)", id="a time"),
        pytest.param("{a}", {"a": NOW}, "12:00:00Z (0 s ago)", id="a moment"),
    ],
)
def test_a_sentence_is_filled(template: str, facts: dict[str, Any], told: str) -> None:
    assert filled(template, facts, NOW) == told
