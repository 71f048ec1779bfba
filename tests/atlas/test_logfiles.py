"""Files of the web area: whole, small enough, of the right modes, without what links lead to; old ones go."""

import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path, PurePosixPath

import pytest

from act_core.atlas import logfiles

OLDEST = date(2026, 11, 7)


@pytest.fixture(params=[0o077, 0o000, 0o022], ids=["077", "000", "022"])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def modes(area: Path) -> dict[str, str]:
    return {str(path.relative_to(area)): f"{path.stat().st_mode & 0o777:o}" for path in sorted(area.rglob("*"))}


@pytest.mark.usefixtures("umask")
def test_modes_are_those_of_the_part(tmp_path: Path) -> None:
    area = tmp_path / "www"
    logfiles.put(area, PurePosixPath("d/Q/7.out"), b"x", private=False)
    logfiles.put(area, PurePosixPath("private-jobs/d/Q/7.out"), b"x", private=True)
    public = {"d": "755", "d/Q": "755", "d/Q/7.out": "644"}
    private = {
        "private-jobs": "750",
        "private-jobs/d": "750",
        "private-jobs/d/Q": "750",
        "private-jobs/d/Q/7.out": "640",
    }
    assert modes(area) == public | private


def test_modes_that_the_operator_gave_to_directories_stay(tmp_path: Path) -> None:
    (tmp_path / "private-jobs").mkdir(mode=0o700)
    logfiles.put(tmp_path, PurePosixPath("private-jobs/d/Q/7.out"), b"x", private=True)
    assert modes(tmp_path)["private-jobs"] == "700"


@pytest.mark.usefixtures("umask")
def test_the_group_that_the_operator_gave_is_handed_down(tmp_path: Path) -> None:
    (tmp_path / "private-jobs").mkdir()
    (tmp_path / "private-jobs").chmod(0o2750)
    logfiles.put(tmp_path, PurePosixPath("private-jobs/d/Q/7.out"), b"x", private=True)
    assert f"{(tmp_path / 'private-jobs/d/Q').stat().st_mode & 0o7777:o}" == "2750"


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = PurePosixPath("d/Q/7.out")
    logfiles.put(tmp_path, path, b"old", private=False)
    reader = (tmp_path / path).open("rb")
    logfiles.put(tmp_path, path, b"new and longer", private=False)
    with reader:
        assert reader.read() == b"old"
    assert (tmp_path / path).read_bytes() == b"new and longer"
    (tmp_path / path).unlink()
    (tmp_path / path).mkdir()  # in the way
    with pytest.raises(OSError):
        logfiles.put(tmp_path, path, b"newer", private=False)
    assert names(tmp_path / "d" / "Q") == ["7.out"]


def test_plain_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "gmlog").mkdir()
    (tmp_path / "gmlog" / "errors").write_bytes(b"said")
    assert logfiles.read(tmp_path, "gmlog/errors", 100) == b"said"
    for absent in ("gmlog/other", "nothing/errors", "gmlog/errors/deeper"):
        assert logfiles.read(tmp_path, absent, 100) is None
    assert logfiles.read(tmp_path / "absent", "x", 100) is None


def test_links_lead_nowhere(tmp_path: Path) -> None:
    outside, home = tmp_path / "outside", tmp_path / "home"
    outside.mkdir()
    home.mkdir()
    (outside / "errors").write_bytes(b"hush")
    (home / "gmlog").symlink_to(outside)
    (home / "out").symlink_to(outside / "errors")
    (home / "loop").symlink_to("loop")
    os.mkfifo(home / "pipe")
    for name in ("gmlog/errors", "out", "loop", "pipe"):
        assert logfiles.read(home, name, 100) is None
    (home / "folder").mkdir()
    open_before = set(Path("/proc/self/fd").iterdir())
    assert logfiles.read(home, "folder", 100) is None
    assert set(Path("/proc/self/fd").iterdir()) <= open_before
    assert logfiles.only_file(home, but="heartbeat.json") is None


def test_the_output_is_the_file_that_is_not_the_report(tmp_path: Path) -> None:
    for name in (".act-commit", "heartbeat.json"):
        (tmp_path / name).touch()
    (tmp_path / "gmlog").mkdir()
    assert logfiles.only_file(tmp_path, but="heartbeat.json") is None
    (tmp_path / "log.4711").touch()
    assert logfiles.only_file(tmp_path, but="heartbeat.json") == "log.4711"
    assert logfiles.only_file(tmp_path / "absent", but="") is None


@pytest.mark.parametrize(
    ("size", "most", "left_out"), [(100, 100, None), (101, 100, 1), (1001, 100, 901), (0, 100, None)]
)
def test_a_long_file_keeps_its_head_and_its_tail(tmp_path: Path, size: int, most: int, left_out: int | None) -> None:
    content = bytes(n % 251 for n in range(size))
    (tmp_path / "f").write_bytes(content)
    found = logfiles.read(tmp_path, "f", most)
    assert found is not None
    if left_out is None:
        assert found == content
        return
    half = most // 2
    assert found[:half] == content[:half]
    assert found[-half:] == content[-half:]
    assert f"[… {left_out} bytes are left out here …]" in found[half:-half].decode()


def make(area: Path, *names: str) -> None:
    for name in names:
        (area / name).parent.mkdir(parents=True, exist_ok=True)
        (area / name).touch()


def files(area: Path) -> set[str]:
    return {str(path.relative_to(area)) for path in area.rglob("*") if not path.is_dir()}


def test_old_days_go_with_their_directories(tmp_path: Path) -> None:
    make(
        tmp_path,
        "2026-11-06/Q/1.out",
        "2026-11-06/Q/.1.out.x7y",
        "2026-11-06/R/2.story",
        "private-jobs/2025-01-01/Q/3.log",
    )
    make(tmp_path, "2026-11-07/Q/4.out", "private-jobs/2026-11-30/Q/5.out")
    assert logfiles.purge(tmp_path, OLDEST, 100) == 4
    assert files(tmp_path) == {"2026-11-07/Q/4.out", "private-jobs/2026-11-30/Q/5.out"}
    assert names(tmp_path) == ["2026-11-07", "private-jobs"]
    assert names(tmp_path / "private-jobs") == ["2026-11-30"]


def test_it_is_removed_bit_by_bit(tmp_path: Path) -> None:
    make(tmp_path, *(f"2026-11-0{day}/Q/{n}.out" for day in (1, 2) for n in range(5)))
    assert [logfiles.purge(tmp_path, OLDEST, 4) for _ in range(4)] == [4, 4, 2, 0]
    assert names(tmp_path) == []


def test_what_is_not_of_our_making_stays(tmp_path: Path) -> None:
    area, elsewhere = tmp_path / "www", tmp_path / "elsewhere"
    make(elsewhere, "Q/1.out", "2.out")
    foreign = {"2026-01-01/Q/readme", "2026-01-01/index.html", "notes/Q/1.out", "2026-01-01/Q/1.out.bak"}
    make(area, *foreign, "2026-01-01/Q/1.out")
    (area / "2026-01-02").symlink_to(elsewhere)
    (area / "2026-01-03").mkdir()
    (area / "2026-01-03" / "Q").symlink_to(elsewhere)
    assert logfiles.purge(area, OLDEST, 100) == 1
    assert files(area) - {"2026-01-02", "2026-01-03/Q"} == foreign
    assert files(elsewhere) == {"Q/1.out", "2.out"}


def test_an_area_that_is_not_there_has_nothing_to_remove(tmp_path: Path) -> None:
    assert logfiles.purge(tmp_path / "absent", OLDEST, 100) == 0
