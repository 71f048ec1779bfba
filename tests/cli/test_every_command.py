"""Each command's help and its answer to mistakes. New commands are found by themselves; exemptions say why."""

import re
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Act, Said
from tests.cli.every_command import COMMANDS, SAID, UNKNOWN, Command

LONGEST_S = 20  # a command that has not ended by then serves somebody
SIMULATORS = {name: "a server for tests, which knows no tower" for name in COMMANDS if name.startswith("simulate ")}
HARVESTER = {name: "all of its answers are JSON" for name in COMMANDS if name.startswith("harvester ")}

STAYS = "it stays in the foreground"
WITHOUT_JSON = SIMULATORS | HARVESTER | {"up": STAYS, "web": STAYS, "worker": STAYS}
WITHOUT_FILES = SIMULATORS | {
    "demo": "it writes a configuration of its own",
    "down": "it ends a tower whatever the files say",
    "web password": "it knows no tower",
    "web token": "it knows no tower",
    "doctor": "it tells of wrong files, and of tables that are missing, among all else, and ends with 1",
}
WITHOUT_TABLES = WITHOUT_FILES | {
    "bootstrap": "it makes them",
    "up": "it makes them",
    "config check": "it reads files",
    "config show": "it reads files",
    "queues check": "it reads CRIC's copy",
    "critical": "it reads logs",
    "credentials rotate-key": "a key may be made first",
}
ANY_WORDS = {"simulate pilot": "its further words are the pilot's own"}
NAMES = ("--ce", "--queue", "--share", "--rule", "--app", "--server", "--instance", "--kind", "--ids")
TIMES = ("--until", "--since", "--for", "--older", "--newer", "--age", "--day", "--from", "--to")
NOT_NAMES = {
    ("jobs show", "--app"): "of a job that has the id anyway",
    ("jobs try", "--queue"): "only with a job that is known",
    ("jobs add", "--share"): "it may be a new one",
    ("books", "--queue"): "books of old days may have it: it only warns",
}


# What a file has to be, so that the rest of the line is looked at; of most it is an empty list.
FILES = {"simple submit": "campaign: c\njobs: 1\ntemplate: {executable: /bin/true}\n"}


@pytest.fixture(autouse=True)
def _every_application(place: Path) -> None:
    (place / "aCTConfigAPP.yaml").write_text("modules: {app: [manual, simple, atlas]}\n")


@pytest.fixture(autouse=True)
def _it_ends() -> Iterator[None]:
    def served(_number: int, _frame: Any) -> None:
        raise AssertionError("it did not end: does it serve before it has looked at what it was told?")

    before = signal.signal(signal.SIGALRM, served)
    signal.setitimer(signal.ITIMER_REAL, LONGEST_S)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def _but(exempt: Mapping[str, str], which: Callable[[Command], object] = lambda _: True) -> list[str]:
    return [name for name, one in COMMANDS.items() if name not in exempt and which(one)]


def _is_a_sentence(said: Said, culprit: str) -> None:
    """Exit 2, one or more sentences on stderr that name the culprit, nothing on stdout, no traceback."""
    assert (said.code, said.out) == (2, ""), said
    assert "Traceback" not in said.err
    assert culprit in re.sub(r"\s*│?\n│?\s*", " ", said.err), said.err


def test_the_walk_finds_the_commands() -> None:
    assert {"status", "jobs list", "jobs cancel", "ces drain", "credentials", "books close"} <= set(COMMANDS)


@pytest.mark.parametrize(
    "exempt", [WITHOUT_JSON, WITHOUT_FILES, WITHOUT_TABLES, ANY_WORDS], ids=["json", "files", "tables", "words"]
)
def test_what_is_exempt_is_a_command_and_says_why(exempt: Mapping[str, str]) -> None:
    assert set(exempt) <= set(COMMANDS)
    assert all(exempt.values())


