"""The local back end's own promises: limits, restarts of the tower, one start a job, deaths by kill."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from act_core.ce.base import ComputingElement, Facts, FetchPlan, RemoteId, SubmissionKey, TowerId
from act_core.ce.registry import open_ce
from act_core.db.attempts import new_key
from act_core.errors import ConfigError, DiskError, Transient
from act_core.jobspec import COMMIT_FILE, InputFile, JobSpec
from act_core.processes import lives, process_start
from act_core.settings.model import Settings, Site
from act_core.states import CeState

TOWER = TowerId("tower001")
COMMIT = InputFile(name=COMMIT_FILE, content="ok\n")
S = CeState


def utc() -> datetime:
    return datetime.now(UTC)


Open = Callable[..., ComputingElement]
Eventually = Callable[..., Awaitable[Any]]
Shell = Callable[..., JobSpec]


@pytest.fixture
async def opened(tmp_path: Path, end_all: Any) -> AsyncIterator[Open]:
    """`opened(slots=2, two_phase=None)`: one more object that looks after the same jobs."""
    made: list[ComputingElement] = []

    def make(slots: int = 2, two_phase: bool | None = None) -> ComputingElement:
        site = Site(kind="local", two_phase=two_phase, options={"slots": slots})
        made.append(open_ce(Settings(state_dir=tmp_path), "ce", lambda: datetime.now(UTC), site))
        return made[-1]

    yield make
    for ce in made:
        await end_all(ce, tmp_path / "local" / "ce")
    for ce in made:
        await ce.states([])
        await ce.close()


async def _run(ce: ComputingElement, *specs: JobSpec) -> list[RemoteId]:
    keys = {new_key(TOWER): spec for spec in specs}
    answers = await ce.submit(keys)
    jobs = [RemoteId(str(answers[key])) for key in keys]
    await ce.put_inputs({job: [COMMIT] for job in jobs})
    return jobs


@pytest.fixture
def reach(eventually: Eventually) -> Callable[..., Awaitable[CeState]]:
    async def wait(ce: ComputingElement, job: RemoteId, *states: CeState) -> CeState:
        async def there() -> CeState | None:
            state = (await ce.states([job]))[job].state
            return state if state in states else None

        found: CeState = await eventually(there, f"{job} in {states}")
        return found

    return wait


OVER = (S.FINISHED, S.FAILED, S.CANCELLED)


async def _facts(ce: ComputingElement, job: RemoteId) -> Facts:
    return (await ce.details([job]))[job]


async def test_the_wall_time_ends_a_job_and_all_its_processes(
    opened: Open, reach: Any, eventually: Eventually, shell: Shell, tmp_path: Path
) -> None:
    ce, pids = opened(), tmp_path / "pids"
    spec = shell(f"sleep 600 & echo $$ $! > {pids}; wait", walltime=timedelta(seconds=1))
    (job,) = await _run(ce, spec)
    assert await reach(ce, job, *OVER) is S.FAILED
    facts = await _facts(ce, job)
    assert "wall time limit of 1 s" in str(facts.error)
    for pid in map(int, pids.read_text().split()):
        await _dead(eventually, pid)


async def _dead(eventually: Eventually, pid: int) -> None:
    start = process_start(pid)

    async def gone() -> bool:
        return not lives(pid, start)

    await eventually(gone, f"the end of process {pid}")


async def test_memory_beyond_the_limit_is_not_given(opened: Open, reach: Any) -> None:
    import sys

    def grabs(memory_mb: int) -> JobSpec:
        return JobSpec(executable=sys.executable, arguments=("-c", "x = bytearray(600 << 20)"), memory_mb=memory_mb)

    ce = opened()
    small, large = await _run(ce, grabs(300), grabs(4000))
    assert await reach(ce, small, *OVER) is S.FAILED
    assert await reach(ce, large, *OVER) is S.FINISHED
    assert (await _facts(ce, large)).exit_code == 0


async def test_a_job_is_found_again_by_another_object(opened: Open, reach: Any, shell: Shell, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    first = opened()
    (job,) = await _run(first, shell(f"while [ ! -e {gate} ]; do sleep 0.02; done; echo 1 > a"))
    await reach(first, job, S.RUNNING)
    await first.close()
    second = opened()
    assert set((await second.list_mine(TOWER, set())).mine) == {job}
    assert await reach(second, job, S.RUNNING) is S.RUNNING
    gate.touch()
    assert await reach(second, job, *OVER) is S.FINISHED
    assert set(await second.fetch({job: FetchPlan(tmp_path / "home", ("a",))})) == {job}
    assert (tmp_path / "home" / "a").read_text() == "1\n"


async def test_a_runner_that_was_killed_takes_its_payload_along(
    opened: Open, reach: Any, eventually: Eventually, shell: Shell, tmp_path: Path
) -> None:
    ce, witness = opened(), tmp_path / "pid"
    (job,) = await _run(ce, shell(f"echo $$ > {witness}.new; mv {witness}.new {witness}; exec sleep 600"))

    async def started() -> bool:
        return witness.exists()

    await eventually(started, "the payload")
    runner = int((tmp_path / "local" / "ce" / job / "started").read_text().partition(":")[0])
    os.kill(runner, signal.SIGKILL)
    assert await reach(ce, job, *OVER) is S.FAILED
    assert "its runner died" in str((await _facts(ce, job)).error)
    await _dead(eventually, int(witness.read_text()))


async def test_two_objects_start_a_job_once(opened: Open, reach: Any, shell: Shell, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    one, two = opened(slots=8), opened(slots=8)
    jobs = await _run(one, *(shell(f"echo {n} >> {witness}") for n in range(20)))
    for job in jobs:
        await asyncio.gather(reach(one, job, *OVER), reach(two, job, *OVER))
    assert sorted(map(int, witness.read_text().split())) == list(range(20))


async def test_slots_and_priority(opened: Open, reach: Any, shell: Shell, tmp_path: Path) -> None:
    gate, witness = tmp_path / "gate", tmp_path / "witness"
    ce = opened(slots=1)
    (first,) = await _run(ce, shell(f"while [ ! -e {gate} ]; do sleep 0.02; done"))
    await reach(ce, first, S.RUNNING)
    order = (20, 90, 50, 70)
    jobs = await _run(ce, *(shell(f"echo {p} >> {witness}", priority=p) for p in order))
    assert {seen.state for seen in (await ce.states(jobs)).values()} == {S.SUBMITTED}
    assert (await ce.capacity()).free_slots == 0
    gate.touch()
    for job in jobs:
        await reach(ce, job, *OVER)
    assert witness.read_text().split() == ["90", "70", "50", "20"]


async def test_kills_at_any_moment_end_as_cancelled_or_whole(opened: Open, reach: Any, shell: Shell) -> None:
    """Kill and start race each other; a good end is told only of a payload that came to its end."""
    ce, other = opened(slots=4), opened(slots=4)
    keys = [new_key(TOWER) for _ in range(12)]
    jobs = [RemoteId(str(job)) for job in (await ce.submit(dict.fromkeys(keys, shell("echo 1 > a")))).values()]
    for job in jobs:
        await asyncio.gather(ce.put_inputs({job: [COMMIT]}), other.cancel([job]), ce.cancel([job]))
    for job in jobs:
        state = await reach(ce, job, *OVER)
        assert state in (S.CANCELLED, S.FINISHED), (await _facts(ce, job)).error
        assert state is S.CANCELLED or (await _facts(ce, job)).exit_code == 0


async def test_without_two_phases_a_job_runs_at_once(opened: Open, reach: Any, shell: Shell, tmp_path: Path) -> None:
    ce, waits = opened(two_phase=False), InputFile(name="a", content="text")
    keys = [new_key(TOWER), new_key(TOWER)]
    specs = {keys[0]: shell("true"), keys[1]: shell(f"cp a {tmp_path}/copy", inputs=(waits,))}
    answers = await ce.submit(specs)
    free, needy = (RemoteId(str(answers[key])) for key in keys)
    assert await reach(ce, free, *OVER) is S.FINISHED
    assert (await ce.states([needy]))[needy].state is S.SUBMITTED  # it waits for its file all the same
    await ce.put_inputs({needy: [waits]})
    assert await reach(ce, needy, *OVER) is S.FINISHED
    assert (tmp_path / "copy").read_text() == "text"


async def test_inputs_that_never_come(tmp_path: Path, shell: Shell) -> None:
    now = datetime.now(UTC)
    clock = [now]
    ce = open_ce(Settings(state_dir=tmp_path), "ce", lambda: clock[0], Site(kind="local"))
    key = SubmissionKey(new_key(TOWER))
    job = RemoteId(str((await ce.submit({key: shell("true")}))[key]))
    clock[0] = now + ce.traits.input_patience - timedelta(minutes=1)
    assert (await ce.states([job]))[job].state is S.SUBMITTED
    clock[0] = now + ce.traits.input_patience + timedelta(minutes=1)
    assert (await ce.states([job]))[job].state is S.FAILED
    assert "input" in str((await _facts(ce, job)).error)
    await ce.close()


def test_a_root_that_can_be_none_is_told_when_the_ce_is_opened(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    root = tmp_path / "file" / "root"
    with pytest.raises(ConfigError, match=r"sites\.ce\.options\.root: .*file/root cannot be made: Not a directory"):
        open_ce(Settings(state_dir=tmp_path), "ce", utc, Site(kind="local", options={"root": str(root)}))


ASKED = [
    pytest.param(lambda ce, job: ce.submit({SubmissionKey(job): JobSpec(executable="x")}), id="submit"),
    pytest.param(lambda ce, job: ce.put_inputs({job: [COMMIT]}), id="put_inputs"),
    pytest.param(lambda ce, _job: ce.list_mine(TOWER, set()), id="list_mine"),
    pytest.param(lambda ce, job: ce.ended({job}), id="ended"),
    pytest.param(lambda ce, job: ce.states([job]), id="states"),
    pytest.param(lambda ce, _job: ce.capacity(), id="capacity"),
]


@pytest.mark.parametrize("ask", ASKED)
async def test_a_root_that_goes_away_is_trouble_that_passes(tmp_path: Path, ask: Any) -> None:
    ce = open_ce(Settings(state_dir=tmp_path), "ce", utc, Site(kind="local"))
    root, job = tmp_path / "local" / "ce", RemoteId(new_key(TOWER))
    root.rmdir()
    root.touch()
    before = ce.answers
    with pytest.raises(Transient, match=r"local/ce: (Not a directory|File exists)"):
        await ask(ce, job)
    assert ce.answers == before
    root.unlink()
    await ask(ce, job)
    assert ce.answers == before + 1
    await ce.close()


async def test_results_that_cannot_be_written_are_no_trouble_of_the_job(
    opened: Open, reach: Any, shell: Shell, tmp_path: Path
) -> None:
    ce = opened()
    good, bad = await _run(ce, shell("true"), shell("true"))
    for job in (good, bad):
        await reach(ce, job, *OVER)
    (tmp_path / "file").touch()
    lost = FetchPlan(tmp_path / "file" / "home", ("/",))
    with pytest.raises(DiskError, match=r"file/home cannot be written: .*Not a directory"):
        await ce.fetch({bad: lost})
    answers = await ce.fetch({good: FetchPlan(tmp_path / "home", ("/",)), bad: lost})
    assert set(answers) == {good}  # what came home counts


async def test_the_same_key_twice_is_one_job(opened: Open, shell: Shell) -> None:
    ce, key = opened(), new_key(TOWER)
    assert await ce.submit({key: shell("true")}) == await ce.submit({key: shell("false")})
    assert (await ce.list_mine(TOWER, set())).total == 1


async def test_an_executable_that_is_not_there(opened: Open, reach: Any) -> None:
    ce = opened()
    (job,) = await _run(ce, JobSpec(executable="absent.sh"))
    assert await reach(ce, job, *OVER) is S.FAILED
    assert "cannot start ./absent.sh" in str((await _facts(ce, job)).error)


async def test_the_environment_is_the_jobs_own(
    opened: Open, reach: Any, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACT_PRIVATE", "secret")
    ce = opened()
    (job,) = await _run(ce, shell("env; cd; pwd", environment={"MINE": "a b"}))
    await reach(ce, job, *OVER)
    session = tmp_path / "local" / "ce" / job / "session"
    said = (session / "stdout.txt").read_text()
    assert "MINE=a b\n" in said
    assert "secret" not in said
    assert said.splitlines()[-1] == str(session.resolve())


def test_options_that_make_no_sense_are_the_operators(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"sites\.ce\.options\.slots"):
        open_ce(Settings(state_dir=tmp_path), "ce", lambda: datetime.now(UTC), Site(kind="local", options={"slots": 0}))
