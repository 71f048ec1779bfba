"""The original's commands, by their own names; and a tower that comes up with the original's configuration."""

import importlib
import sys
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from act_core.cli.context import use_files
from act_core.db.session import Database
from act_core.settings import load_settings
from tests.cli.conftest import Act, Said
from tests.cli.test_report import APP, panda
from tests.cli.test_tables import Tables

ROOT = Path(__file__).parents[2]
OLD = ROOT / "tests" / "settings" / "data"
NAMES = ("actbootstrap", "actcriticalmonitor", "actheartbeatwatchdog", "actmain", "actreport")


@pytest.fixture
def original(act: Act, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """A command as the installed script starts it."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]

    def run(name: str, *words: object) -> Said:
        module, _, function = scripts[name].partition(":")
        monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
        capsys.readouterr()
        use_files(None, None)
        with pytest.raises(SystemExit) as ended:
            getattr(importlib.import_module(module), function)()
        code = ended.value.code
        assert code is None or isinstance(code, int)
        return Said(code or 0, *capsys.readouterr())

    return run


Original = Callable[..., Said]


@pytest.mark.parametrize("name", NAMES)
def test_every_name_has_help_and_refuses_what_it_does_not_know(original: Original, name: str) -> None:
    assert (original(name, "--help").code, f"Usage: {name}" in original(name, "-h").out) == (0, True)
    assert original(name, "--nosuch").code == 2


def test_what_they_do(original: Original, place: Path) -> None:
    assert original("actbootstrap").out.startswith("state tables already there")
    assert original("actreport", "--json").json["tables"][0]["title"] == "ARC CEs"
    assert original("actmain", "status").code == 1
    assert original("actmain", "status", "--json").json["up"] is False
    assert original("actmain", "stop").out == "no tower was up\n"
    assert original("actmain", "begin").code == 2


def test_verdicts_are_sentences(original: Original, place: Path) -> None:
    (place / "aCTConfigARC.yaml").write_text("sites: 5\n")
    for name in ("actbootstrap", "actreport", "actcriticalmonitor"):
        said = original(name)
        assert (said.code, said.err) == (2, "aCTConfigARC.yaml:1: sites: a section with keys is wanted\n")


def test_the_monitor_is_silent_without_errors_whatever_the_files_warn_of(original: Original, place: Path) -> None:
    (place / "aCTConfigARC.yaml").write_text("periodicrestart: {actsubmitter: 120}\n")
    said = original("actcriticalmonitor")
    assert (said.code, "no log is there" in said.err) == (2, True)
    log = place / "state" / "log" / f"act-{datetime.now(UTC):%Y-%m-%d}.log"
    log.parent.mkdir()
    log.write_text("")
    assert original("actcriticalmonitor") == Said(0, "", "")
    now = datetime.now(UTC)
    log.write_text(
        f"{now:%Y-%m-%dT%H:%M:%S}.000Z ERROR act.engine.poll job \x1b[31m7 broke\n    Traceback: here\n"
        f"{now:%Y-%m-%dT%H:%M:%S}.000Z ERROR act.engine.poll job 8 broke\n"
    )
    said = original("actcriticalmonitor")
    assert (said.code, said.lines[0]) == (1, "2 errors in the last 1 h, of 2 kinds; the newest:")
    assert "\x1b" not in said.out
    assert original("actcriticalmonitor", "--json").json["n"] == 2
    assert original("actcriticalmonitor", "--since", "soon").code == 2


def test_the_watchdog_tells_who_is_late_and_that_panda_was_not_told(original: Original, place: Path) -> None:
    (place / "aCTConfigAPP.yaml").write_text(APP.replace("'https://panda.example.org'", "'https://127.0.0.1:9'"))
    assert original("actheartbeatwatchdog", 100) == Said(0, "", "")
    assert original("actheartbeatwatchdog").code == 2
    db = Database(load_settings().settings)
    tables = Tables(db)
    tables.now -= timedelta(hours=1)
    panda(db, tables, ("Q1", "sent", "starting", 1), ("Q1", "running", "running", 1), server="127.0.0.1:9")
    db.close()
    said = original("actheartbeatwatchdog", 100)
    assert said.code == 1
    assert [line.rpartition(" because")[2] for line in said.lines[1:3]] == said.lines[1:3]
    assert said.lines[1].endswith("could be no CE has it yet")
    assert said.lines[2].endswith("NO no attempt stands for it (docs/safety.md)")
    assert said.lines[3] == "2 late: the tower knows how 1 are, and not of 1"
    assert said.err.startswith("warning: PanDA was not told: ")
    assert [row["sent"] for row in original("actheartbeatwatchdog", 100, "--json").json["late"]] == [False, False]


def test_a_tower_without_panda_has_no_heartbeats(original: Original) -> None:
    said = original("actheartbeatwatchdog", 100)
    assert (said.code, "modules.app does not name atlas" in said.err) == (2, True)


def test_a_tower_comes_up_with_the_originals_files(bare: Act, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("ARC", "APP"):
        text = (OLD / f"original-{kind.lower()}.yaml").read_text()
        (place / f"aCTConfig{kind}.yaml").write_text(text.replace("/data/act", str(place / "old")))
    monkeypatch.setenv("ACT_DB__TYPE", "sqlite")  # there is no server with its account here
    checked = bare("config", "check")
    assert checked.code == 0
    assert bare("bootstrap").out.startswith("state tables made")
    swept = bare("sweep", "all")
    assert (swept.code, swept.out.startswith("all: ")) == (0, True)
    assert {line.partition(":")[0] for line in swept.err.splitlines() if "no effect" in line} == {"warning"}
    assert bare("report").code == 0
