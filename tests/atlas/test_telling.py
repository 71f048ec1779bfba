"""What the logs of a job say that has nobody to speak for it."""

from pathlib import Path

import pytest

from act_core.atlas.telling import MOST_LINES, ROOM, telling_lines


def logs(directory: Path, **files: str) -> Path:
    for name, text in files.items():
        path = directory / name.replace("__", "/")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode(errors="surrogateescape"))
    return directory


def test_the_telling_lines_of_both_logs(tmp_path: Path) -> None:
    found = logs(
        tmp_path,
        gmlog__errors="2026 doing well\n2026 ERROR: no disk\n",
        pilotlog="fine\nWarning: slow\nfine again\n",
    )
    assert telling_lines(found, "CE job 5 at ce") == "\n".join(
        ["CE job 5 at ce", "2026 ERROR: no disk", "Warning: slow"]
    )


def test_without_logs_there_is_the_jobs_id_or_nothing(tmp_path: Path) -> None:
    assert telling_lines(tmp_path / "none", "CE job 5 at ce") == "CE job 5 at ce"
    assert telling_lines(tmp_path / "none") is None


def test_lines_that_may_hold_a_secret_are_left_out(tmp_path: Path) -> None:
    found = logs(tmp_path, gmlog__errors="error: Bearer abc\nfailed: token=abc\nerror: other\n")
    assert telling_lines(found) == "error: other"


def test_a_huge_log_costs_little_and_its_end_counts(tmp_path: Path) -> None:
    lines = "".join(f"error number {n}\n" for n in range(100_000))
    told = telling_lines(logs(tmp_path, pilotlog=lines))
    assert told is not None
    assert told.endswith("error number 99999")
    assert len(told) <= ROOM
    assert len(told.splitlines()) <= MOST_LINES


@pytest.mark.parametrize("text", ["error \udcff\x00\x1b[31m red", "error " + "x" * 100_000])
def test_odd_bytes_are_made_readable(tmp_path: Path, text: str) -> None:
    told = telling_lines(logs(tmp_path, pilotlog=text))
    assert told is not None
    assert told.isprintable()
    assert len(told) <= ROOM
