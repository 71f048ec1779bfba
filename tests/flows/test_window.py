"""What a window tells Prefect: too late or not, the colour of a run, and its counts in words."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from act_core.apps import Application, Part
from act_core.errors import DatabaseAway, ProtocolError, Transient
from act_core.runtime import WRONG, Counts
from act_core.stages import Tower
from flows import keeper, stops, telling, window
from flows.rounds import GOES_ON, Window
from flows.tasks import ended as task_ended
from flows.tasks import in_words, worth_a_retry
from flows.window import ended, through_absence, too_late
from tests.flows.probes import STAGE, Probe

PLANNED = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "after", "late"),
    [
        (58, 119, False),
        (58, 121, True),
        (5, 119, False),  # a short window is not late sooner
        (300, 599, False),
        (300, 601, True),
    ],
)
def test_late_is_after_two_windows(seconds: float, after: float, late: bool) -> None:
    assert too_late(PLANNED, seconds, PLANNED + timedelta(seconds=after)) is late


def test_a_run_without_a_plan_is_not_late() -> None:
    assert not too_late(None, 58, PLANNED)


@pytest.mark.parametrize(
    ("counts", "troubles", "words"),
    [
        ({}, (), "nothing to do"),
        ({"submitted": 0}, (), "nothing to do"),
        ({"submitted": 2, "errors": 1}, ("ce1: down",), "2 submitted, 1 errors (ce1: down)"),
        ({"errors": 5}, ("a", "b", "c", "d", "e"), "5 errors (a; b; c; 2 more)"),
    ],
)
def test_in_words(counts: dict[str, int], troubles: tuple[str, ...], words: str) -> None:
    assert in_words(Counts(counts), troubles) == words


@pytest.mark.parametrize(
    ("counts", "name", "good"),
    [
        ({"submitted": 1, "errors": 1}, "Completed", True),
        ({}, "Completed", True),
        ({"submitted": 0, "errors": 1}, "Failed", False),
        ({GOES_ON: 1}, "Completed", True),
        ({GOES_ON: 1, "errors": 1}, "Completed", True),
    ],
)
def test_a_task_is_red_if_nothing_but_trouble_came_of_it(counts: dict[str, int], name: str, good: bool) -> None:
    state = task_ended(Counts(counts), ())
    assert (state.name, state.is_completed()) == (name, good)


@pytest.mark.parametrize(("err", "again"), [(Transient("down"), True), (ProtocolError("odd"), False), (None, False)])
def test_only_trouble_that_passes_is_tried_again(err: Exception | None, again: bool) -> None:
    class State:
        data = err

    assert worth_a_retry(None, cast(Any, None), cast(Any, State)) is again


async def of(seconds: float, counts: dict[str, int], bugs: tuple[str, ...] = ()) -> Window:
    """A window that has come to its end."""

    class Quiet:
        observing = False

        def parts(self, _stage: str) -> tuple[()]:
            return ()

    made = Window(cast(Any, Quiet()), "submit", seconds)
    made.counts.update(counts)
    made.bugs.extend(bugs)
    return made


@pytest.mark.parametrize(
    ("seconds", "counts", "name", "message"),
    [
        (58, {"errors": 3}, "Completed", "3 errors"),
        (0, {"errors": 3}, "Failed", "3 errors"),
        (0, {"errors": 3, "submitted": 1}, "Completed", "3 errors, 1 submitted"),
        (0, {"busy": 1}, "Completed", "1 busy: somebody else held the lease"),
        (0, {"busy": 1, "errors": 1}, "Completed", "1 busy, 1 errors"),
        (
            0,
            {"closed": 1, "unbalanced": 1},
            "Failed",
            "1 closed, 1 unbalanced; see the log for the books that do not balance",
        ),
        (58, {"submitted": 1, "illegal": 2}, "Failed", "1 submitted, 2 illegal; see the log for the illegal moves"),
        (
            58,
            {"told": 9, WRONG: 2},
            "Failed",
            "9 told, 2 wrong reports; see the log for what PanDA does not take of them",
        ),
    ],
)
async def test_the_colour_of_a_run(seconds: float, counts: dict[str, int], name: str, message: str) -> None:
    state = ended(await of(seconds, counts))
    assert (state.name, state.message) == (name, message)


async def test_a_tower_that_observes_says_so_in_each_message() -> None:
    made = await of(58, {"queues": 3})
    made.tower.observing = True  # type: ignore[misc] # of the stand-in
    assert ended(made).message == "OBSERVING: 3 queues"


async def test_a_bug_of_ours_is_red_whatever_else_was_done() -> None:
    state = ended(await of(58, {"submitted": 9}, bugs=("one: KeyError: 'x'",)))
    assert state.is_failed()
    assert state.message == "9 submitted; bugs of ours: one: KeyError: 'x'"


@pytest.fixture
def run_id(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The flow run that asks, as Prefect's runtime tells it."""
    monkeypatch.setenv("PREFECT__RUNTIME__FLOW_RUN__ID", "run-1")
    yield "run-1"
    stops.forget("run-1")


