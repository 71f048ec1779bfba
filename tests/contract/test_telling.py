"""What a CE tells of its jobs, and of jobs that it does not know."""

from collections.abc import Callable, Container
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from act_core.ce.base import (
    FetchPlan,
    Gone,
    Listing,
    RemoteId,
    TowerId,
)
from act_core.db.attempts import new_key
from act_core.jobspec import JobSpec
from act_core.states import ENDED, LIVING, CeState
from tests.contract.benches import COMMIT, TOWER, Bench

S = CeState
Shell = Callable[..., JobSpec]


async def test_a_walk_from_queue_to_end(bench: Bench, gated: Any) -> None:
    spec, gate = gated()
    (job,) = await bench.submit(spec)
    await bench.reach(job, S.SUBMITTED, S.HOLDING)
    await bench.commit(job)
    await bench.reach(job, S.RUNNING)
    assert job not in await bench.ce.ended([job])
    gate.touch()
    assert await bench.end(job) is S.FINISHED
    way = bench.walked[job]
    assert [s for s in way if s in (S.SUBMITTED, S.RUNNING, S.FINISHED)] == [S.SUBMITTED, S.RUNNING, S.FINISHED]
    assert set(way) <= LIVING | {S.FINISHED}


async def test_ended_is_a_part_of_states(bench: Bench, shell: Shell, gated: Any) -> None:
    spec, gate = gated()
    good, bad, runs = await bench.run(shell("exit 0"), shell("exit 3"), spec)
    for job in (good, bad):
        await bench.end(job)
    await bench.reach(runs, S.RUNNING)

    async def both() -> Any:
        over = await bench.ce.ended([good, bad, runs, RemoteId("never-heard-of")])
        return over if set(over) == {good, bad} else None

    over = await bench.eventually(both, "two ended jobs")
    states = await bench.ce.states([good, bad, runs])
    assert {job: states[job].state for job in over} == {job: seen.state for job, seen in over.items()}
    assert {seen.state for seen in over.values()} == ENDED
    assert set(await bench.ce.ended([bad])) == {bad}  # only what was asked for
    gate.touch()


async def test_what_a_failed_job_says(bench: Bench, shell: Shell) -> None:
    for _ in range(2):  # a true A-REX under load may itself fail one before it starts, and offers to go on there
        (job,) = await bench.run(shell("echo bad >&2; exit 3"))
        assert await bench.end(job) is S.FAILED
        facts = (await bench.ce.details([job]))[job]
        if facts.restart_at is None:
            break
    assert (facts.complete, facts.exit_code, facts.restart_at) == (True, 3, None), facts
    assert facts.error
    assert (await bench.fetch(job))["stderr.txt"] == "bad\n"


async def test_what_a_good_job_says(bench: Bench, shell: Shell) -> None:
    (job,) = await bench.run(shell("true"))
    await bench.end(job)
    facts = (await bench.ce.details([job]))[job]
    assert (facts.exit_code, facts.error) == (0, None)
    assert None not in (facts.wall_s, facts.cpu_s, facts.memory_kb, facts.ended)
    assert facts.ended is not None
    assert abs(facts.ended - datetime.now(UTC)) < timedelta(minutes=5)


UNKNOWN = [
    pytest.param("act-tower001-0123456789abcdefghjkmnpqrs", id="of our form"),
    pytest.param("../../etc", id="up"),
    pytest.param("/etc", id="absolute"),
    pytest.param("..", id="parent"),
    pytest.param(".", id="itself"),
    pytest.param("", id="empty"),
    pytest.param("a/b", id="a path"),
    pytest.param("a\x00b", id="null byte"),
]


@pytest.mark.parametrize("name", UNKNOWN)
async def test_a_job_that_the_ce_does_not_know(bench: Bench, shell: Shell, name: str) -> None:
    (known,) = await bench.submit(shell("true"))
    other = RemoteId(name)
    assert set(await bench.ce.states([other, known])) == {known}
    assert set(await bench.ce.details([other, known])) <= {known}
    assert other not in await bench.ce.ended([other])
    for call in (bench.ce.cancel, bench.ce.restart, bench.ce.clean):
        assert isinstance((await call([other]))[other], Gone)
    fetched = await bench.ce.fetch({other: FetchPlan(bench.root / "home" / "x", ("/",))})
    assert isinstance(fetched[other], Gone)
    assert other not in {job for job, answer in (await bench.ce.put_inputs({other: [COMMIT]})).items() if not answer}


async def _listing_of(bench: Bench, number: int, known: Container[RemoteId] = frozenset()) -> Listing:
    """A real A-REX leaves a job out of its list while it moves its state."""

    async def whole() -> Listing | None:
        listing = await bench.ce.list_mine(TOWER, known)
        return listing if listing.total >= number and listing.complete else None

    found: Listing = await bench.eventually(whole, f"a whole list of {number} jobs")
    return found


async def test_ours_foreign_and_known(bench: Bench, shell: Shell) -> None:
    mine, known = await bench.submit(shell("true"), shell("true"))
    (foreign,) = await bench.submit(shell("true"), tower=TowerId("tower002"))
    listing = await _listing_of(bench, 3, {known})
    assert set(listing.mine) == {mine}
    assert listing.mine[mine].startswith(f"act-{TOWER}-")
    assert foreign not in listing.mine
    assert listing.foreign >= 1


async def test_a_listing_names_the_key_of_the_submission(bench: Bench, shell: Shell) -> None:
    keys = [new_key(TOWER) for _ in range(5)]
    answers = await bench.ce.submit(dict.fromkeys(keys, shell("true")))
    listing = await _listing_of(bench, 5)
    assert listing.mine == {answers[key]: key for key in keys}


async def test_answers_are_counted(bench: Bench) -> None:
    before = bench.ce.answers
    await bench.ce.list_mine(TOWER, set())
    assert bench.ce.answers > before


async def test_capacity_has_no_nonsense(bench: Bench) -> None:
    capacity = await bench.ce.capacity()
    numbers = (capacity.total_slots, capacity.free_slots, capacity.running, capacity.queued)
    assert all(number is None or number >= 0 for number in numbers)
