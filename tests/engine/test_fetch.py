"""What comes home, and what the answer to a fetch means."""

import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from act_core.ce.base import Facts, Fetched, Gone, Refused
from act_core.db import ces
from act_core.db.attempts import Attempt
from act_core.db.models import CeJob
from act_core.decisions import Move, Stay
from act_core.engine.fetch import Policy, after_fetch, after_silence, fetch, plan
from act_core.engine.settling import SIGHTINGS
from act_core.errors import ProtocolError, Transient
from act_core.jobspec import JobSpec, OutputFile
from act_core.settings.model import Settings
from act_core.states import FINAL, CeState
from tests.engine.house import CE, House

Make = Callable[..., Attempt]
S = CeState
TRIES = 3
POLICY = Policy(TRIES, timedelta(seconds=10), timedelta(hours=1))


@pytest.mark.parametrize(
    ("state", "answer", "to"),
    [
        pytest.param(S.FINISHED, Fetched(2, 9), S.DONE, id="outputs of a good job are here"),
        pytest.param(S.FAILED, Fetched(1, 3), S.DONEFAILED, id="logs of a failed job are here"),
        pytest.param(S.FINISHED, Refused("no x", for_good=True), S.DONEFAILED, id="an output is missing for good"),
        pytest.param(S.FAILED, Refused("no x", for_good=True), S.DONEFAILED, id="a log is missing for good"),
    ],
)
def test_ended_jobs_become_final(
    attempt: Make, now: datetime, state: CeState, answer: Fetched | Gone | Refused, to: CeState
) -> None:
    decision = after_fetch(attempt(state), answer, now, POLICY)
    assert isinstance(decision, Move)
    assert decision.to is to
    assert decision.wish_done


@pytest.mark.parametrize("state", sorted(FINAL))
@pytest.mark.parametrize(
    "answer", [Fetched(1, 3), Gone(), Refused("no", for_good=False)], ids=lambda a: type(a).__name__
)
def test_a_second_fetch_of_a_final_job_is_tried_once(
    attempt: Make, now: datetime, state: CeState, answer: Fetched | Gone | Refused
) -> None:
    decision = after_fetch(attempt(state), answer, now, POLICY)
    assert isinstance(decision, Stay)
    assert decision.wish_done
    assert decision.reason


@pytest.mark.parametrize(("tries", "seconds"), [(0, 10), (1, 20)])
def test_refused_for_now_is_tried_again(attempt: Make, now: datetime, tries: int, seconds: int) -> None:
    decision = after_fetch(attempt(S.FINISHED, tries=tries), Refused("slow", for_good=False), now, POLICY)
    assert isinstance(decision, Stay)
    assert decision.columns == {"tries": tries + 1, "due_at": now + timedelta(seconds=seconds), "absent_since": None}
    assert not decision.wish_done


@pytest.mark.parametrize(
    ("error", "said"), [(None, "outputs: slow"), ("exit code 3", "exit code 3; outputs: slow")], ids=["good", "failed"]
)
def test_patience_ends(attempt: Make, now: datetime, error: str | None, said: str) -> None:
    tired = attempt(S.FINISHED, tries=TRIES - 1, error=error)
    decision = after_fetch(tired, Refused("slow", for_good=False), now, POLICY)
    assert isinstance(decision, Move)
    assert decision.to is S.DONEFAILED
    assert decision.columns["error"] == said


@pytest.mark.parametrize("state", [S.FINISHED, S.FAILED])
def test_one_answer_that_does_not_know_the_job_is_no_witness(attempt: Make, now: datetime, state: CeState) -> None:
    step = POLICY.patience / SIGHTINGS
    job, answers = attempt(state), 0
    while True:
        decision, answers = after_fetch(job, Gone(), now, POLICY), answers + 1
        if isinstance(decision, Move):
            break
        assert isinstance(decision, Stay)
        assert decision.columns["due_at"] == now + step
        job, now = attempt(state, **decision.columns), now + timedelta(hours=9)  # the CE is away most of the time
    assert (decision.to, decision.wish_done) == (S.LOST, True)
    assert answers == SIGHTINGS + 2


