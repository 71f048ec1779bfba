"""What facts about the tower mean: clocks, stages, credentials, disks."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from act_core.cli.doctor import together
from act_core.disks import FileSystem
from act_core.monitor import doctor
from act_core.monitor.doctor import Check, Verdict
from act_core.settings.policy import Disk
from act_core.timetable import STAGES

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
GB = 10**9
LONG = timedelta(days=2)


@pytest.mark.parametrize(
    ("offsets", "verdict", "words"),
    [
        pytest.param({}, Verdict.SKIPPED, "nobody could be asked", id="nobody"),
        pytest.param({"a": 0.3, "b": -2}, Verdict.OK, "2 other clocks agree", id="all agree"),
        pytest.param({"a": 45}, Verdict.WARN, "a and this machine differ: a is 45 s ahead", id="one other, a little"),
        pytest.param({"a": -7200}, Verdict.BAD, "a is 2 h behind; no third clock", id="one other, much"),
        pytest.param({"a": 0, "b": 3600}, Verdict.BAD, "the clock of b is 1 h ahead", id="another one's"),
        pytest.param({"a": 0, "b": 60}, Verdict.WARN, "the clock of b is 1 min ahead", id="another one's, a little"),
        pytest.param({"a": 3600, "b": 3601}, Verdict.BAD, "of this machine is 1 h behind", id="ours, by two"),
        pytest.param({"a": -900, "b": -901, "c": 0}, Verdict.BAD, "the clock of", id="two against two"),
        pytest.param(
            {"a": 3600, "b": 3600, "c": 3600}, Verdict.BAD, "of this machine is 1 h behind", id="ours, by three"
        ),
    ],
)
def test_whose_clock_is_off(offsets: dict[str, float], verdict: Verdict, words: str) -> None:
    found = doctor.clock(offsets)
    assert found.verdict is verdict
    assert words in found.found
    assert bool(found.do) == (verdict in (Verdict.WARN, Verdict.BAD))


def test_stages_that_do_not_go_round() -> None:
    newest = dict.fromkeys(STAGES, NOW - timedelta(minutes=1))
    fresh = NOW - timedelta(seconds=8)

    def late_of(counted: datetime | None, newest: dict[str, datetime], up: timedelta | None = LONG) -> Check:
        return doctor.lateness(counted, newest, STAGES, up, NOW)

    assert late_of(fresh, newest).verdict is Verdict.OK
    assert late_of(fresh, newest, None).verdict is late_of(None, {}, timedelta(minutes=1)).verdict is Verdict.SKIPPED
    rare = newest | {"report": NOW - timedelta(minutes=11)}
    assert late_of(fresh, rare).verdict is Verdict.OK
    late = newest | {"submit": NOW - timedelta(minutes=9)}
    assert "submit for 9 min" in late_of(fresh, late).found
    for counted in (None, NOW - timedelta(minutes=5)):
        assert "were not counted" in late_of(counted, newest).found
    assert "heartbeat for 1 h or more" in late_of(fresh, {}).found
    assert "heartbeat" not in doctor.lateness(fresh, {}, {"submit"}, LONG, NOW).found


@pytest.mark.parametrize(
    ("ends", "trouble", "verdict"),
    [
        (timedelta(days=3), None, Verdict.OK),
        (timedelta(hours=3), None, Verdict.WARN),
        (timedelta(hours=-3), None, Verdict.BAD),
        (timedelta(days=3), "others can read it", Verdict.BAD),
        (None, None, Verdict.BAD),
    ],
)
def test_credentials(ends: timedelta | None, trouble: str | None, verdict: Verdict) -> None:
    found = doctor.credential("/p", NOW + ends if ends else None, trouble, "/CN=me", NOW)
    assert found.verdict is verdict


@pytest.mark.parametrize(
    ("free", "a_day", "verdict", "words"),
    [
        (50, 0, Verdict.OK, "does not fill"),
        (50, 10, Verdict.WARN, "full in 5 days"),
        (20, 30, Verdict.BAD, "full in 16 h"),
        (14, 0, Verdict.BAD, "no jobs are taken"),
        (4, 0, Verdict.BAD, "outputs stay on the CEs"),
    ],
)
def test_disks(free: int, a_day: float, verdict: Verdict, words: str) -> None:
    samples = [(NOW + timedelta(hours=n), int(a_day * n / 24 * GB)) for n in range(48)]
    found = doctor.disk(FileSystem(Path("/d"), ("results",), free * GB, 100 * GB), Disk(), samples)
    assert found.verdict is verdict
    assert words in found.found


def test_ces_that_all_say_the_same_are_one_line() -> None:
    same = [doctor.bad(f"CE c{n}", "the proxy expired", "Renew it.") for n in range(5)]
    found = together([doctor.ok("CE good", "well"), *same])
    assert [one.name for one in found] == ["CEs c0, c1, c2 and 2 more", "CE good"]
    assert doctor.worst(found) is Verdict.BAD
    assert doctor.worst([Check("a", Verdict.WARN, "")]) is Verdict.WARN
