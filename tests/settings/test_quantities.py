"""Times and paths as people write them."""

from datetime import timedelta
from pathlib import Path

import pytest

from tests.settings.written import load, problems


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("0", 0),
        ("1.5", 1.5),
        ("90 s", 90),
        ("90s", 90),
        ("2 m", 120),
        ("2min", 120),
        ("24 h", 86400),
        ("'7 d'", 604800),
    ],
)
def test_times(tmp_path: Path, written: str, seconds: float) -> None:
    settings = load(tmp_path, f"jobs: {{grace: {written}}}").settings
    assert settings.arc.jobs.grace == timedelta(seconds=seconds)


@pytest.mark.parametrize("written", ["yes", "soon", "5 weeks", "1e3", "[1]", "9" * 300, "-1", "1 h 5 min"])
def test_no_times(tmp_path: Path, written: str) -> None:
    said = "arc.yaml:1: jobs.grace: a time is wanted: seconds, or a number with s, min, h or d"
    assert problems(tmp_path, f"jobs: {{grace: {written}}}") == [said]


def test_a_home_directory_that_is_not_there(tmp_path: Path) -> None:
    assert problems(tmp_path, "db: {file: ~no-such-user-here/x}") == [
        "arc.yaml:1: db.file: there is no such home directory"
    ]