def test_silence_counts_nothing_and_waits_longer_the_longer_it_lasts(attempt: Make, now: datetime) -> None:
    for lasted, pause in ((0, 10), (400, 100), (10_000_000, 900)):
        moment = now + timedelta(seconds=lasted)
        job = attempt(S.FINISHED, tries=2, absent_since=now, due_at=moment)
        decision = after_silence(job, moment, POLICY.first)
        assert decision == Stay({"due_at": moment + timedelta(seconds=pause), "absent_since": None})


@pytest.mark.parametrize(
    ("state", "tries", "to"),
    [
        pytest.param(S.FINISHED, 0, None, id="its disk may come back"),
        pytest.param(S.FINISHED, TRIES - 1, S.DONEFAILED, id="it does not: no success"),
        pytest.param(S.FAILED, 0, S.DONEFAILED, id="of a failed job whatever there is"),
    ],
)
def test_a_job_without_its_directory_is_no_success(
    attempt: Make, now: datetime, state: CeState, tries: int, to: CeState | None
) -> None:
    """Nothing was declared, and all that it left is asked for: only an empty directory says that it left nothing."""
    assert plan(Settings(state_dir=Path("s")), attempt(state), JobSpec(executable="x")).declared == ()
    decision = after_fetch(attempt(state, tries=tries), Fetched(0, 0, bare=True), now, POLICY)
    assert (decision.to if isinstance(decision, Move) else None) is to
    if state is S.FINISHED and isinstance(decision, Move):
        assert decision.columns["error"] == "outputs: the CE knows the job and finds no directory of it"
    empty = after_fetch(attempt(S.FINISHED), Fetched(0, 0), now, POLICY)
    assert isinstance(empty, Move)
    assert empty.to is S.DONE


async def test_a_job_that_its_ce_forgot_before_the_fetch_is_lost_and_not_done(house: House) -> None:
    """No outputs are declared; its logs and what it left are gone all the same."""
    await house.jobs(1, S.FINISHED)
    house.end.world.jobs = {}
    states = []
    for _ in range(2 * SIGHTINGS):
        await fetch(house, CE)
        states += [row.state for row in await house.rows()]
        house.ahead += timedelta(minutes=16)
    assert set(states) == {"finished", "lost"}
    assert states[-1] == "lost"


async def test_facts_that_cannot_be_had_keep_nothing_from_coming_home(house: House) -> None:
    jobs = await house.jobs(3, S.FINISHED)
    house.end.dark = dict.fromkeys(jobs, ProtocolError("rubbish"))
    await fetch(house, CE)
    assert await house.states() == dict.fromkeys(jobs, "done")
    assert {row.wall_s for row in await house.rows()} == {None}


async def test_a_good_end_without_its_exit_code_is_asked_for_again(house: House) -> None:
    (job,) = await house.jobs(1, S.FINISHED)
    await house.write(lambda session: session.execute(update(CeJob).values(wall_s=5)))
    house.end.said[job] = Facts(complete=True, exit_code=0, wall_s=7)
    await fetch(house, CE)
    (row,) = await house.rows()
    assert (row.exit_code, row.wall_s) == (0, 7)


OUTPUTS = (
    OutputFile(name="here"),
    OutputFile(name="maybe", optional=True),
    OutputFile(name="there", target="https://host/there"),
    OutputFile(name="@list"),
)


