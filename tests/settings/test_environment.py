"""Variables reach into every section and win."""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from act_core.settings import load_settings
from tests.settings.written import load, problems


def test_the_environment_wins(tmp_path: Path) -> None:
    arc = "db: {type: mysql, password: old}\nsites:\n  Ce1.Example.org: {maxjobs: 5}\nvoms: {proxypath: /old}\n"
    env = {
        "ACT_DB__PASSWORD": "[12: 3",
        "ACT_JOBS__CHECKINTERVAL": "5 min",
        "ACT_SITES__CE1_EXAMPLE_ORG__MAXJOBS": "7",
        "ACT_SITES__CE2": "{endpoint: https://ce2, options: {queue: [a, b]}}",
        "ACT_SITES__CE2__TWO_PHASE": "no",
        "ACT_MODULES__APP": "[atlas]",
        "ACT_VOMS__PROXYPATH": "",
        "ACT_PANDA__TOKENFILE": "~/token",
        "ACT_LOGGER__LEVEL": "WARNING",
        "ACT_TEST_MYSQL_URL": "x",
        "ACT_REAL__THING": "x",
        "ACT_REQUIRE": "mysql",
        "ACTUAL": "x",
    }
    settings = load(tmp_path, arc, env=env).settings
    assert settings.arc.db.password.get_secret_value() == "[12: 3"
    assert settings.arc.jobs.checkinterval == timedelta(minutes=5)
    assert settings.arc.sites["Ce1.Example.org"].maxjobs == 7
    assert settings.arc.sites["ce2"].options == {"queue": ["a", "b"]}
    assert settings.arc.sites["ce2"].two_phase is False
    assert settings.app.modules.app == ("atlas",)
    assert settings.arc.voms.proxypath is None
    assert settings.app.panda.tokenfile == Path("~/token").expanduser()
    assert settings.arc.logger.level == "warning"
    assert settings.where("db.password") == "$ACT_DB__PASSWORD"
    assert settings.where("db.type") == f"{tmp_path}/arc.yaml:1"
    assert settings.where("sites.ce2.options.queue") == "$ACT_SITES__CE2"
    assert settings.where("voms.proxypath") == f"{tmp_path}/arc.yaml:4"


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("ACT_DB_PASSWORD", "$ACT_DB_PASSWORD: no key; did you mean $ACT_DB__PASSWORD?"),
        ("ACT_DB", "$ACT_DB: no key; did you mean $ACT_DB__KEY?"),
        ("ACT_DB__", "$ACT_DB__: no key; did you mean $ACT_DB__KEY?"),
        ("ACT_JOB__ATTEMPTS", "$ACT_JOB__ATTEMPTS: no section job; did you mean jobs?"),
        ("ACT_MODULES__APP", "$ACT_MODULES__APP:1: not YAML: expected ',' or ']', but got '<stream end>'"),
        ("ACT_DB__PORT", "$ACT_DB__PORT:1: not YAML: expected ',' or ']', but got '<stream end>'"),
    ],
)
def test_a_variable_that_is_no_key_is_an_error_without_its_value(tmp_path: Path, variable: str, said: str) -> None:
    assert problems(tmp_path, env={variable: "[hunter2"}) == [said]


def test_a_variable_that_could_mean_two_sites(tmp_path: Path) -> None:
    told = problems(tmp_path, "sites: {a.b: {}, a-b: {}}", env={"ACT_SITES__A_B__MAXJOBS": "1"})
    assert told == ["$ACT_SITES__A_B__MAXJOBS: is that a.b or a-b?"]


def test_a_variable_that_is_not_utf8(tmp_path: Path) -> None:
    assert problems(tmp_path, env={"ACT_DB__NAME": "\udce9"}) == ["$ACT_DB__NAME: not UTF-8"]


def test_a_variable_without_a_section_is_not_ours(tmp_path: Path) -> None:
    assert load(tmp_path, env={"ACT_ONE": "[", "ACT_DBX": "["}).settings.arc.db.name == "act"


def test_a_files_wrong_section_is_still_told_when_a_variable_reaches_into_it(tmp_path: Path) -> None:
    assert problems(tmp_path, "db: 5", env={"ACT_DB__PORT": "1"}) == ["arc.yaml:1: db: a section with keys is wanted"]


def test_the_process_environment_is_read_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACT_STATE_DIR", str(tmp_path))
    assert load_settings().settings.state_dir == Path(os.environ["ACT_STATE_DIR"])
