"""A host in trouble rests, is tried again with one file, and delays no other; what addresses can do is bounded."""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from act_core.simulators.faults import Kind
from act_core.storage.base import Limits, Outcome, Permit, Place, Removal, Unreachable, Verdict, Wanted
from act_core.storage.hosts import Breaker
from act_core.storage.storage import Storage
from tests.storage.conftest import Shop, Town, host_of, outcome


async def outcomes(storage: Storage, files: list[Wanted]) -> list[Outcome]:
    verdicts = await storage.check(files)
    return [verdicts[file].outcome for file in files]


async def test_a_silent_host_is_not_asked_for_all_its_files(town: Town, shop: Shop) -> None:
    files = [shop.put(f"f{i}", b"x") for i in range(100)]
    await shop.fault(kind=Kind.ACCEPT_HANGUP)
    storage = town.client(perhost=2, failures=3)
    verdicts = await storage.check(files)
    assert {verdict.outcome for verdict in verdicts.values()} == {Outcome.UNREACHABLE}
    assert sum(verdict.asked for verdict in verdicts.values()) <= 4
    assert shop.asked() < 20
    rests = next(verdict for verdict in verdicts.values() if not verdict.asked)
    assert rests.words.startswith(f"{host_of(shop)}: it rests for 30 s: ")


async def test_a_host_that_rests_is_not_asked_and_then_tried_with_one_file(town: Town, shop: Shop) -> None:
    files = [shop.put(f"f{i}", b"x") for i in range(20)]
    storage = town.client(perhost=4, failures=3)
    await shop.fault(kind=Kind.ERROR, status=503)
    await outcomes(storage, files)
    before = shop.asked()
    assert set(await outcomes(storage, files)) == {Outcome.UNREACHABLE}
    assert shop.asked() == before
    town.now += 31
    assert set(await outcomes(storage, files)) == {Outcome.UNREACHABLE}
    assert shop.asked() == before + 1
    town.now += 31  # the second rest is twice as long
    await outcomes(storage, files)
    assert shop.asked() == before + 1
    await shop.simulator.faults.remove()
    town.now += 30
    assert set(await outcomes(storage, files)) == {Outcome.MATCH}


async def test_a_host_that_hangs_delays_no_other(town: Town, shop: Shop) -> None:
    other = await town.open_shop()
    hung = [shop.put(f"f{i}", b"x") for i in range(30)]
    good = [other.put(f"f{i}", b"x") for i in range(30)]
    await shop.fault(kind=Kind.HANG)
    async with aclosing(town.client().answers([*hung, *good])) as answers:
        said = [await anext(answers) for _ in good]
    assert {file for file, _ in said} == set(good)
    assert {verdict.outcome for _, verdict in said} == {Outcome.MATCH}


async def test_a_host_that_hangs_ends_with_the_deadline(town: Town, shop: Shop) -> None:
    files = [shop.put(f"f{i}", b"x") for i in range(4)]
    await shop.fault(kind=Kind.HANG, path="f[1-3]")
    storage = town.client(deadline=timedelta(seconds=1), perhost=4)
    assert await outcomes(storage, files) == [Outcome.MATCH] + [Outcome.UNREACHABLE] * 3


async def test_hosts_that_hung_until_the_deadline_rest_too(town: Town, shop: Shop) -> None:
    """Where a file may take as long as the round, no file ever ends by its own limit."""
    files = [shop.put(f"f{i}", b"x") for i in range(9)]
    await shop.fault(kind=Kind.HANG)
    loop = asyncio.get_running_loop()
    second = timedelta(seconds=1)
    storage = town.client(clock=loop.time, perhost=3, failures=3, timeout=second, deadline=second)
    await outcomes(storage, files)
    before = shop.asked()
    await shop.simulator.faults.remove()
    assert set(await outcomes(storage, files)) == {Outcome.UNREACHABLE}
    assert shop.asked() == before


async def test_a_slow_storage_is_no_storage_in_trouble(town: Town, shop: Shop) -> None:
    files = [shop.put(f"f{i}", b"x") for i in range(4)]
    await shop.fault(kind=Kind.LATENCY, seconds=0.2)
    assert set(await outcomes(town.client(perhost=4), files)) == {Outcome.MATCH}


