"""Where logs lie: names of others lead nowhere else, and users' jobs lie apart."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from act_core.atlas.logplaces import Kind, address, area, log_url, place_of, safe
from act_core.settings.app_model import AppSettings, JobLog
from act_core.settings.model import Settings

DAY = datetime(2026, 11, 21, 23, 59, tzinfo=UTC)
LOGS = JobLog(urlprefix="https://logs.example/act/")


@pytest.mark.parametrize("name", ["CERN-PROD_UCORE", "ANALY_X.1+2", "a"])
def test_good_names_stay(name: str) -> None:
    assert safe(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../../etc", "/etc/passwd", "a/b", ".hidden", "a\x00b", "a b?#%", "ü", "\ud800", "x" * 300]
)
def test_other_names_are_one_part_of_a_path_and_of_an_address(name: str) -> None:
    made = safe(name)
    assert set(made) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.+-")
    assert not made.startswith(".")
    assert 0 < len(made) <= 110
    assert made != safe(name + "x")


@pytest.mark.parametrize(
    ("label", "analysis", "path"),
    [
        pytest.param("managed", "private", "2026-11-21/Q/7.out", id="production"),
        pytest.param("prod_test", "off", "2026-11-21/Q/7.out", id="a test"),
        pytest.param("user", "private", "private-jobs/2026-11-21/Q/7.out", id="analysis"),
        pytest.param("panda", "private", "private-jobs/2026-11-21/Q/7.out", id="a user's build job"),
        pytest.param("", "private", "private-jobs/2026-11-21/Q/7.out", id="unreadable"),
        pytest.param("user", "public", "2026-11-21/Q/7.out", id="analysis for all"),
        pytest.param("user", "off", None, id="analysis for nobody"),
    ],
)
def test_the_label_decides_who_may_look(label: str, analysis: str, path: str | None) -> None:
    logs = LOGS.model_copy(update={"analysis": analysis})
    found = place_of(logs, DAY, "Q", 7, label)
    assert (str(found.path(Kind.OUT)) if found else None) == path
    assert log_url(logs, DAY, "Q", 7, label) == (f"https://logs.example/act/{path}" if path else None)
    assert found is None or found.private == str(path).startswith("private-jobs/")


def test_without_an_address_nothing_is_published() -> None:
    assert place_of(JobLog(), DAY, "Q", 7, "managed") is None
    assert log_url(JobLog(), DAY, "Q", 7, "managed") is None


def test_each_file_has_its_address() -> None:
    found = place_of(LOGS, DAY, "Q", 7, "managed")
    assert found is not None
    names = [address(LOGS, found, kind).rpartition("/")[2] for kind in Kind]
    assert names == ["7.out", "7.log", "7.story"]


def test_the_area_is_where_it_is_said_to_be(tmp_path: Path) -> None:
    assert area(Settings(state_dir=tmp_path)) == tmp_path / "joblog"
    app = AppSettings(joblog=JobLog(dir=tmp_path / "www"))
    assert area(Settings(state_dir=tmp_path, app=app)) == tmp_path / "www"
