"""The rules of this house: sizes, what no file may contain, and docs that tell everything there is."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from act_core.ce.descriptions import read_descriptions
from act_core.cli.main import app
from act_core.settings import load_settings
from act_core.timetable import STAGES

ROOT = Path(__file__).parents[1]
LONGEST_FILE, LONGEST_FUNCTION = 300, 40
# What an unpacked archive of the source holds, where no git can tell.
ROOMS = ("act_core", "benchmarks", "deployments", "docs", "examples", "flows", "requirements", "tests")
NOT_OURS = re.compile(r"__pycache__|_cache\b|\.hypothesis")
# Homes and work directories of people; /home/op is nobody's.
SOMEBODYS = re.compile(r"(?<![\w.$~})-])/(?:home/(?!op\b)\w|Users/\w|root/|work/)")
REGISTRY = re.compile(
    r"\b(?:pypi|npmjs|rubygems|crates)\.(?:org|com|io)\b|pythonhosted\.org|golang\.org|anaconda\.org"
    r"|\b(?:docker|ghcr|quay)\.io\b|index[-_]url|find[-_]links|trusted[-_]host",
    re.IGNORECASE,
)
CONFIGURATIONS = ("aCTConfigARC.yaml", "aCTConfigAPP.yaml")


def _tracked() -> list[Path]:
    """The files of the project: git's word, or everything below its directories."""
    try:
        found = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        inside = (path for room in ROOMS for path in (ROOT / room).rglob("*"))
        return [path for path in (*ROOT.glob("*"), *inside) if not NOT_OURS.search(str(path.relative_to(ROOT)))]
    return [ROOT / name for name in found.stdout.split("\0") if name]


@cache
def _files(suffix: str = "") -> dict[str, str]:
    """Name → text of the project's text files."""
    paths = [path for path in _tracked() if path.is_file() and path.name.endswith(suffix)]
    texts = {str(path.relative_to(ROOT)): path.read_bytes().decode("utf-8", "replace") for path in paths}
    assert texts, f"no *{suffix} in {ROOT}"
    return texts


@cache
def _docs() -> str:
    return "\n".join(text for name, text in _files(".md").items() if name == "README.md" or name.startswith("docs/"))


def _functions(text: str) -> Iterator[tuple[str, int]]:
    """Name and lines of each function, from `def` to its end."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def _commands(command: Any, words: str) -> Iterator[str]:
    """Each command in full; typer brings its own click, whose groups have `commands`."""
    inner = getattr(command, "commands", None)
    if inner is None and not command.hidden:
        yield words
    for name, one in (inner or {}).items():
        yield from _commands(one, f"{words} {name}")


def _found(pattern: re.Pattern[str]) -> list[str]:
    lines = ((name, n, line) for name, text in _files().items() for n, line in enumerate(text.splitlines(), 1))
    return [f"{name}:{n}: {line.strip()[:120]}" for name, n, line in lines if pattern.search(line)]


def test_a_file_is_one_room() -> None:
    lines = {name: len(text.splitlines()) for name, text in _files(".py").items()}
    assert {name: n for name, n in lines.items() if n > LONGEST_FILE} == {}


def test_a_function_fits_on_a_screen() -> None:
    lengths = {f"{name}: {function}": n for name, text in _files(".py").items() for function, n in _functions(text)}
    assert {where: n for where, n in lengths.items() if n > LONGEST_FUNCTION} == {}


def test_no_file_knows_where_it_was_written() -> None:
    here = re.compile(rf"(?<![\w.-]){re.escape(str(ROOT))}(?![\w-])")
    assert _found(SOMEBODYS) + _found(here) == []


def test_no_file_names_a_registry() -> None:
    assert _found(REGISTRY) == []


@pytest.mark.parametrize(
    ("module", "page"), [("act_core.monitor.states_page", "docs/states.md"), ("flows.deployments", "prefect.yaml")]
)
def test_generated_pages_are_current(module: str, page: str, tmp_path: Path) -> None:
    printed = subprocess.run([sys.executable, "-m", module], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (ROOT / page).read_text(encoding="utf-8") == printed.stdout, "make docs"


def test_every_command_is_in_the_docs() -> None:
    commands = list(_commands(typer.main.get_command(app), "act"))
    assert len(commands) > 20
    assert [words for words in commands if not re.search(rf"\b{words}\b(?!-)", _docs())] == []


def test_every_stage_is_in_the_docs() -> None:
    assert [name for name in STAGES if f"`{name}`" not in _docs()] == []


def test_the_examples_are_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    examples = {Path(name).name: ROOT / name for name in _files(".yaml") if name.startswith("examples/")}
    arc_file, app_file = (examples.pop(name) for name in CONFIGURATIONS)
    loaded = load_settings(arc_file, app_file, {"HOME": "/home/op"})
    assert loaded.warnings == ()
    for path in examples.values():
        assert read_descriptions(path.read_text(encoding="utf-8"), path)


def test_the_readmes_job_is_one(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(# \w+\.yaml\n.*?)```", _files(".md")["README.md"], re.DOTALL)
    assert [job.executable for block in blocks for job in read_descriptions(block, tmp_path / "job")] == ["/bin/echo"]


def test_constraints_pin_versions_and_nothing_else() -> None:
    lines = _files(".txt")["requirements/constraints.txt"].splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert len(pins) > 20
    assert [line for line in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line)] == []
