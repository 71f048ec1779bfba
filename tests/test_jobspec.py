"""A job's description is checked at the door: what gets in stays below the job's directory and in known bounds."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from act_core.jobspec import InputFile, JobSpec, OutputFile

OUTSIDE = [
    pytest.param("/etc/passwd", id="absolute"),
    pytest.param("../up", id="up"),
    pytest.param("a/../../up", id="up from below"),
    pytest.param("a/..", id="ends in up"),
    pytest.param("a\x00b", id="null byte"),
    pytest.param("a\nb", id="new line"),
    pytest.param("", id="empty"),
    pytest.param("//", id="slashes only"),
]


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_name_leaves_the_directory(name: str) -> None:
    with pytest.raises(ValidationError):
        InputFile(name=name, content="x")
    with pytest.raises(ValidationError):
        OutputFile(name=name)
    with pytest.raises(ValidationError):
        OutputFile(name=f"@{name}")
    for stream in ("stdin", "stdout", "stderr", "log_dir"):
        with pytest.raises(ValidationError):
            JobSpec.model_validate({"executable": "x", stream: name})


@pytest.mark.parametrize("pattern", [*OUTSIDE[1:7], pytest.param("diagnose=../x", id="diagnose up")])
def test_no_fetch_pattern_leaves_the_directory(pattern: str) -> None:
    with pytest.raises(ValidationError):
        JobSpec(executable="x", fetch=(pattern,))


@pytest.mark.parametrize("name", ["a", "dir/a", "dir/", "a b", ".hidden", "a..b", "ä"])
def test_names_below_the_directory_are_taken(name: str) -> None:
    assert InputFile(name=name, content="x").name == name
    assert OutputFile(name=f"@{name}").name == f"@{name}"


@pytest.mark.parametrize("pattern", ["/", "a", "dir/", "diagnose=gmlog/errors", "diagnose=gmlog/", "diagnose=errors"])
def test_fetch_patterns(pattern: str) -> None:
    assert JobSpec(executable="x", fetch=(pattern,)).fetch == (pattern,)


@pytest.mark.parametrize(
    "origin",
    [
        pytest.param({}, id="no origin"),
        pytest.param({"source": "https://host/a", "content": "x"}, id="two origins"),
        pytest.param({"source": "relative/path"}, id="relative source"),
        pytest.param({"source": "https://host/a", "size": -1}, id="negative size"),
        pytest.param({"content": "x", "colour": "red"}, id="unknown key"),
    ],
)
def test_inputs_that_make_no_sense(origin: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        InputFile.model_validate({"name": "a", **origin})


def test_who_brings_an_input() -> None:
    by_ce = InputFile(name="a", source="root://host//a")
    ours = InputFile(name="b", source="/data/b")
    text = InputFile(name="c", content="")
    assert [file.by_ce for file in (by_ce, ours, text)] == [True, False, False]
    assert JobSpec(executable="x", inputs=(by_ce, ours, text)).uploads == (ours, text)


def test_an_input_is_named_once() -> None:
    with pytest.raises(ValidationError, match="'a' is named twice"):
        JobSpec(executable="x", inputs=(InputFile(name="a", content="1"), InputFile(name="a", content="2")))


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A B", "A=B", "Ä", "A\n"])
def test_names_of_environment_variables(name: str) -> None:
    with pytest.raises(ValidationError):
        JobSpec(executable="x", environment={name: "1"})


@pytest.mark.parametrize(
    "amount",
    [
        {"walltime": 0},
        {"walltime": timedelta(days=400)},
        {"cputime": -5},
        {"cores": 0},
        {"memory_mb": 0},
        {"disk_mb": -1},
        {"priority": 101},
        {"priority": -1},
        {"reruns": 11},
        {"name": ""},
        {"executable": ""},
    ],
    ids=lambda amount: "{}={}".format(*next(iter(amount.items()))),
)
def test_amounts_have_bounds(amount: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        JobSpec.model_validate({"executable": "x", **amount})


def test_what_is_stored_is_what_comes_back() -> None:
    spec = JobSpec(
        executable="run.sh",
        arguments=("a b", "'", "ä"),
        environment={"A_1": "x=y"},
        inputs=(InputFile(name="d/i", source="https://host/a;x=y", options={"cache": "no"}),),
        outputs=(OutputFile(name="o", optional=True), OutputFile(name="@list")),
        walltime=timedelta(hours=1.5),
        memory_mb=2000,
        fetch=("o", "diagnose=gmlog/errors"),
    )
    assert JobSpec.model_validate_json(spec.model_dump_json(exclude_defaults=True)) == spec
