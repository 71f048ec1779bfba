"""What a lack of space stops, and when a disk will be full."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from act_core.disks import (
    FileSystem,
    Sample,
    Stops,
    foretold,
    left,
    limit_in_words,
    looked_at,
    samples_of,
    size,
    stops,
    with_sample,
)
from act_core.settings.model import ArcSettings, Settings
from act_core.settings.policy import Disk

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
GB = 10**9
LIMITS = Disk()


def disk(free: float) -> FileSystem:
    return FileSystem(Path("/d"), ("results",), int(free * GB), 100 * GB)


@pytest.mark.parametrize(
    ("free", "limits", "before", "what"),
    [
        (50, LIMITS, Stops.NOTHING, Stops.NOTHING),
        (15, LIMITS, Stops.NOTHING, Stops.NOTHING),
        (14.9, LIMITS, Stops.NOTHING, Stops.JOBS),
        (4.9, LIMITS, Stops.NOTHING, Stops.DOWNLOADS),
        (15.1, LIMITS, Stops.JOBS, Stops.JOBS),
        (16, LIMITS, Stops.JOBS, Stops.NOTHING),
        (5.1, LIMITS, Stops.DOWNLOADS, Stops.DOWNLOADS),
        (5.1, LIMITS, Stops.JOBS, Stops.JOBS),
        (19, Disk.model_validate({"fetchjobs": "20 GB"}), Stops.NOTHING, Stops.JOBS),
        (0, Disk.model_validate({"fetchjobs": 0, "downloads": 0}), Stops.NOTHING, Stops.NOTHING),
    ],
)
def test_what_stops(free: float, limits: Disk, before: Stops, what: Stops) -> None:
    assert stops(disk(free), limits, before) is what


def grown(hours: int, a_day: float, start: datetime = NOW, used: float = 10) -> list[Sample]:
    return [(start + timedelta(hours=n), int((used + a_day * n / 24) * GB)) for n in range(hours)]


@pytest.mark.parametrize(
    ("samples", "days", "words"),
    [
        ([], None, "How fast it fills is not known yet."),
        (grown(2, 5), None, "How fast it fills is not known yet."),
        (grown(48, 0), None, "It does not fill at present."),
        (grown(48, -1), None, "It does not fill at present."),
        (grown(48, 10), 9, "At this pace it is full in 9 days."),
        (grown(48, 0.01), 3650, "It does not fill at present."),
        # of late ten times faster than before: that is what counts
        (grown(240, 0) + grown(25, 100, NOW + timedelta(hours=240)), 0.9, "At this pace it is full in 22 h."),
    ],
    ids=["nothing", "too little", "still", "less", "steady", "slow", "of late"],
)
def test_how_long_it_lasts(samples: list[Sample], days: float | None, words: str) -> None:
    lasts = left(90 * GB, samples)
    assert (None if lasts is None else lasts / timedelta(days=1)) == (days and pytest.approx(days, rel=0.05))
    assert foretold(90 * GB, samples) == words


def test_samples_are_kept_hourly_for_two_weeks() -> None:
    samples: list[Sample] = []
    for n in range(6 * 24 * 20):
        samples = with_sample(samples, NOW + timedelta(minutes=10 * n), n)
    assert len(samples) in (336, 337)
    assert samples[-1][1] > 6 * 24 * 19


def test_a_file_of_samples_may_say_anything() -> None:
    read = {"/a": [[NOW.isoformat(), 5], ["x", 1], [NOW.replace(tzinfo=None).isoformat(), 1], 7, []], "/b": 3}
    assert dict(samples_of(read)) == {"/a": [(NOW, 5)], "/b": []}
    assert dict(samples_of([1])) == {}


def test_each_file_system_is_looked_at_once_and_directories_need_not_be_there_yet(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path / "not" / "yet", arc=ArcSettings())
    (one,), silent = looked_at(settings)
    assert (one.path, one.what, silent) == (tmp_path, ("results", "state", "logs", "state tables"), [])
    assert 0 < one.free <= one.total

    def broken(_path: Path) -> os.statvfs_result:  # a file system that is gone cannot be had here
        raise OSError(5, "Input/output error")

    assert looked_at(settings, broken)[1][0] == f"{tmp_path} (results): Input/output error"


def test_in_words() -> None:
    assert [size(0), size(999), size(12_345_000_000), size(3 * 10**15)] == ["0 B", "999 B", "12.3 GB", "3.0 PB"]
    assert [limit_in_words(0.15), limit_in_words(20e9)] == ["15 %", "20.0 GB"]
