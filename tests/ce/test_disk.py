"""Files that arrive beside what was there, and take its place when they are whole."""

from pathlib import Path

import pytest

from act_core.ce.disk import beside, take_place


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
