"""What of a job comes home, and where to."""

from collections.abc import Callable

import pytest

from act_core.ce.base import (
    Fetched,
    FetchPlan,
    Refused,
)
from act_core.jobspec import JobSpec, OutputFile
from act_core.states import CeState
from tests.contract.benches import Bench

S = CeState
Shell = Callable[..., JobSpec]


MADE = "mkdir -p d/e; echo 1 > a; echo 2 > b; echo 3 > d/c; echo 4 > d/e/f; ln -s /etc/passwd link; ln -s /etc dirlink"


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        pytest.param(("a",), {"a"}, id="one file"),
        pytest.param(("a", "d/c"), {"a", "d/c"}, id="two files"),
        pytest.param(("d/",), {"d/c", "d/e/f"}, id="a directory"),
        pytest.param(("d/e/",), {"d/e/f"}, id="a directory below"),
        pytest.param(("absent", "a"), {"a"}, id="what is absent and not declared"),
    ],
)
async def test_what_comes_home(bench: Bench, shell: Shell, patterns: tuple[str, ...], names: set[str]) -> None:
    outputs = tuple(OutputFile(name=name, optional=True) for name in ("a", "b", "d/"))
    (job,) = await bench.run(shell(MADE, outputs=outputs))
    await bench.end(job)
    assert set(await bench.fetch(job, *patterns)) == names


async def test_everything_comes_home_but_nothing_from_outside(bench: Bench, shell: Shell) -> None:
    outputs = tuple(OutputFile(name=name, optional=True) for name in ("a", "b", "d/", "link", "dirlink"))
    (job,) = await bench.run(shell(MADE, outputs=outputs))
    await bench.end(job)
    files = await bench.fetch(job, "/")
    assert {"a", "b", "d/c", "d/e/f"} <= set(files)
    assert not any("root:" in text for text in files.values())


async def test_a_fetch_replaces_what_lay_there(bench: Bench, shell: Shell) -> None:
    (job,) = await bench.run(shell("echo 1 > a", outputs=(OutputFile(name="a"),)))
    await bench.end(job)
    home = bench.root / "home" / job[-8:]
    home.mkdir(parents=True)
    (home / "old").write_text("old")
    assert set(await bench.fetch(job, "a")) == {"a"}
    assert await bench.fetch(job, "a") == {"a": "1\n"}  # and can be repeated


async def test_a_declared_output_that_is_missing(bench: Bench, shell: Shell) -> None:
    good, bad = await bench.run(
        shell("echo 1 > a", outputs=(OutputFile(name="a"),)), shell("true", outputs=(OutputFile(name="a"),))
    )
    for job in (good, bad):
        await bench.end(job)
    plans = {job: FetchPlan(bench.root / "home" / job[-8:], ("a",), declared=("a",)) for job in (good, bad)}
    answers = await bench.ce.fetch(plans)
    assert isinstance(answers[good], Fetched)
    refusal = answers[bad]
    assert isinstance(refusal, Refused)
    assert refusal.for_good
    assert "a" in refusal.why
    assert not plans[bad].directory.exists()


async def test_no_pattern_writes_outside_its_directory(bench: Bench, shell: Shell) -> None:
    (job,) = await bench.run(shell("true"))
    await bench.end(job)
    home = bench.root / "home" / "inner"
    answer = (await bench.ce.fetch({job: FetchPlan(home, ("diagnose=../../escaped/errors", "../../../x"))}))[job]
    assert not (bench.root / "escaped").exists()
    assert isinstance(answer, Refused | Fetched)
