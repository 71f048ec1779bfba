"""Where there are many keys they share Prefect tasks, and are still on their own."""

from collections.abc import Sequence

from act_core.errors import ProtocolError
from act_core.runtime import Counts, Runtime
from flows.rounds import GROUP, GROUPS
from tests.flows.probes import Probe, failing


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


async def test_where_many_are_expected_the_first_ones_share_a_task_too(probe: Probe) -> None:
    """Queues become due one after the other; a task for each of the first 25 was half of what Prefect wrote."""

    async def next_comes(key: str) -> Counts:
        if key == "e":
            probe.end()
        elif (after := chr(ord(key) + 1)) not in probe.keys:
            probe.keys = [*probe.keys, after]
        return Counts(done=1)

    probe.keys, probe.deeds = ["a"], dict.fromkeys("abcde", next_comes)
    window = await probe.run(60, expected=5)
    assert (window.keys, probe.caller.tries) == (5, {})
    assert [(one.name, len(one.members)) for one in probe.caller.groups] == [("a", 5)]


async def test_nobody_joins_a_group_whose_task_has_ended(probe: Probe) -> None:
    async def ends(_key: str) -> Counts:
        probe.end()
        return Counts(done=1)

    async def due(_rt: Runtime) -> Sequence[str]:
        return ["a", "b"] if probe.caller.groups and probe.caller.groups[0].over() else ["a"]

    probe.due, probe.deeds = due, {"a": failing(KeyError("x")), "b": ends}  # type: ignore[method-assign]
    window = await probe.run(60, expected=5)
    assert window.counts == {"done": 1}
    assert [len(one.members) for one in probe.caller.groups] == [1, 1]
