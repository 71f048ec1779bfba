"""docs/tutorial.md, block by block: its files are written, its commands are run, and say what the page says."""

import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from act_core.cli import main
from act_core.cli.context import use_files

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The reader's directory; the application's modules are forgotten afterwards."""
    for name in ("ACTCONFIGARC", "ACTCONFIGAPP", "VIRTUAL_ENV"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ACT_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{tmp_path}")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in [one for one in sys.modules if one.partition(".")[0] == "wordcount"]:
        del sys.modules[name]


def test_the_tutorials_application_works(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(command: str) -> str:
        """In this process, which is quicker; but jobs are children of the one that ends when they have."""
        words = command.split()
        if words[0] == "act" and words[:3] != ["act", "sweep", "all"]:
            monkeypatch.setattr(sys, "argv", words)
            use_files(None, None)
            with pytest.raises(SystemExit) as ended:
                main.main()
            assert not ended.value.code, capsys.readouterr()
        elif words[0] == "python":
            runpy.run_module(words[2])
        else:
            return _ran(command)
        return capsys.readouterr().out

    blocks = BLOCK.findall(PAGE)
    assert {kind for kind, _ in blocks} == {"yaml", "python", "console"}
    for kind, text in blocks:
        if kind != "console":
            _writes(text, place)
            continue
        for one in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, _, expected = one.partition("\n")
            _alike(command, said(command), expected)


def _writes(text: str, place: Path) -> None:
    """The first line names the file."""
    named = re.match(r"# (\S+)\n", text)
    assert named, text
    file = place / named[1]
    file.parent.mkdir(exist_ok=True)
    file.write_text(text.removeprefix(named[0]), encoding="utf-8")


def _ran(command: str) -> str:
    line = re.sub(r"^act\b", f"{sys.executable} -m act_core.cli", command)
    done = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def _alike(command: str, said: str, expected: str) -> None:
    """Line by line; `…` stands for anything."""
    patterns = [".*".join(map(re.escape, words.split("…"))) for words in expected.splitlines()]
    assert len(said.splitlines()) == len(patterns), f"{command}: {said}"
    for pattern, words in zip(patterns, said.splitlines(), strict=True):
        assert re.fullmatch(pattern, words), f"{command}: {words!r} is not {pattern!r}"


def test_its_code_is_in_the_form_of_this_house(tmp_path: Path) -> None:
    for kind, text in BLOCK.findall(PAGE):
        if kind == "python":
            _writes(text, tmp_path)
    configuration = str(ROOT / "pyproject.toml")
    ruff = [sys.executable, "-m", "ruff", "check", "--quiet", "--config", configuration, "--ignore", "I001", "."]
    done = subprocess.run(ruff, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
