"""Submission in two phases, and its deadline."""

import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from act_core.ce.base import (
    Accepted,
    Refused,
    SubmissionKey,
)
from act_core.db.attempts import new_key
from act_core.jobspec import InputFile, JobSpec
from act_core.states import CeState
from tests.contract.benches import COMMIT, TOWER, Bench

S = CeState
Shell = Callable[..., JobSpec]


async def test_a_job_does_not_run_before_its_commit(bench: Bench, shell: Shell, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    early, late = await bench.submit(shell(f"echo early >> {witness}"), shell(f"echo late >> {witness}"))
    await bench.commit(late)
    assert await bench.end(late) is S.FINISHED  # the CE has had every occasion to start the other one
    assert witness.read_text() == "late\n"
    seen = (await bench.ce.states([early]))[early]
    assert seen.state in (S.SUBMITTED, S.HOLDING)
    await bench.commit(early)
    assert await bench.end(early) is S.FINISHED
    assert witness.read_text() == "late\nearly\n"


async def test_its_own_input_is_the_commit(bench: Bench, tmp_path: Path) -> None:
    source = tmp_path / "table.txt"
    source.write_text("from a file\n")
    files = (
        InputFile(name="run.sh", content="#!/bin/sh\ncat d/table.txt\n", executable=True),
        InputFile(name="d/table.txt", source=str(source)),
    )
    (job,) = await bench.submit(JobSpec(executable="run.sh", inputs=files))
    assert await bench.ce.put_inputs({job: files}) == {job: None}
    assert await bench.end(job) is S.FINISHED
    assert (await bench.fetch(job, "stdout.txt"))["stdout.txt"] == "from a file\n"


async def test_a_sealed_input_reaches_the_payload_and_nobody_else(bench: Bench, tmp_path: Path) -> None:
    shows = InputFile(name="run.sh", content="#!/bin/sh\ntr h H < hush.txt\n", executable=True)
    described = JobSpec(executable="run.sh", inputs=(shows, InputFile(name="hush.txt", sealed=True)))
    spec = described.opened({"hush.txt": "canary-hush\n"})
    (job,) = await bench.submit(spec)
    assert await bench.ce.put_inputs({job: spec.uploads}) == {job: None}
    assert await bench.end(job) is S.FINISHED
    found = await bench.fetch(job, "stdout.txt", "diagnose=ce/")
    assert found["stdout.txt"] == "canary-HusH\n"
    assert not [name for name, text in found.items() if "canary-hush" in text]
    assert not [path for path in open_to_others(tmp_path) if b"canary-hush" in path.read_bytes()]


def open_to_others(root: Path) -> Iterator[Path]:
    """Files below a directory that another account could read."""
    for path in root.iterdir():
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode) and mode & 0o055:
            yield from open_to_others(path)
        elif stat.S_ISREG(mode) and mode & 0o044:
            yield path


async def test_inputs_can_be_sent_again(bench: Bench, shell: Shell, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    (job,) = await bench.submit(shell(f"echo x >> {witness}"))
    await bench.commit(job)
    await bench.commit(job)
    assert await bench.end(job) is S.FINISHED
    await bench.ce.put_inputs({job: [COMMIT]})
    await bench.settle()
    assert witness.read_text() == "x\n"


async def test_a_source_that_is_not_there_is_refused_for_good(bench: Bench, tmp_path: Path, shell: Shell) -> None:
    absent = InputFile(name="a", source=str(tmp_path / "absent"))
    bad, good = await bench.submit(shell("true", inputs=(absent,)), shell("true"))
    answers = await bench.ce.put_inputs({bad: [absent], good: [COMMIT]})
    refusal = answers[bad]
    assert isinstance(refusal, Refused)
    assert refusal.for_good
    assert answers[good] is None


async def test_nothing_is_sent_after_the_deadline(bench: Bench, shell: Shell) -> None:
    keys = [new_key(TOWER) for _ in range(3)]
    answers = await bench.ce.submit(dict.fromkeys(keys, shell("true")), datetime.now(UTC) - timedelta(seconds=1))
    assert set(answers) == set(keys)
    for answer in answers.values():
        assert isinstance(answer, Refused)
        assert not answer.for_good
    assert not (await bench.ce.list_mine(TOWER, set())).mine


async def test_before_the_deadline_it_is_sent(bench: Bench, shell: Shell) -> None:
    key = SubmissionKey(new_key(TOWER))
    answers = await bench.ce.submit({key: shell("true")}, datetime.now(UTC) + timedelta(minutes=5))
    assert not isinstance(answers[key], Refused)


async def test_many_jobs_in_one_call(bench: Bench, shell: Shell) -> None:
    jobs = await bench.run(*(shell(f"exit {n % 2}") for n in range(30)))
    assert len(set(jobs)) == 30
    for job in jobs:
        await bench.end(job)
    states = await bench.ce.states(jobs)
    assert [states[job].state for job in jobs] == [S.FINISHED, S.FAILED] * 15
    assert set(await bench.ce.details(jobs)) == set(jobs)
    assert set((await bench.ce.clean(jobs)).values()) == {Accepted()}


async def test_empty_batches(bench: Bench) -> None:
    assert await bench.ce.submit({}) == {}
    assert await bench.ce.put_inputs({}) == {}
    assert await bench.ce.fetch({}) == {}
    for call in (bench.ce.states, bench.ce.ended, bench.ce.details, bench.ce.cancel, bench.ce.restart, bench.ce.clean):
        assert await call([]) == {}
