"""Files that arrive beside what was there, and take its place when they are whole."""

import os
from pathlib import Path

import pytest

from act_core.ce.disk import beside, make_folders, new_file, take_place


def arrived(directory: Path, content: str) -> Path:
    fresh = beside(directory)
    fresh.mkdir()
    (fresh / "file").write_text(content)
    return fresh


def test_the_last_one_stays_and_nothing_else(tmp_path: Path) -> None:
    home = tmp_path / "home"
    first, second = arrived(home, "first"), arrived(home, "second")
    assert first != second
    take_place(first, home)
    assert (home / "file").read_text() == "first"
    take_place(second, home)
    assert (home / "file").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_what_was_there_stays_if_nothing_arrived(tmp_path: Path) -> None:
    home = tmp_path / "home"
    take_place(arrived(home, "old"), home)
    with pytest.raises(FileNotFoundError):
        take_place(beside(home), home)
    assert (home / "file").read_text() == "old"


@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_folders_are_made_for_their_owner_to_write(tmp_path: Path, mode: int) -> None:
    before = os.umask(0)
    try:
        make_folders(tmp_path / "a" / "b" / "c", mode)
        make_folders(tmp_path / "a" / "b" / "c", mode)
        with new_file(tmp_path / "a" / "file") as file:
            file.write(b"x")
    finally:
        os.umask(before)
    made = [tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "c"]
    assert {one.stat().st_mode & 0o777 for one in made} == {mode}
    assert (tmp_path / "a" / "file").stat().st_mode & 0o777 == 0o644
    with pytest.raises(FileExistsError):
        new_file(tmp_path / "a" / "file")
