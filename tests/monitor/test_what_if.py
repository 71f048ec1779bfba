"""What may be changed, and what is said of the rest."""

from datetime import UTC, datetime, timedelta

import pytest

from act_core.db.past import HeldThen
from act_core.db.policy_models import LedgerLine
from act_core.errors import BadInput
from act_core.monitor.what_if import _then, closed
from act_core.monitor.what_if_keys import Terms, changed
from act_core.settings.model import Jobs, Site
from act_core.settings.policy import Fill

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
TERMS = Terms(Site(maxjobs=100), Jobs(), Fill(shares={"prod": 3}))


def test_each_key_is_a_setting() -> None:
    words = ["a=0.2", "b = 300", "maxjobs=2000", "batch=10", "fill.rate=30", "shares.user=0.5", "stalled=2 h"]
    made = changed(TERMS, words)
    assert (made.site.queuefraction, made.site.queueoffset, made.site.maxjobs, made.site.batch) == (0.2, 300, 2000, 10)
    assert (made.fill.rate, made.fill.stalled, made.fill.shares) == (30, 2 * HOUR, {"prod": 3, "user": 0.5})
    assert changed(made, ["rate=none"]).fill.rate is None


@pytest.mark.parametrize(
    ("word", "complaint"),
    [
        pytest.param("b", "key=value is wanted", id="no value"),
        pytest.param("b=", "--set 'b='", id="an empty one"),
        pytest.param("b=-1", "greater than or equal to 0", id="below zero"),
        pytest.param("b=much", "an integer is wanted", id="no number"),
        pytest.param("maxjob=3", "did you mean 'maxjobs'", id="a typo"),
        pytest.param("shares.prod=0", "greater than 0", id="no weight"),
        pytest.param("unit=cores", "wanted: 'jobs' or 'slots'", id="no unit"),
        pytest.param("patience=3", "no key 'patience'; there are a, b", id="another setting"),
    ],
)
def test_mistakes_are_named(word: str, complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        changed(TERMS, [word])


def _line(hours: float, code: str, topic: str = "mode", **facts: object) -> LedgerLine:
    return LedgerLine(at=BEGIN + hours * HOUR, topic=topic, ce="ce1", share="", job_id=0, code=code, n=0, facts=facts)


def test_when_the_mode_let_nothing_through() -> None:
    held = HeldThen("mode", "ce1", "", 0, "mode-rest", BEGIN - HOUR, 0, {})
    lines = [_line(1, ""), _line(2, "full", "submit"), _line(3, ""), _line(3, "mode-stop"), _line(4, "mode-drain")]
    end = BEGIN + 6 * HOUR
    hours = [[(at - BEGIN) / HOUR for at in part] for part in closed([held], lines, BEGIN, end)]
    assert hours == [[0, 1], [3, 4], [4, 6]]
    assert closed([], lines[1:3], BEGIN, end) == ()


def test_what_was_set_that_day_is_told_by_the_ledger() -> None:
    lines = [
        _line(1, "queue-full", "submit", a=0.15, b=50),
        _line(2, "share-full", "submit", a=0.15, b=7.5),
        _line(3, "stalled", "submit", a=0.15, b=25.0, b_set=50),
        _line(4, "full", "submit", on_ce=80, maxjobs=80),
    ]
    then, notes = _then(TERMS, lines)
    assert (then.site.queueoffset, then.site.maxjobs) == (50, 80)
    assert notes == (
        "b was 50 that day, by the ledger, and is 100 now.",
        "maxjobs was 80 that day, by the ledger, and is 100 now.",
    )
