"""A window's rounds over parts that do as they are told; a real tower and real leases, no Prefect."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from act_core.apps import Application, Part
from act_core.ce.base import RemoteId
from act_core.db import queries
from act_core.errors import ProtocolError, Transient
from act_core.going import Going
from act_core.meters import REGISTRY
from act_core.runtime import Counts, Runtime
from act_core.settings.model import ArcSettings, Breaker, Prefect, Settings, Site
from act_core.stages import Tower
from flows.rounds import GOES_ON, GROUP, GROUPS, Group, Window
from flows.tasks import RETRIES, Done

STAGE = "translate"  # the engine has no part in it
Deed = Callable[[str], Awaitable[Counts]]


class Plain:
    """Does what Prefect's tasks do: a retry for trouble that is raised."""

    def __init__(self) -> None:
        self.groups: list[Group] = []
        self.tries: Counter[str] = Counter()

    async def one(self, window: Window, part: Part, key: str) -> Done:
        for number in range(RETRIES + 1):
            self.tries[key] += 1
            try:
                return await window.in_time(part, key, last_try=number == RETRIES)
            except Transient:
                assert number < RETRIES
        raise AssertionError

    async def group(self, window: Window, group: Group) -> Done:
        self.groups.append(group)
        return await group.run()


class Probe:
    """An application with one part: keys that are due, and what a round of a key does."""

    def __init__(self, rt: Runtime) -> None:
        self.rt, self.keys, self.caller = rt, list[str](), Plain()
        self.rounds: Counter[str] = Counter()
        self.deeds: dict[str, Deed] = {}
        self.window: Window
        self.going = Going()  # lasts from window to window

    async def due(self, _rt: Runtime) -> Sequence[str]:
        return self.keys

    async def round(self, _rt: Runtime, key: str) -> Counts:
        self.rounds[key] += 1
        return await self.deeds.get(key, good)(key)

    async def run(self, seconds: float = 0, only: Sequence[str] = (), breaker: bool = False) -> Window:
        part = Part(STAGE, "probe", self.due, self.round, breaker)
        tower = Tower(self.rt, apps=(Application("probe", parts=(part,)),))
        tower.going = self.going
        self.window = Window(tower, STAGE, seconds, only, self.caller)
        await self.window.run()
        return self.window

    def end(self) -> None:
        """The window is over."""
        self.window.until = 0


async def good(_key: str) -> Counts:
    return Counts(done=1)


def failing(err: Exception, times: int = 99, then: Deed = good) -> Deed:
    left = [err] * times

    async def deed(key: str) -> Counts:
        if left:
            raise left.pop()
        return await then(key)

    return deed


async def hang(_key: str) -> Counts:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.fixture
async def probe(servers: Any, tmp_path: Path) -> AsyncIterator[Probe]:
    db = servers.ready("sqlite", tmp_path / "state")
    arc = ArcSettings(
        db=db,
        sites={"ce": Site(kind="local")},
        breaker=Breaker(failures=1),
        prefect=Prefect(pause=0.01, max_tasks=3),
    )
    async with Runtime.open(Settings(state_dir=tmp_path / "state", arc=arc)) as rt:
        made = Probe(rt)
        yield made
        await made.going.give_up()


async def test_a_pass_does_each_key_once(probe: Probe) -> None:
    probe.keys = ["a", "b"]
    window = await probe.run()
    assert probe.rounds == {"a": 1, "b": 1}
    assert window.counts == {"done": 2}


async def test_in_a_window_a_key_that_is_due_again_gets_another_round_in_the_same_task(probe: Probe) -> None:
    async def third_time(key: str) -> Counts:
        if probe.rounds[key] == 3:
            probe.end()
        return Counts(done=1)

    probe.keys, probe.deeds = ["a"], {"a": third_time}
    window = await probe.run(60)
    assert window.counts == {"done": 3}
    assert probe.caller.tries == {"a": 1}


@pytest.mark.parametrize(("ce", "breaker"), [("ce", True), ("", False)], ids=["a CE", "another key"])
async def test_rounds_are_measured(probe: Probe, ce: str, breaker: bool) -> None:
    def measured() -> list[float]:
        of = {"verb": "probe", "ce": ce, "kind": "protocol"}
        names = ("act_round_errors_total", of), ("act_round_seconds_count", {"stage": STAGE, "verb": "probe"})
        return [REGISTRY.get_sample_value(*one) or 0 for one in names]

    before = measured()
    probe.keys, probe.deeds = ["ce"], {"ce": failing(ProtocolError("strange"))}
    await probe.run(breaker=breaker)
    assert [now - then for now, then in zip(measured(), before, strict=True)] == [1, 1]


async def test_a_key_that_takes_longer_delays_neither_the_others_nor_the_end(probe: Probe) -> None:
    async def once(_key: str) -> Counts:
        probe.keys = []
        return Counts(done=1)

    probe.keys, probe.deeds = ["a", "b"], {"a": hang, "b": once}
    window = await probe.run(0.3)
    assert window.counts[GOES_ON] == 1
    assert window.counts["done"] >= 1
    assert window.troubles == {"a": "no answer by the end of the window"}


