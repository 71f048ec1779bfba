"""The command `act` as an operator has it: words in; an exit code, stdout and stderr out."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from act_core.cli import main
from act_core.cli.context import use_files
from tests.cli.situations import Tables, opened
from tests.fixtures.databases import Servers

CONFIGURATION = """\
sites:
  here: {kind: local, options: {slots: 2}}
  there: {kind: local, options: {slots: 2}}
jobs: {checkinterval: 0, checkmintime: 0, spread: 0, fetchbackoff: 0}
"""


@dataclass(frozen=True, slots=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        """Of a table: its words, single-spaced."""
        return [" ".join(line.split()) for line in self.out.splitlines()]


Act = Callable[..., Said]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a configuration, and a state directory without tables: `place/state`."""
    for name in ("ACTCONFIGARC", "ACTCONFIGAPP", "VIRTUAL_ENV"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ACT_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "aCTConfigARC.yaml").write_text(CONFIGURATION)
    return tmp_path


@pytest.fixture
def bare(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Act:
    """`act` before the first `act bootstrap`."""

    def run(*words: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["act", *map(str, words)])
        capsys.readouterr()
        use_files(None, None)
        with pytest.raises(SystemExit) as ended:
            main.main()
        code = ended.value.code
        assert code is None or isinstance(code, int)
        return Said(code or 0, *capsys.readouterr())

    return run


@pytest.fixture
def until_idle(place: Path) -> Callable[..., Said]:
    """`act sweep all --until-idle` in a process of its own: its jobs are that one's children."""

    def run(*words: object) -> Said:
        command = [sys.executable, "-m", "act_core.cli", "sweep", "all", "--until-idle", *map(str, words)]
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=100, check=False)
        return Said(done.returncode, done.stdout, done.stderr)

    return run


Signalled = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def signalled(place: Path) -> Signalled:
    """`act` in a process of its own, which gets a signal as it says a line that begins so: exit code, further lines."""

    def run(number: signal.Signals, line: str, *words: object) -> tuple[int, list[str]]:
        command = [sys.executable, "-m", "act_core.cli", *map(str, words)]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, cwd=place, stdout=pipe, stderr=subprocess.STDOUT, text=True) as process:
            assert process.stdout is not None
            lines = iter(process.stdout.readline, "")
            assert any(said.startswith(line) for said in lines)
            process.send_signal(number)
            try:
                return process.wait(120), list(lines)
            finally:
                process.kill()

    return run


@pytest.fixture
def act(bare: Act, place: Path, servers: Servers) -> Act:
    """`act` with state tables that are ready and empty."""
    servers.ready("sqlite", place / "state")
    return bare


@pytest.fixture
def situation(servers: Servers, tmp_path: Path) -> Iterator[Tables]:
    """Tables of a tower with two CEs, at a fixed moment."""
    made = opened(servers, tmp_path / "state")
    yield made
    made.db.close()
