"""Half fetches of processes that died."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from act_core.ce.disk import beside
from act_core.engine.leftovers import sweep, sweep_leftovers
from tests.engine.house import House

NOW = datetime(2026, 3, 10, tzinfo=UTC)


def made(path: Path, age: timedelta) -> Path:
    (path / "inside").mkdir(parents=True)
    (path / "inside" / "file").write_text("half")
    stamp = (NOW - age).timestamp()
    os.utime(path, (stamp, stamp))
    return path


@pytest.mark.parametrize(
    ("name", "hours", "stays"),
    [
        (".job.1.0123abcd.new", 25, False),
        (".job.1.0123abcd.new", 23, True),
        ("job.1", 99, True),
        (".job.1.0123abcd.other", 99, True),
        (".hidden", 99, True),
    ],
    ids=["half a fetch", "one that may still go on", "a result", "something else", "a file of somebody's"],
)
def test_what_is_swept(tmp_path: Path, name: str, hours: int, stays: bool) -> None:
    path = made(tmp_path / "manual" / "2026-03-08" / name, timedelta(hours=hours))
    os.utime(path.parent, (NOW.timestamp(), NOW.timestamp()))
    assert sweep(tmp_path, NOW) == (not stays)
    assert path.exists() is stays


def test_its_name_is_the_one_that_fetches_give(tmp_path: Path) -> None:
    path = made(beside(tmp_path / "manual" / "2026-03-08" / "job.1"), timedelta(days=2))
    os.utime(path.parent, (NOW.timestamp(), NOW.timestamp()))
    assert sweep(tmp_path, NOW) == 1
    assert not path.exists()


@pytest.mark.parametrize("replaced", [True, False])
def test_a_whole_result_that_was_put_aside_comes_back(tmp_path: Path, replaced: bool) -> None:
    day = tmp_path / "manual" / "2026-03-08"
    old = made(day / ".job.1.0123abcd.old", timedelta(days=2))
    if replaced:
        (day / "job.1").mkdir()
    os.utime(day, (NOW.timestamp(), NOW.timestamp()))
    assert sweep(tmp_path, NOW) == 1
    assert not old.exists()
    assert (day / "job.1" / "inside" / "file").exists() is not replaced


def test_days_that_nobody_touched_are_not_read(tmp_path: Path) -> None:
    path = made(tmp_path / "manual" / "2026-01-01" / ".job.1.0123abcd.new", timedelta(days=60))
    stamp = (NOW - timedelta(days=59)).timestamp()
    os.utime(path.parent, (stamp, stamp))
    assert sweep(tmp_path, NOW) == 0


def test_without_results_there_is_nothing_to_do(tmp_path: Path) -> None:
    assert sweep(tmp_path / "none", NOW) == 0


@pytest.mark.parametrize("database", ["sqlite"])
async def test_a_tower_looks_every_few_hours(house: House) -> None:
    for hours, swept in ((0, 1), (1, 0), (7, 1)):
        path = house.settings.results_dir / "manual" / "today" / ".j.1.0123abcd.new"
        path.mkdir(parents=True, exist_ok=True)
        house.ahead = timedelta(days=2, hours=hours)
        assert sum((await sweep_leftovers(house)).values()) == swept
