"""Kill, restart and clean."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from act_core.ce.base import (
    Accepted,
    Gone,
    Refused,
)
from act_core.jobspec import InputFile, JobSpec, OutputFile
from act_core.states import CeState
from tests.contract.benches import COMMIT, TOWER, Bench

S = CeState
Shell = Callable[..., JobSpec]


async def test_kill_before_it_runs(bench: Bench, shell: Shell, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    (job,) = await bench.submit(shell(f"echo x > {witness}"))
    assert (await bench.ce.cancel([job])) == {job: Accepted()}
    assert await bench.end(job) in (S.CANCELLED, S.FAILED)
    await bench.ce.put_inputs({job: [COMMIT]})  # too late: what is dead stays dead
    await bench.settle()
    assert await bench.end(job) in (S.CANCELLED, S.FAILED)
    assert not witness.exists()


async def test_kill_while_it_runs(bench: Bench, gated: Any) -> None:
    spec, _gate = gated()
    (job,) = await bench.run(spec)
    await bench.reach(job, S.RUNNING)
    assert (await bench.ce.cancel([job])) == {job: Accepted()}
    await bench.ce.cancel([job])  # and once more
    assert await bench.end(job) in (S.CANCELLED, S.FAILED)


async def test_kill_after_its_end_changes_nothing(bench: Bench, shell: Shell) -> None:
    (job,) = await bench.run(shell("echo 1 > a", outputs=(OutputFile(name="a"),)))
    await bench.end(job)
    assert isinstance((await bench.ce.cancel([job]))[job], Accepted | Refused | Gone)
    await bench.settle()
    assert await bench.end(job) is S.FINISHED
    assert await bench.fetch(job, "a") == {"a": "1\n"}


async def test_what_did_not_fail_is_not_restarted(bench: Bench, shell: Shell) -> None:
    good, bad = await bench.run(shell("true", reruns=2), shell("exit 1", reruns=2))
    for job in (good, bad):
        await bench.end(job)
    facts = await bench.ce.details([good, bad])
    assert {facts[job].restart_at for job in (good, bad)} == {None}  # a payload's own failure is not the CE's to repeat
    assert isinstance((await bench.ce.restart([good]))[good], Refused)
    assert await bench.end(good) is S.FINISHED


async def test_a_failed_stage_in_is_restarted_as_often_as_allowed(bench: Bench, shell: Shell) -> None:
    if not bench.ce.traits.restarts:
        pytest.skip(f"{bench.ce.traits.kind}: does not restart jobs")
    # Each fails at once with one of them: A-REX goes on trying a host that is away, HTCondor what it has no way to.
    nowhere = "https://127.0.0.1:9/a" if bench.ce.traits.kind == "htcondor" else "nosuch://nowhere/a"
    (job,) = await bench.run(shell("true", inputs=(InputFile(name="a", source=nowhere),), reruns=1))
    held = await bench.reach(job, S.FAILED, S.HOLDING) is S.HOLDING
    assert (await bench.ce.details([job]))[job].restart_at
    assert (await bench.ce.restart([job])) == {job: Accepted()}
    if held:  # HTCondor lets it go as often as it is told to: the engine counts
        assert isinstance((await bench.ce.restart([job]))[job], Refused)
        await bench.reach(job, S.HOLDING)
        return

    async def no_more() -> bool:
        await bench.settle()
        return isinstance((await bench.ce.restart([job]))[job], Refused) and await bench.end(job) is S.FAILED

    await bench.eventually(no_more, "the last restart")
    assert isinstance((await bench.ce.restart([job]))[job], Refused)


async def test_cleaned_twice(bench: Bench, shell: Shell) -> None:
    (job,) = await bench.run(shell("true"))
    await bench.end(job)
    assert (await bench.ce.clean([job])) == {job: Accepted()}

    async def forgotten() -> bool:
        await bench.settle()
        return (await bench.ce.clean([job]))[job] == Gone() and job not in await bench.ce.states([job])

    await bench.eventually(forgotten, "the CE forgets the job")
    assert job not in (await bench.ce.list_mine(TOWER, set())).mine


async def test_a_clean_does_not_end_a_living_job(
    bench: Bench, tmp_path: Path, gated: Any, eventually: Callable[..., Awaitable[Any]]
) -> None:
    spec, gate = gated(f"echo over > {tmp_path}/witness")
    (job,) = await bench.run(spec)
    await bench.reach(job, S.RUNNING)
    assert isinstance((await bench.ce.clean([job]))[job], Accepted | Refused)
    assert await bench.reach(job, S.RUNNING) is S.RUNNING
    gate.touch()

    async def over() -> bool:
        return (tmp_path / "witness").exists()

    await eventually(over, "the payload's own end")
