"""What comes home, and what the answer to a fetch means."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from act_core.ce.base import Fetched, Gone, Refused
from act_core.db.attempts import Attempt
from act_core.decisions import Move, Stay
from act_core.engine.fetch import after_fetch, plan
from act_core.jobspec import JobSpec, OutputFile
from act_core.settings.model import Settings
from act_core.states import FINAL, CeState

Make = Callable[..., Attempt]
S = CeState
TRIES, FIRST = 3, timedelta(seconds=10)


@pytest.mark.parametrize(
    ("state", "answer", "to"),
    [
        pytest.param(S.FINISHED, Fetched(2, 9), S.DONE, id="outputs of a good job are here"),
        pytest.param(S.FAILED, Fetched(1, 3), S.DONEFAILED, id="logs of a failed job are here"),
        pytest.param(S.FINISHED, Gone(), S.LOST, id="a good job is gone"),
        pytest.param(S.FAILED, Gone(), S.LOST, id="a failed job is gone"),
        pytest.param(S.FINISHED, Refused("no x", for_good=True), S.DONEFAILED, id="an output is missing for good"),
        pytest.param(S.FAILED, Refused("no x", for_good=True), S.DONEFAILED, id="a log is missing for good"),
    ],
)
def test_ended_jobs_become_final(
    attempt: Make, now: datetime, state: CeState, answer: Fetched | Gone | Refused, to: CeState
) -> None:
    decision = after_fetch(attempt(state), answer, now, TRIES, FIRST)
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
    decision = after_fetch(attempt(state), answer, now, TRIES, FIRST)
    assert isinstance(decision, Stay)
    assert decision.wish_done
    assert decision.reason


@pytest.mark.parametrize(("tries", "seconds"), [(0, 10), (1, 20)])
def test_refused_for_now_is_tried_again(attempt: Make, now: datetime, tries: int, seconds: int) -> None:
    decision = after_fetch(attempt(S.FINISHED, tries=tries), Refused("slow", for_good=False), now, TRIES, FIRST)
    assert isinstance(decision, Stay)
    assert decision.columns == {"tries": tries + 1, "due_at": now + timedelta(seconds=seconds)}
    assert not decision.wish_done


@pytest.mark.parametrize(
    ("error", "said"), [(None, "outputs: slow"), ("exit code 3", "exit code 3; outputs: slow")], ids=["good", "failed"]
)
def test_patience_ends(attempt: Make, now: datetime, error: str | None, said: str) -> None:
    tired = attempt(S.FINISHED, tries=TRIES - 1, error=error)
    decision = after_fetch(tired, Refused("slow", for_good=False), now, TRIES, FIRST)
    assert isinstance(decision, Move)
    assert decision.to is S.DONEFAILED
    assert decision.columns["error"] == said


def test_no_answer_moves_nothing(attempt: Make, now: datetime) -> None:
    assert after_fetch(attempt(S.FINISHED), None, now, TRIES, FIRST) is None


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