@dataclass
class Counting:
    """A back end that tells how many files were under way at a time."""

    now: int = 0
    most: int = 0
    asked: list[str] = field(default_factory=list)

    async def look(self, place: Place, file: Wanted) -> Verdict:
        self.asked.append(file.url)
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        if "bad" in file.url:
            raise Unreachable("no")
        return Verdict(Outcome.MATCH)

    async def delete(self, place: Place, permit: Permit) -> Removal:
        raise AssertionError("who only looks deletes nothing")

    async def close(self) -> None: ...


async def test_rounds_side_by_side_share_the_bound_of_a_host() -> None:
    backend = Counting()
    storage = Storage({"https": backend}, Limits(perhost=3))
    rounds = [[Wanted(f"https://h/{n}/{i}", 1, None) for i in range(20)] for n in range(3)]
    await asyncio.gather(*(storage.check(files) for files in rounds))
    assert backend.most == 3
    assert len(backend.asked) == 60


async def test_a_few_files_that_cannot_be_read_do_not_keep_the_others_waiting_for_ever() -> None:
    backend = Counting()
    files = [Wanted(f"https://h/{'bad' if i < 5 else 'good'}/{i}", 1, None) for i in range(40)]
    now = [0.0]
    storage = Storage({"https": backend}, Limits(perhost=1, failures=3), lambda: now[0])
    left = files
    for _ in range(200):
        left = [file for file, said in (await storage.check(left)).items() if said.outcome is not Outcome.MATCH]
        now[0] += 1000
    assert [file.url for file in left if "good" in file.url] == []


async def test_addresses_of_jobs_do_not_fill_the_memory() -> None:
    storage = Storage({"https": Counting()})
    for n in range(30):
        await storage.check([Wanted(f"https://h{n}-{i}/x", 1, None) for i in range(100)])
    assert len(storage._hosts) <= 1100


async def test_who_stops_listening_stops_the_asking(town: Town, shop: Shop) -> None:
    files = [shop.put(f"f{i}", b"x") for i in range(3)]
    await shop.fault(kind=Kind.HANG, path="f[12]")
    storage = town.client()
    async with aclosing(storage.answers(files)) as answers:
        assert (await anext(answers))[0] == files[0]
    await shop.simulator.faults.remove()
    assert await outcome(storage, files[1]) is Outcome.MATCH


def test_the_pauses_of_a_host_double_up_to_the_longest() -> None:
    breaker, now, pauses = Breaker(limit=2, pause=30, longest=100), 0.0, []
    breaker.bad(now, "away")
    assert breaker.refuses(now) == ""
    for _ in range(4):
        breaker.bad(now, "away")
        pauses.append(breaker.until - now)
        now = breaker.until
        assert breaker.refuses(now) == ""  # the probe
        assert breaker.refuses(now) == "it is being tried again: away"
    assert pauses == [30, 60, 100, 100]
    breaker.good()
    assert (breaker.refuses(now), breaker.failures) == ("", 0)


def test_failures_that_were_under_way_when_a_host_began_to_rest_count_once() -> None:
    breaker = Breaker(limit=2, pause=30, longest=100)
    for _ in range(8):
        breaker.bad(0.0, "away")
    assert (breaker.failures, breaker.until) == (2, 30.0)


def test_a_probe_that_was_not_found_out_leaves_the_next_one_free() -> None:
    breaker = Breaker(limit=1, pause=30, longest=100)
    breaker.bad(0.0, "away")
    assert breaker.refuses(30.0) == ""
    breaker.release()
    assert breaker.ripe(30.0)


@pytest.mark.parametrize("url", ["https://h:99999/x", "srm://h/x", "http://h/x"])
async def test_an_address_that_cannot_be_asked(url: str) -> None:
    file = Wanted(url, 1, "00000001")
    said = (await Storage({"https": Counting()}).check([file]))[file]
    assert (said.outcome, said.asked, url in said.words) == (Outcome.UNVERIFIABLE, False, True)