@pytest.mark.parametrize(
    ("state", "fetch", "patterns", "declared"),
    [
        pytest.param(
            S.FINISHED, (), ("/", "diagnose=gmlog/"), ("here",), id="everything; what has no target must be there"
        ),
        pytest.param(S.FAILED, (), ("/", "diagnose=gmlog/"), (), id="of a failed job whatever there is"),
        pytest.param(S.FINISHED, ("a", "maybe", "d/"), ("a", "maybe", "d/"), ("a",), id="plain paths must be there"),
        pytest.param(S.FINISHED, ("diagnose=g/errors",), ("diagnose=g/errors",), (), id="control files may be missing"),
    ],
)
def test_plan(
    attempt: Make,
    now: datetime,
    tmp_path: Path,
    state: CeState,
    fetch: tuple[str, ...],
    patterns: tuple[str, ...],
    declared: tuple[str, ...],
) -> None:
    spec = JobSpec(executable="x", outputs=OUTPUTS, fetch=fetch, log_dir="gmlog")
    made = plan(Settings(state_dir=tmp_path), attempt(state, attempt=2), spec)
    assert (made.patterns, made.declared) == (patterns, declared)
    assert made.directory == tmp_path / "results" / "manual" / f"{now:%Y-%m-%d}" / "j1.2"


@pytest.mark.parametrize(
    ("spec", "state", "patterns"),
    [
        pytest.param({}, S.FINISHED, ("/",), id="everything"),
        pytest.param({}, S.FAILED, ("/", "diagnose=gmlog/"), id="everything, and why it failed"),
        pytest.param({"log_dir": "log"}, S.FAILED, ("/", "diagnose=log/"), id="its own log directory"),
        pytest.param({"fetch": ("a",)}, S.FINISHED, ("a",), id="what was asked for"),
        pytest.param({"fetch": ("a",)}, S.FAILED, ("a", "diagnose=gmlog/"), id="of a failed job, the CE's log too"),
        pytest.param({"fetch": ("diagnose=x/errors", "a")}, S.FAILED, ("diagnose=x/errors", "a"), id="asked for so"),
    ],
)
def test_the_ces_log_of_a_failed_job_comes_home(
    attempt: Make, spec: dict[str, Any], state: CeState, patterns: tuple[str, ...]
) -> None:
    wanted = plan(Settings(state_dir=Path("s")), attempt(state), JobSpec(executable="x", **spec))
    assert wanted.patterns == patterns


@pytest.mark.parametrize(
    ("hours", "seen_hours_ago", "tried_hours_ago", "state"),
    [
        pytest.param(23, 0, 0, "finished", id="within its time"),
        pytest.param(25, 0, 0, "donefailed", id="the CE is there, and the outputs do not come"),
        pytest.param(25, 2, 0, "finished", id="the CE itself is away"),
        pytest.param(25, 0, 24, "finished", id="it was out of service: nobody tried"),
    ],
)
@pytest.mark.parametrize("database", ["sqlite"])
async def test_outputs_that_never_come_are_given_up(
    house: House, hours: int, seen_hours_ago: int, tried_hours_ago: int, state: str
) -> None:
    (job,) = await house.jobs(1, S.FINISHED)
    house.ahead += timedelta(hours=hours)
    await due(house, tried_hours_ago)
    house.end.trouble[job] = Transient("the data port is shut")
    await house.write(ces.went_well, CE, house.now() - timedelta(hours=seen_hours_ago))
    with contextlib.suppress(Transient):
        await fetch(house, CE)
    (row,) = await house.rows()
    assert row.state == state
    if state == "donefailed":
        assert row.error == "outputs: they did not come within 1 d (jobs.maxtimefinished)"


async def due(house: House, hours_ago: int) -> None:
    """All were last to be tried then."""
    at = house.now() - timedelta(hours=hours_ago)
    await house.write(lambda session: session.execute(update(CeJob).values(due_at=at)) and None)


@pytest.mark.parametrize("database", ["sqlite"])
async def test_after_an_outage_the_outputs_have_their_whole_time_again(house: House) -> None:
    (job,) = await house.jobs(1, S.FINISHED)
    house.end.trouble[job] = Transient("slow")
    states = []
    for hours, seen_hours_ago in ((23, 22), (5, 0), (18, 0), (2, 0)):
        house.ahead += timedelta(hours=hours)
        await due(house, 0)
        await house.write(ces.went_well, CE, house.now() - timedelta(hours=seen_hours_ago))
        with contextlib.suppress(Transient):
            await fetch(house, CE)
        states += [row.state for row in await house.rows()]
    assert states == ["finished", "finished", "finished", "donefailed"]