@pytest.mark.parametrize("name", COMMANDS)
def test_its_help_reads_well(bare: Act, name: str) -> None:
    one = COMMANDS[name]
    help_ = one.made.help or ""
    assert re.match(r"[A-Z].{10,}[.:]", help_, re.DOTALL), f"a sentence is wanted: {help_!r}"
    for parameter in one.parameters:
        label = f"{name} {parameter.opts[0]}"
        assert parameter.help, f"{label} has no help"
        assert not parameter.help.endswith("."), f"{label}: the help of an option is no sentence of its own"
    said = bare(*one.words, "--help")
    assert (said.code, said.err) == (0, "")
    assert " ".join(help_.split())[:30] in " ".join(said.out.split())
    assert not re.search(r"\bNone\b|<object|<function|<class|\[default: \]|factory", said.out), said.out


@pytest.mark.parametrize("name", _but(WITHOUT_JSON))
def test_it_speaks_to_programs(name: str) -> None:
    assert COMMANDS[name].has("--json")


@pytest.mark.parametrize("name", _but(ANY_WORDS))
def test_an_unknown_option_is_named(bare: Act, name: str) -> None:
    _is_a_sentence(bare(*COMMANDS[name].words, "--nosuch-option"), "--nosuch-option")


@pytest.mark.parametrize("name", _but(WITHOUT_FILES))
def test_a_configuration_that_is_wrong_is_named(bare: Act, place: Path, name: str) -> None:
    (place / "aCTConfigARC.yaml").write_text("jbs: 5\n")
    (place / UNKNOWN).write_text("[]")
    said = bare(*COMMANDS[name].shortest())
    assert (said.code, "Traceback" in said.err) == (2, False), said
    assert "aCTConfigARC.yaml:1: " in said.err


@pytest.mark.parametrize("name", _but(WITHOUT_TABLES))
def test_without_tables_it_says_what_makes_them(bare: Act, place: Path, name: str) -> None:
    (place / UNKNOWN).write_text(FILES.get(name, "[]"))
    words = COMMANDS[name].shortest(every=False)
    _is_a_sentence(bare(*words, *_harmless(COMMANDS[name])), "no state tables; run `act bootstrap`")
    assert [file.name for file in (place / "state").iterdir()] == []


def _harmless(one: Command) -> list[str]:
    """What a command with options only has to be told so that it looks at the tables."""
    return ["--state", "failed"] if one.has("--dry-run") and one.has("--state") else []


def _with_its_tables(act: Act, name: str) -> Act:
    """An application makes its own."""
    if name.startswith("simple "):
        act("bootstrap")
    return act


def _takes_a_name(one: Command) -> bool:
    return any((one.name, arg.name) not in SAID for arg in one.arguments)


@pytest.mark.parametrize("name", _but(SIMULATORS, _takes_a_name))
def test_a_name_that_nobody_knows_is_named(act: Act, name: str) -> None:
    _is_a_sentence(_with_its_tables(act, name)(*COMMANDS[name].shortest()), UNKNOWN)


@pytest.mark.parametrize(
    ("name", "option"),
    [
        pytest.param(name, option, id=f"{name} {option}")
        for name in _but(SIMULATORS)
        for option in NAMES
        if COMMANDS[name].has(option) and (name, option) not in NOT_NAMES
    ],
)
def test_an_option_that_names_nothing_is_named(act: Act, place: Path, name: str, option: str) -> None:
    (place / "all").write_text(FILES.get(name, "[]"))
    said = _with_its_tables(act, name)(*COMMANDS[name].shortest("all"), option, UNKNOWN)
    _is_a_sentence(said, UNKNOWN)


@pytest.mark.parametrize(
    ("name", "option"),
    [
        pytest.param(name, option, id=f"{name} {option}")
        for name in _but(SIMULATORS)
        for option in TIMES
        if COMMANDS[name].has(option)
    ],
)
def test_a_time_that_is_none_is_named(act: Act, name: str, option: str) -> None:
    said = act(*COMMANDS[name].shortest("all"), option, "soonish")
    _is_a_sentence(said, "soonish")