@pytest.mark.parametrize("err", [None, Transient("no answer in time")], ids=["done", "a CE that hung"])
async def test_what_takes_longer_than_a_window_ends_in_the_next_one(probe: Probe, err: Exception | None) -> None:
    """A long transfer is not begun anew each minute, and a call that hangs comes to its deadline, and is counted."""
    ending = asyncio.Event()

    async def long(_key: str) -> Counts:
        await ending.wait()
        probe.keys = []
        probe.end()
        return await (failing(err) if err else good)("ce")

    probe.keys, probe.deeds = ["ce"], {"ce": long}
    first = await probe.run(0.1, breaker=True)
    assert first.counts == {GOES_ON: 1}
    ending.set()
    second = await probe.run(60, breaker=True)
    assert second.counts == ({"errors": 1} if err else {"done": 1})
    assert probe.rounds == {"ce": 1}
    row = await probe.rt.read(queries.ce_row, "ce")
    assert row is not None
    assert (row.trouble, row.retry_at is None) == ((str(err), False) if err else (None, True))


async def test_trouble_that_passes_is_not_counted(probe: Probe) -> None:
    probe.keys, probe.deeds = ["a"], {"a": failing(Transient("down"), times=1)}
    window = await probe.run()
    assert probe.caller.tries == {"a": 2}
    assert window.counts == {"done": 1}
    assert window.troubles == {}


async def test_a_retry_that_finds_nothing_to_do_does_not_hide_the_trouble(probe: Probe) -> None:
    async def nothing(_key: str) -> Counts:
        return Counts()

    probe.keys, probe.deeds = ["a"], {"a": failing(Transient("down"), times=1, then=nothing)}
    window = await probe.run()
    assert window.counts == {"errors": 1}
    assert window.troubles == {"a": "down"}


@pytest.mark.parametrize(
    ("err", "seconds", "tries"),
    [
        (Transient("down"), 0, RETRIES + 1),
        (Transient("down"), 4, 1),  # too little of the window is left
        (ProtocolError("odd"), 0, 1),
    ],
    ids=["passes", "passes, but the window ends soon", "does not pass"],
)
async def test_how_often_trouble_is_tried(probe: Probe, err: Exception, seconds: float, tries: int) -> None:
    async def then_end(key: str) -> Counts:
        if seconds:
            probe.end()
        raise err

    probe.keys, probe.deeds = ["a"], {"a": then_end}
    window = await probe.run(seconds)
    assert probe.caller.tries == {"a": tries}
    assert window.counts == {"errors": 1}
    assert window.troubles == {"a": str(err)}


async def test_a_ce_that_rests_is_not_tried_again(probe: Probe) -> None:
    probe.keys, probe.deeds = ["ce"], {"ce": failing(Transient("down"))}
    window = await probe.run(breaker=True)
    assert probe.caller.tries == {"ce": 1}
    assert window.counts == {"errors": 1}


async def test_only_an_answer_of_the_ce_closes_its_breaker(probe: Probe) -> None:
    async def asks(_key: str) -> Counts:
        await (await probe.rt.ce("ce")).states([RemoteId("1")])
        return Counts()

    failures = []
    for deed in (failing(ProtocolError("odd")), good, asks):
        probe.keys, probe.deeds = ["ce"], {"ce": deed}
        await probe.run(breaker=True)
        row = await probe.rt.read(queries.ce_row, "ce")
        assert row is not None
        failures.append(row.failures)
    assert failures == [1, 1, 0]


async def test_a_bug_of_ours_is_told_and_the_others_go_on(probe: Probe) -> None:
    probe.keys, probe.deeds = ["a", "b"], {"a": failing(KeyError("x"))}
    window = await probe.run()
    assert window.counts == {"done": 1}
    assert window.bugs == [f"application probe: {STAGE}: probe a: KeyError: 'x'"]


async def test_many_keys_share_few_tasks_and_are_still_on_their_own(probe: Probe) -> None:
    """What tasks cost Prefect's database does not grow with the grid: its groups grow, not their number."""
    probe.keys = [f"k{i:02}" for i in range(GROUPS * GROUP + 1)]
    probe.deeds = {"k03": failing(ProtocolError("odd"))}
    window = await probe.run()
    assert probe.caller.tries == {}
    assert [(one.number, one.name) for one in probe.caller.groups] == [(1, "k00…k10"), (2, "k11…k20")]
    assert window.counts == {"done": GROUPS * GROUP, "errors": 1}
    assert await probe.caller.groups[0].run() == ({"done": GROUP, "errors": 1}, ["k03: odd"])


async def test_who_comes_late_joins_a_group_that_has_room(probe: Probe) -> None:
    async def another_comes(_key: str) -> Counts:
        probe.keys = [*probe.keys, "late"]
        return Counts(done=1)

    async def ends(_key: str) -> Counts:
        probe.end()
        return Counts(done=1)

    probe.keys = ["a", "b", "c", "d"]
    probe.deeds = {"d": another_comes, "late": ends}
    await probe.run(60)
    assert probe.rounds["late"] == 1
    assert [len(one.members) for one in probe.caller.groups] == [5]


async def test_the_chosen_only_and_of_a_pass_even_what_is_not_due(probe: Probe) -> None:
    probe.keys = ["a", "b"]
    await probe.run(only=["a"])
    assert probe.rounds == {"a": 1}
    await probe.run(only=["ce"], breaker=True)
    assert probe.rounds == {"a": 1, "ce": 1}


async def test_a_database_that_is_away_for_a_moment_is_counted(probe: Probe) -> None:
    answers: list[Exception] = [Transient("no database")]

    async def due(_rt: Runtime) -> Sequence[str]:
        if answers:
            raise answers.pop()
        return ["a"]

    async def ends(_key: str) -> Counts:
        probe.end()
        return Counts(done=1)

    probe.due, probe.deeds = due, {"a": ends}  # type: ignore[method-assign]
    window = await probe.run(60)
    assert window.counts == {"errors": 1, "done": 1}
    assert window.troubles == {"database": "no database"}
