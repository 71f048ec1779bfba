"""What PanDA has reserved for us, and nobody has, is counted until PanDA gives it up."""

from datetime import UTC, datetime, timedelta

import pytest

from act_core.atlas import asks, lost_answers
from act_core.atlas.asks import Ask, What
from act_core.atlas.books import HARVESTER
from act_core.atlas.fetch_jobs import fetch_jobs
from act_core.atlas.instance import server_of
from act_core.atlas.lost_answers import at_most, still_reserved
from act_core.atlas.panda_connection import PandaConnection
from act_core.atlas.reports import ActiveJobs, JobStatus
from act_core.cli.panda import told
from act_core.credentials.vault import key_file, make_key
from act_core.simulators.faults import Kind
from tests.atlas.house import ACQUIRE, QUEUE, House, Killed, killed_at
from tests.atlas.statements import heard_statements
from tests.atlas.test_best_before import both
from tests.atlas.test_fetch_jobs import break_down
from tests.atlas.test_secrets import SECRETS

FETCH = "fetch-jobs"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def ask(number: int, n: int, ids: tuple[int, ...] = (), queue: str = QUEUE) -> Ask:
    return Ask(number, "s", queue, "managed", NOW, NOW + asks.SENT_FOR, n, What.LOST, n, ids, None)


async def lost(house: House) -> list[Ask]:
    now = house.rt.now()
    return await house.rt.read(asks.lost_between, server_of(house.rt), now - DAY, now + DAY)


async def lose(house: House, n: int) -> list[int]:
    """PanDA reserves so many jobs for us, and its answer is lost; returns them."""
    house.configure(panda={"getjobs": n})
    numbers = house.order(n)
    await house.fault(house.panda, Kind.ACCEPT_HANGUP, path=ACQUIRE, times=1)
    assert await house.run(FETCH) == {"errors": 1}
    assert {house.book(number).status for number in numbers} == {"sent"}
    both(house, seconds=31)
    return numbers


async def test_a_call_that_is_booked_leaves_nothing(queue: House) -> None:
    queue.order(2)
    with heard_statements(queue) as sent:
        assert await queue.run(FETCH, FETCH) == {"taken": 2}
    assert sum("INTO panda_asks" in one for one in sent) == 2
    assert sum("DELETE FROM panda_asks" in one for one in sent) == 2
    assert await lost(queue) == []


@pytest.mark.parametrize("kind", [Kind.DOWN, Kind.ERROR])
async def test_a_call_that_panda_never_got_or_refused_loses_nothing(queue: House, kind: Kind) -> None:
    await queue.fault(queue.panda, kind, path=ACQUIRE, **({} if kind is Kind.DOWN else {"status": 403}))
    assert await queue.run(FETCH) == {"errors": 1}
    both(queue, minutes=10)
    assert await lost_answers.due(queue.rt) == []


async def test_a_lossy_line_does_not_take_ever_more(queue: House) -> None:
    queue.configure(panda={"minjobs": 3})
    await lose(queue, 3)
    queue.order(5)
    assert await queue.run(FETCH) == {}
    (one,) = await lost(queue)
    assert (one.queue, one.asked, one.n, one.what) == (QUEUE, 3, 3, What.LOST)
    both(queue, minutes=20)
    assert await queue.run(FETCH) == {"lost_answers": 1}, "PanDA says that it still holds them"
    both(queue, minutes=10)
    assert await queue.run(FETCH) == {"taken": 3}
    assert [one.n for one in await lost(queue)] == [3], "it stays in the books"


async def test_what_panda_cannot_have_reserved_is_not_held_against_a_queue(queue: House) -> None:
    """A spoilt answer to a call that found fewer jobs than it asked for."""
    queue.configure(panda={"minjobs": 100})
    one = queue.order()
    await queue.fault(queue.panda, Kind.ACCEPT_HANGUP, path=ACQUIRE, times=1)
    await queue.run(FETCH)
    assert [ask.n for ask in await lost(queue)] == [100]
    both(queue, minutes=7)
    taken = queue.order(2)
    assert (await queue.run(FETCH))["lost_answers"] == 1
    assert [ask.n for ask in await lost(queue)] == [1]
    both(queue, seconds=3)
    await queue.run(FETCH)
    assert sorted(await queue.rows()) == taken
    assert queue.book(one[0]).acquisitions == 1


async def test_jobs_of_which_a_harvester_reports_account_for_none_that_are_reserved(queue: House) -> None:
    """PanDA is never told of them by us, and they are long running there."""
    (handed,) = await queue.bound()
    await queue.run("heartbeat")
    await queue.change(handed, reporter=HARVESTER, told=None, heartbeat_due_at=None)
    await lose(queue, 1)
    both(queue, minutes=7)
    assert (await queue.run(FETCH))["lost_answers"] == 1
    assert [ask.n for ask in await lost(queue)] == [1]


async def test_a_spoilt_answer_that_reserved_nothing_is_forgotten(queue: House) -> None:
    await queue.taken()
    queue.configure(panda={"getjobs": 5})
    await queue.fault(queue.panda, Kind.ACCEPT_HANGUP, path=ACQUIRE, times=1)
    await queue.run(FETCH)
    both(queue, minutes=7)
    assert await lost_answers.due(queue.rt) != []
    await queue.run(FETCH)
    assert await lost(queue) == []
    assert await lost_answers.due(queue.rt) == []


