"""A window's rounds over parts that do as they are told; a real tower and real leases, no Prefect."""

import asyncio
from collections.abc import Sequence

import pytest

from act_core.ce.base import RemoteId
from act_core.db import queries
from act_core.errors import ProtocolError, Transient
from act_core.meters import REGISTRY
from act_core.runtime import Counts, Runtime
from flows.rounds import GOES_ON
from flows.tasks import RETRIES
from tests.flows.probes import STAGE, Probe, failing, good, hang


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
