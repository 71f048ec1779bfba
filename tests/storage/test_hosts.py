"""A host in trouble rests, is tried again with one file, and delays no other; what addresses can do is bounded."""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from act_core.errors import CredentialError
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
    broken: str = "no such name"

    async def look(self, place: Place, file: Wanted) -> Verdict:
        if self.broken in file.url:
            raise CredentialError("the proxy has expired")
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


async def test_files_that_hang_keep_no_turn_from_others(town: Town, shop: Shop) -> None:
    """They hung while the host did. It has come back, and they may wait for minutes yet."""
    files = [shop.put(f"f{i}", b"x") for i in range(40)]
    await shop.fault(kind=Kind.HANG, times=4)
    storage = town.client(perhost=4, timeout=timedelta(seconds=3))
    async with aclosing(storage.answers(files)) as answers:
        said = [await anext(answers) for _ in range(36)]
        assert {verdict.outcome for _, verdict in said} == {Outcome.MATCH}
        late = [verdict async for _, verdict in answers]
    assert {(verdict.outcome, verdict.asked) for verdict in late} == {(Outcome.UNREACHABLE, True)}
    assert len(late) == 4


async def test_a_host_that_hangs_is_asked_by_one_file_at_a_time(town: Town, shop: Shop) -> None:
    files = [shop.put(f"f{i}", b"x") for i in range(200)]
    await shop.fault(kind=Kind.HANG)
    storage = town.client(perhost=4, failures=3, timeout=timedelta(seconds=1))
    verdicts = await storage.check(files)
    assert {verdict.outcome for verdict in verdicts.values()} == {Outcome.UNREACHABLE}
    assert 4 < sum(verdict.asked for verdict in verdicts.values()) <= 4 + 10


async def test_files_that_hung_before_a_host_came_back_do_not_send_it_to_rest(town: Town, shop: Shop) -> None:
    files = [shop.put(f"f{i}", b"x") for i in range(10)]
    await shop.fault(kind=Kind.HANG, times=5)
    loop = asyncio.get_running_loop()
    storage = town.client(clock=loop.time, perhost=5, failures=3, timeout=timedelta(seconds=1))
    assert sorted(await outcomes(storage, files)) == [Outcome.MATCH] * 5 + [Outcome.UNREACHABLE] * 5
    assert await outcomes(storage, files) == [Outcome.MATCH] * 10


@dataclass
class Slow(Counting):
    """Computes so many checksums at a time, which takes so long; `gives_up`: after so long."""

    at_a_time: int = 2
    seconds: float = 0.15
    gives_up: float = 60.0

    def __post_init__(self) -> None:
        self._places = asyncio.Semaphore(self.at_a_time)

    async def look(self, place: Place, file: Wanted) -> Verdict:
        try:
            async with asyncio.timeout(self.gives_up), self._places:
                await asyncio.sleep(60 if "hangs" in file.url else self.seconds)
        except TimeoutError as err:
            raise Unreachable("no answer") from err
        return Verdict(Outcome.MATCH)


@pytest.mark.parametrize(("at_a_time", "seconds"), [(4, 0.3), (2, 0.15)])
async def test_a_slow_storage_is_asked_for_no_more_than_it_bears(at_a_time: int, seconds: float) -> None:
    """All of its answers come after a tenth of the time that a file may take, and none after all of it."""
    backend = Slow(at_a_time=at_a_time, seconds=seconds)
    storage = Storage({"https": backend}, Limits(perhost=6, timeout=timedelta(seconds=1.5)))
    files = [Wanted(f"https://h/{n}", 1, None) for n in range(40)]
    assert set(await outcomes(storage, files)) == {Outcome.MATCH}


async def test_where_files_of_our_own_are_slow_nobody_waits_for_a_thread_in_vain() -> None:
    backend = Slow(at_a_time=8, seconds=0.4)
    storage = Storage({"file": backend}, Limits(perhost=6, timeout=timedelta(seconds=1)))
    assert set(await outcomes(storage, [Wanted(f"file:///{n}", 1, None) for n in range(30)])) == {Outcome.MATCH}


async def test_a_back_end_that_gives_up_by_itself_tells_no_more_than_silence() -> None:
    backend = Slow(at_a_time=20, seconds=0.0, gives_up=0.8)
    storage = Storage({"https": backend}, Limits(perhost=6, failures=3, timeout=timedelta(seconds=1)))
    hang = [Wanted(f"https://h/hangs/{n}", 1, None) for n in range(6)]
    first = asyncio.create_task(outcomes(storage, hang))
    await asyncio.sleep(0)
    later = [Wanted(f"https://h/{n}", 1, None) for n in range(10)]
    assert set(await outcomes(storage, later)) == {Outcome.MATCH}
    assert set(await first) == {Outcome.UNREACHABLE}
    assert set(await outcomes(storage, later)) == {Outcome.MATCH}, "it does not rest"


async def test_a_file_that_tries_a_host_and_hangs_holds_up_no_round(town: Town, shop: Shop) -> None:
    """After a tenth of its time the host rests again; should the file be answered after all, it does not."""
    files = [shop.put(f"f{i}", b"x") for i in range(10)]
    await shop.fault(kind=Kind.ERROR, status=503)
    storage = town.client(perhost=4, failures=2, timeout=timedelta(seconds=2))
    await outcomes(storage, files)
    await shop.simulator.faults.remove()
    await shop.fault(kind=Kind.LATENCY, seconds=1, times=1)
    town.now += 31
    async with aclosing(storage.answers(files)) as answers:
        said = [await anext(answers) for _ in range(9)]
        assert {verdict.asked for _, verdict in said} == {False}
        assert "it rests for 60 s: no answer within 0.2 s" in said[0][1].words
        assert (await anext(answers))[1].outcome is Outcome.MATCH
    assert await outcomes(storage, files) == [Outcome.MATCH] * 10


async def test_a_file_that_was_never_begun_gives_its_turn_back() -> None:
    """A round ends with its first error; others go on with the host."""
    backend = Counting(broken="bad")
    storage = Storage({"https": backend}, Limits(perhost=2, deadline=timedelta(seconds=20)))
    for _ in range(20):
        with pytest.raises(CredentialError):
            await storage.check([Wanted(f"https://h/{'bad' if n == 1 else 'good'}/{n}", 1, None) for n in range(3)])
    assert await outcomes(storage, [Wanted("https://h/good", 1, None)]) == [Outcome.MATCH]


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
