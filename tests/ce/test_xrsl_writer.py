"""A job as xRSL, for people: what is written is read as the same job."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from act_core.ce.xrsl import read_xrsl
from act_core.ce.xrsl_writer import written
from act_core.jobspec import InputFile, JobSpec, OutputFile, RuntimeEnvironment

FULL = JobSpec(
    name="my job",
    executable="run.sh",
    arguments=("-c", "a b", "", 'say "hi"', "(x=1)&|+", "it's"),
    environment={"A": "1", "B_2": "x=y"},
    stdin="in.txt",
    stdout="log",
    stderr="log",
    inputs=(
        InputFile(name="run.sh", content="not shown", executable=True),
        InputFile(name="in.txt", source="/data/not-shown"),
        InputFile(name="far", source="root://host//far", options={"cache": "no", "transferprotocol": "https"}),
    ),
    outputs=(
        OutputFile(name="here"),
        OutputFile(name="@list"),
        OutputFile(name="sent", target="gsiftp://host/sent", options={"checksum": "md5"}),
    ),
    log_dir="gmlog",
    cores=8,
    memory_mb=2000,
    disk_mb=0,
    walltime=timedelta(hours=26),
    cputime=timedelta(seconds=5401),
    queue="grid",
    priority=7,
    runtime_environments=(RuntimeEnvironment(name="APPS/A-1.0", options=("opt ion",)), RuntimeEnvironment(name="B")),
    reruns=2,
)
TEXT = """\
&
(executable="run.sh")
(arguments="-c" "a b" "" "say ""hi""\" "(x=1)&|+" "it's")
(jobname="my job")
(stdin="in.txt")
(stdout="log")
(join="yes")
(count="8")
(countpernode="8")
(memory="2000")
(disk="0")
(walltime="1560")
(cputime="5401 seconds")
(queue="grid")
(priority="7")
(rerun="2")
(gmlog="gmlog")
(runtimeenvironment="APPS/A-1.0" "opt ion")
(runtimeenvironment="B")
(inputfiles=("run.sh" "") ("in.txt" "") ("far" "root://host//far" "cache=no" "transferprotocol=https"))
(executables="run.sh")
(outputfiles=("here" "") ("@list" "") ("sent" "gsiftp://host/sent" "checksum=md5"))
(environment=("A" "1") ("B_2" "x=y"))"""
LEAST = JobSpec(executable="/bin/true", stdout=None, stderr=None)


def _home(source: str) -> str:
    return source if "://" in source else f"/here/{source}"


def _as_read(spec: JobSpec) -> JobSpec:
    """What is not shown: where our own files lie."""
    inputs = [
        file if file.by_ce else InputFile(name=file.name, source=f"/here/{file.name}", executable=file.executable)
        for file in spec.inputs
    ]
    return spec.model_copy(update={"inputs": tuple(inputs)})


def test_a_whole_job() -> None:
    assert written(FULL) == TEXT


def test_what_a_job_does_not_say_is_not_written() -> None:
    assert written(LEAST) == '&\n(executable="/bin/true")\n(jobname="job")\n(count="1")\n(priority="50")'


@pytest.mark.parametrize(
    "spec",
    [FULL, LEAST, LEAST.model_copy(update={"stdout": "o", "stderr": "e"}), LEAST.model_copy(update={"stderr": "e"})],
    ids=["full", "least", "two streams", "one stream"],
)
def test_what_is_written_is_read(spec: JobSpec) -> None:
    assert read_xrsl(written(spec), _home) == [_as_read(spec)]


@given(st.lists(st.text(alphabet=st.characters(codec="utf-8"))))
def test_any_words_are_read_as_they_were(words: list[str]) -> None:
    spec = LEAST.model_copy(update={"arguments": tuple(words)})
    assert read_xrsl(written(spec), _home) == [spec]