async def test_a_person_ends_one_run(run_id: str) -> None:
    stops.stop_run("another")
    assert not stops.wanted()
    stops.forget("another")
    stops.stop_run(run_id)
    assert stops.wanted()
    state = window.ended(await of(58, {"submitted": 1}))
    assert (state.name, state.message) == ("Cancelled", "1 submitted; ended by a person")
    stops.forget(run_id)
    assert not stops.wanted()


class Passes:
    """Passes that find the database away so many times."""

    def __init__(self, away: int) -> None:
        self.away, self.begun = away, 0

    async def one(self) -> str:
        self.begun += 1
        if self.begun <= self.away:
            raise DatabaseAway("no answer")
        return "done"


async def test_a_pass_outlasts_a_database_that_is_away_for_a_moment() -> None:
    passes = Passes(2)
    assert await through_absence(passes.one, (0, 0, 0)) == "done"
    assert passes.begun == 3


@pytest.mark.parametrize("pauses", [(), (0, 0)], ids=["a window", "a pass"])
async def test_an_absence_that_lasts_is_told(pauses: tuple[float, ...]) -> None:
    passes = Passes(9)
    with pytest.raises(DatabaseAway):
        await through_absence(passes.one, pauses)
    assert passes.begun == len(pauses) + 1


async def test_a_worker_that_drains_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stops, "wanted", lambda: True)
    passes = Passes(1)
    with pytest.raises(DatabaseAway):
        await through_absence(passes.one, (3600,))
    assert passes.begun == 1


async def test_a_window_expects_as_many_keys_as_those_before_it_had(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One with few keys between two with many does not split the next one into a task for each key."""
    noted: list[int] = []

    class Noted(Window):
        def __init__(self, tower: Tower, stage: str, seconds: float, only: Sequence[str], *, expected: int) -> None:
            noted.append(expected)
            super().__init__(tower, stage, seconds, only, probe.caller, expected)

    @asynccontextmanager
    async def tower() -> AsyncIterator[Tower]:
        part = Part(STAGE, "probe", probe.due, probe.round)
        yield Tower(probe.rt, apps=(Application("probe", parts=(part,)),))

    async def tell(*_: object) -> None: ...

    monkeypatch.setattr(window, "Window", Noted)
    monkeypatch.setattr(keeper, "tower", tower)
    monkeypatch.setattr(telling, "tell", tell)
    for keys in ("abcdefgh", "", "", "ab", "a"):
        probe.keys = list(keys)
        await window.run_window(STAGE, 0)
    assert noted == [0, 8, 4, 2, 2]
    await window.run_window(STAGE, 0, ["a"])
    assert noted[-1] == 0, "who chooses keys has these"