async def test_a_tower_that_ends_in_the_middle_has_the_call_in_its_books(queue: House) -> None:
    numbers = queue.order(2)
    queue.configure(panda={"getjobs": 2})
    with killed_at(queue.rt, "INSERT INTO panda_jobs"), pytest.raises(Killed):
        await fetch_jobs(queue.rt, QUEUE)
    assert await lost(queue) == [], "it may still be in the air"
    both(queue, minutes=7)
    assert (await queue.run(FETCH))["lost_answers"] == 1
    (one,) = await lost(queue)
    assert (one.n, one.what, one.why) == (2, What.LOST, "the tower ended before the answer came")
    assert {queue.book(number).status for number in numbers} == {"sent"}


async def test_jobs_that_could_not_be_booked_are_named(queue: House, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = queue.order(2)
    with monkeypatch.context() as away:
        break_down(away, 3)
        assert await queue.run(FETCH) == {"errors": 1}
    (one,) = await lost(queue)
    assert (one.n, one.what, one.panda_ids) == (2, What.UNBOOKED, tuple(numbers))
    (line,) = told({"lost": [vars_of(one)], "forgotten": {}})
    assert line.startswith(f"{QUEUE}: 2 jobs ({numbers[0]}, {numbers[1]}) acquired and lost; PanDA gives them up by ")
    queue.books.kill([numbers[0]], 9, queue.clock.now())
    both(queue, minutes=7)
    await queue.run(FETCH)
    assert [one.n for one in await lost(queue)] == [1], "the other one is over in PanDA"


def vars_of(one: Ask) -> dict[str, object]:
    return {name: getattr(one, name) for name in Ask.__slots__}


async def test_a_call_that_timed_out_in_pandas_database_may_have_reserved_jobs(
    queue: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.configure(panda={"getjobs": 2})

    async def post_once(*_: object) -> bytes:
        return b'{"success": false, "message": "Timed out", "data": null}'

    monkeypatch.setattr(PandaConnection, "post_once", post_once)  # the simulator's database is never slow
    assert await queue.run(FETCH) == {"errors": 1}
    assert [(one.n, one.what) for one in await lost(queue)] == [(2, What.LOST)]


async def test_jobs_without_a_number_are_counted(queue: House) -> None:
    (bad,) = queue.order()
    queue.book(bad).order = queue.book(bad).order.model_copy(update={"extra": {"PandaID": "x"}})
    await queue.run(FETCH)
    (one,) = await lost(queue)
    assert (one.n, one.what, one.panda_ids) == (1, What.UNBOOKED, ())


async def test_jobs_that_wait_for_the_key_are_counted_until_they_are_booked(queue: House) -> None:
    make_key(queue.rt.settings, first=True)
    key = key_file(queue.rt.settings)
    away = key.rename(key.with_name("away"))
    (secret,), _ = queue.order(extra=SECRETS), queue.order()
    await queue.run(FETCH)
    assert [(one.what, one.panda_ids) for one in await lost(queue)] == [(What.UNBOOKED, (secret,))]
    both(queue, minutes=7)
    await queue.run(FETCH)
    assert [one.n for one in await lost(queue)] == [1]
    away.rename(key)
    both(queue, minutes=6)
    await queue.run(FETCH)
    assert secret in await queue.rows()
    await queue.run(FETCH)
    assert await lost(queue) == []


async def test_while_panda_is_away_nothing_is_concluded(queue: House) -> None:
    await lose(queue, 2)
    both(queue, minutes=7)
    await queue.fault(queue.panda, Kind.ERROR, path="statistics")
    assert (await queue.run(FETCH))["errors"] == 1
    assert await lost_answers.due(queue.rt) == [], "it is not stormed"
    both(queue, minutes=25)
    await queue.run(FETCH)
    assert [one.n for one in await lost(queue)] == [2], "PanDA has given them up, and says no more of them"
    assert await lost_answers.due(queue.rt) == []


async def test_other_servers_and_days_are_not_told(queue: House) -> None:
    await lose(queue, 2)
    now = queue.rt.now()
    assert len(await queue.rt.read(asks.lost_now, server_of(queue.rt), now)) == 1
    assert await queue.rt.read(asks.lost_between, "another.example", now - DAY, now) == []
    assert await queue.rt.read(asks.lost_between, server_of(queue.rt), now, now + DAY) == []
    assert await queue.rt.read(asks.lost_now, server_of(queue.rt), now + asks.SENT_FOR) == []


@pytest.mark.parametrize(
    ("sent", "untold", "found"),
    [
        pytest.param(9, 0, {1: 3, 2: 4}, id="more than were asked for: others take from the queue, too"),
        pytest.param(5, 0, {1: 3, 2: 2}, id="none is counted twice"),
        pytest.param(5, 3, {1: 2, 2: 0}, id="our own are none"),
        pytest.param(0, 2, {1: 0, 2: 0}, id="never less than none"),
    ],
)
def test_how_many_are_lost_at_most(sent: int, untold: int, found: dict[int, int]) -> None:
    numbers = {QUEUE: [ActiveJobs("SCORE", "managed", "sent", sent), ActiveJobs("SCORE", "managed", "running", 50)]}
    assert at_most([ask(1, 3), ask(2, 4)], numbers, {QUEUE: untold}) == found


def test_what_is_known_of_jobs_that_were_not_booked() -> None:
    said = {1: JobStatus(1, "sent", 1), 2: JobStatus(2, "failed", 1), 3: JobStatus(3, "sent", 1)}
    assert still_reserved(ask(1, 4, (1, 2, 3, 4)), said, {3}) == 2, "1 waits, 4 was not spoken of"
