"""What comes home, and what the answer to a fetch means."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from act_core.ce.base import Fetched, Gone, Refused
from act_core.db.attempts import Attempt
from act_core.decisions import Move, Stay
from act_core.engine.fetch import Policy, after_fetch, after_silence, fetch, plan
from act_core.engine.settling import SIGHTINGS
from act_core.errors import ProtocolError
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
    job = attempt(S.FINISHED, tries=2, absent_since=now)
    for lasted, pause in ((0, 10), (400, 100), (10_000_000, 900)):
        moment = now + timedelta(seconds=lasted)
        decision = after_silence(job, moment, POLICY.first)
        assert decision == Stay({"due_at": moment + timedelta(seconds=pause), "absent_since": None})


async def test_facts_that_cannot_be_had_keep_nothing_from_coming_home(house: House) -> None:
    jobs = await house.jobs(3, S.FINISHED)
    house.end.dark = dict.fromkeys(jobs, ProtocolError("rubbish"))
    await fetch(house, CE)
    assert await house.states() == dict.fromkeys(jobs, "done")
    assert {row.wall_s for row in await house.rows()} == {None}


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
