"""`act simulate arc`: jobs really run unless runs are asked for, and a new tower has what it needs to try it."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from rich.console import Console

from act_core.cli import simulate
from act_core.simulators.arc import ArcOptions
from act_core.simulators.arc_pilot import native_payload, running_payload
from act_core.simulators.panda import PandaOptions
from act_core.simulators.panda_jobs import JobOrder, render
from tests.cli.conftest import Act


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[ArcOptions]:
    """What would be served."""
    found: list[ArcOptions] = []
    monkeypatch.setattr(simulate, "serve_arc", found.append)
    monkeypatch.setattr(simulate, "_serve", lambda opening, _ready: opening())
    return found


def test_jobs_really_run(bare: Act, opened: list[ArcOptions], place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    assert bare("simulate", "arc").err == ""
    (options,) = opened
    assert (options.payload, options.staging.really, options.pace.slots) == (running_payload, True, 12)
    assert (place / "act-pki" / "proxy.pem").stat().st_mode & 0o077 == 0


def test_runs_that_are_asked_for_are_played(bare: Act, opened: list[ArcOptions], place: Path) -> None:
    bare("simulate", "arc", "--run", "3")
    bare("simulate", "arc", "--run", "1,2", "--stage", "--slots", 7)
    told = [(one.payload, one.staging.really, one.pace.slots, one.pace.run_s) for one in opened]
    assert told == [(native_payload, False, 100, (3, 3)), (native_payload, True, 7, (1, 2))]
    assert not (place / "act-pki").exists()


@pytest.mark.parametrize("run", ["x", "2,1", "-1", "1,2,3"])
def test_runs_that_are_none(bare: Act, opened: list[ArcOptions], run: str) -> None:
    said = bare("simulate", "arc", f"--run={run}")
    assert (said.code, said.out, opened) == (2, "", [])
    assert said.err.startswith(f"--run {run!r}: two numbers of seconds are wanted, such as 1,2: ")


def test_people_are_told_how_to_use_it(
    bare: Act, opened: list[ArcOptions], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(simulate, "err", Console(file=shown, force_terminal=True, soft_wrap=True, highlight=False))
    bare("simulate", "arc")
    pki = place / "act-pki"
    assert shown.getvalue() == (
        "for commands that use it:\n"
        f"  export ACT_VOMS__PROXYPATH={pki}/proxy.pem ACT_VOMS__CACERTDIR={pki}/certificates\n"
        "  act ces add URL\n"
    )


def test_the_first_five_minutes(act: Act, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "aCTConfigARC.yaml").unlink()
    command = [sys.executable, "-m", "act_core.cli", "simulate", "arc"]
    with subprocess.Popen(command, cwd=place, stdout=subprocess.PIPE, text=True) as ce:
        assert ce.stdout is not None
        url: Any = json.loads(ce.stdout.readline())["url"]
        try:
            monkeypatch.setenv("ACT_VOMS__PROXYPATH", str(place / "act-pki" / "proxy.pem"))
            monkeypatch.setenv("ACT_VOMS__CACERTDIR", str(place / "act-pki" / "certificates"))
            assert act("ces", "add", url, "--name", "sim", "--quick").code == 0
            said = act("ces", "test", "sim", "--seconds", 0, "--watch", 0)
        finally:
            ce.terminate()
    assert (said.code, {line.split()[0] for line in said.lines}) == (0, {"ok", "-"})
    assert said.lines[-2:] == ["ok output what went there came back", "ok clean nothing of ours is left there"]


def test_a_pilot_in_the_terminal(bare: Act, place: Path) -> None:
    job = render(JobOrder(queue="Q", run_s=0, output_size=10), 7)
    (place / "pandaJobData.out").write_text(urlencode(job))
    said = bare("simulate", "pilot", "-q", "Q", "-j", "managed", "-z", "--storage", "https://storage.test.example/x")
    assert (said.code, said.out) == (0, "pilot ended with exit code 0\n")
    assert json.loads((place / "heartbeat.json").read_text())["state"] == "finished"
    (place / "heartbeat.json").unlink()
    assert bare("simulate", "pilot", "-q", "Q", "-z", "--die", "before-word").code == 1
    assert not (place / "heartbeat.json").exists()


def test_a_pilot_that_cannot_be(bare: Act, place: Path) -> None:
    assert "No such file" in bare("simulate", "pilot", "-q", "Q").out
    said = bare("simulate", "pilot", "--die", "of-joy")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("--die: 'of-joy' is no way to die; there are before-word, ")


def test_the_pilot_as_one_file_that_runs(bare: Act, place: Path) -> None:
    assert bare("simulate", "pilot", "--write", "wrapper.sh").code == 0
    done = subprocess.run([place / "wrapper.sh", "-q", "Q"], cwd=place, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, "pilot ended with exit code 1")


def test_panda_takes_a_token_alone_if_it_is_told_one(bare: Act, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[PandaOptions] = []
    monkeypatch.setattr(simulate, "serve_panda", served.append)
    monkeypatch.setattr(simulate, "_serve", lambda opening, _ready: opening())
    (place / "token").touch(mode=0o600)
    (place / "token").write_text("a-token")
    bare("simulate", "panda", "--token-file", "token")
    bare("simulate", "panda")
    (alone, all_of_them) = served
    assert ([token.value.get_secret_value() for token in alone.tokens], alone.fqans) == (["a-token"], {})
    assert (all_of_them.tokens, all_of_them.fqans) == ((), None)
