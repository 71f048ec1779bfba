"""No mass action on one witness: what harms whom, how much may go on one word, when the brake ends."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import count

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from sqlalchemy import event

from act_core.ce.base import RemoteId
from act_core.db import brakes, ledger
from act_core.db.attempts import Attempt, as_attempt, attempts
from act_core.db.brakes import Kind, Numbers
from act_core.decisions import Decision, Move, Stay
from act_core.engine import brake
from act_core.engine.belief import LATER
from act_core.engine.brake import allowed, deferred, harm, judge
from act_core.engine.poll import poll
from act_core.engine.reconcile import reconcile
from act_core.engine.settling import settle
from act_core.settings.policy import Brake
from act_core.states import CeState, Request
from tests.engine.conftest import BEGINNING, _attempt
from tests.engine.house import CE, House

Make = Callable[..., Attempt]
S = CeState
POLICY = Brake()
COMMIT = timedelta(minutes=10)
MINUTE = timedelta(minutes=1)


# --- what harms -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "request_", "to", "actor", "kind"),
    [
        pytest.param(S.RUNNING, None, S.LOST, "poll", Kind.LOSE, id="lost by the poll"),
        pytest.param(S.FINISHED, None, S.LOST, "fetch", Kind.LOSE, id="lost by the fetch"),
        pytest.param(S.FAILED, Request.RERUN, S.LOST, "rerun", Kind.LOSE, id="lost by the rerun"),
        pytest.param(S.SUBMITTING, None, S.VOID, "reconcile", Kind.VOID, id="never arrived"),
        pytest.param(S.RUNNING, None, S.ABANDONED, "something new", Kind.ABANDON, id="given up by whom nobody knows"),
        pytest.param(S.RUNNING, None, S.ABANDONED, "unseen", None, id="given up after a time that was counted"),
        pytest.param(S.RUNNING, None, S.ABANDONED, "operator", None, id="given up by an operator"),
        pytest.param(S.RUNNING, Request.CANCEL, S.LOST, "cancel", Kind.LOSE, id="a kill that meets a 404"),
        pytest.param(
            S.CANCELLING, Request.CANCEL, S.CANCELLED, "cancel", None, id="gone after a kill that was accepted"
        ),
        pytest.param(S.CANCELLING, Request.CANCEL, S.LOST, "poll", None, id="lost while it was being killed"),
        pytest.param(S.RUNNING, None, S.CANCELLED, "poll", Kind.KILL, id="killed by nobody of ours"),
        pytest.param(S.RUNNING, Request.CANCEL, S.CANCELLED, "poll", None, id="killed as somebody wished"),
        pytest.param(S.TOSUBMIT, Request.CANCEL, S.CANCELLED, "cancel", None, id="cancelled before it was sent"),
        pytest.param(S.RUNNING, None, S.FAILED, "poll", None, id="a failed job is no mass action"),
        pytest.param(S.FINISHED, None, S.DONE, "fetch", None, id="a good end"),
    ],
)
def test_what_harms(
    attempt: Make, now: datetime, state: CeState, request_: Request | None, to: CeState, actor: str, kind: Kind | None
) -> None:
    assert harm(attempt(state, request=request_), Move(to, "x"), actor, now, None) is kind


@pytest.mark.parametrize(
    ("commit", "after", "kind"),
    [
        pytest.param(COMMIT, COMMIT, None, id="without our input it cannot run any more"),
        pytest.param(COMMIT, COMMIT - MINUTE, Kind.VOID, id="it may yet turn up"),
        pytest.param(None, 10 * COMMIT, Kind.VOID, id="one phase: it may run whenever it arrived"),
    ],
)
def test_a_void_submission(
    attempt: Make, now: datetime, commit: timedelta | None, after: timedelta, kind: Kind | None
) -> None:
    doubtful = attempt(S.SUBMITTING, send_deadline=now)
    assert harm(doubtful, Move(S.VOID, "x"), "reconcile", now + after, commit) is kind


def test_what_is_written_of_a_job_that_is_held(attempt: Make, now: datetime) -> None:
    assert deferred(attempt(S.RUNNING, absent_since=now), Kind.LOSE, "poll", now) is None
    later = now + LATER
    assert deferred(attempt(S.RUNNING), Kind.LOSE, "cancel", now) == Stay({"due_at": later, "absent_since": now})
    assert deferred(attempt(S.FINISHED, absent_since=now), Kind.LOSE, "fetch", now) == Stay({"due_at": later})
    assert deferred(attempt(S.RUNNING), Kind.KILL, "cancel", now) == Stay({"due_at": later})


# --- how many -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("living", "most"),
    [(0, 50), (20, 50), (1000, 50), (1019, 50), (1020, 51), (20_000, 1000)],
)
def test_how_many_may_go_on_one_word(living: int, most: int) -> None:
    assert allowed(living, POLICY) == most


_numbers: Iterator[int] = count(1)


def batch(n: int, share: str = "", marked: bool = True) -> list[Attempt]:
    since = BEGINNING if marked else None
    return [_attempt(S.RUNNING, id=next(_numbers), share=share, ce=CE, absent_since=since) for _ in range(n)]


def known(living: int, marked: int = 0, recent: int = 0, on: int | None = None, left: int = 0) -> Numbers:
    scope = f"ce:{CE}"
    return Numbers(
        living={scope: living},
        marked={scope: marked},
        recent={scope: recent} if recent else {},
        on={} if on is None else {scope: on},
        left={scope: (7, left)} if left else {},
    )


@pytest.mark.parametrize(
    ("n", "numbers", "held"),
    [
        pytest.param(10, known(20, 10), 0, id="half of twenty is below the floor"),
        pytest.param(50, known(50, 50), 0, id="just the floor"),
        pytest.param(51, known(51, 51), 51, id="one more: none of them"),
        pytest.param(3, known(400, 60), 3, id="three, of sixty of which the same was said"),
        pytest.param(20, known(400, 20, recent=40), 20, id="forty went a moment ago"),
        pytest.param(500, known(10_000, 500), 0, id="five in a hundred"),
        pytest.param(1, known(400, 1, on=3), 1, id="a brake that is on holds a single one"),
        pytest.param(80, known(400, 80, left=80), 0, id="a release lets its number through"),
        pytest.param(81, known(400, 81, left=80), 0, id="and what is left is few"),
        pytest.param(140, known(400, 140, left=80), 60, id="or many"),
    ],
)
def test_the_judgement_on_a_ce(n: int, numbers: Numbers, held: int) -> None:
    found = judge(batch(n), Kind.LOSE, CE, numbers, POLICY)
    assert len(found.held) == held
    assert bool(found.engaged) is bool(held)
    assert sum(found.released.values()) == min(n, dict(numbers.left.values()).get(7, 0))


def test_a_share_is_weighed_by_itself() -> None:
    small, other = batch(120, "small"), batch(100, "large")
    numbers = known(10_000, 220)
    numbers.living |= {"queue:small": 200, "queue:large": 9800}
    numbers.marked |= {"queue:small": 120, "queue:large": 100}
    found = judge([*small, *other], Kind.LOSE, CE, numbers, POLICY)
    assert found.held == set(small)
    assert [(one.scope, one.n, one.limit) for one in found.engaged] == [("queue:small", 120, 50)]
    assert found.struck == {f"ce:{CE}": 100, "queue:large": 100}


@profile(max_examples=100)
@given(
    batches=st.lists(st.integers(1, 80), min_size=1, max_size=12),
    living=st.integers(0, 3000),
    floor=st.integers(1, 60),
    fraction=st.floats(0.01, 0.5),
)
def test_never_more_than_that_within_a_window(batches: list[int], living: int, floor: int, fraction: float) -> None:
    """However they come: one by one, or all at once; and nothing is held that is few."""
    policy, there = Brake(floor=floor, fraction=fraction), living + sum(batches)
    gone, on = 0, None
    for n in batches:
        jobs = batch(n, marked=False)
        found = judge(jobs, Kind.KILL, CE, known(there - gone, recent=gone, on=on), policy)
        assert found.held in (set(), set(jobs)), "all or none"
        if found.held:
            on = 1
        else:
            gone += n
        assert gone <= allowed(there, policy)
    if sum(batches) <= floor:
        assert gone == sum(batches)


# --- on a CE --------------------------------------------------------------------------------------------------------


async def absent(house: House, n: int, hours: int = 3) -> list[RemoteId]:
    """The CE has forgotten all of its jobs, and was asked often enough since."""
    jobs = await house.jobs(n, S.RUNNING)
    kept, house.end.world.jobs = house.end.world.jobs, {}
    for _ in range(hours * 6):
        house.ahead += 10 * MINUTE
        await poll(house, CE)
    house.end.world.jobs = kept
    return jobs


async def test_fifty_are_lost_and_fifty_one_are_not(house: House) -> None:
    await absent(house, 50)
    assert set((await house.states()).values()) == {S.LOST}
    assert await house.read(brakes.on) == []


async def test_while_it_is_on_nothing_is_written_but_when_it_was_last_said(house: House) -> None:
    await absent(house, 51)
    before = {row.id: row.version for row in await house.rows()}
    house.end.world.jobs.clear()
    house.ahead += 10 * MINUTE
    assert (await poll(house, CE))["braked"] == 51
    assert {row.id: row.version for row in await house.rows()} == before
    (row,) = await house.read(brakes.on)
    assert (row.n, row.living) == (51, 51)
    assert house.now() - row.seen_at < MINUTE
    assert [line.code for line in await house.read(ledger.lines, ce=CE)] == ["brake-lose"]


async def test_other_work_of_the_ce_goes_on(house: House) -> None:
    jobs = await absent(house, 60)
    for job in jobs[1:]:
        del house.end.world.jobs[job]
    house.end.world.jobs[jobs[0]].state = "FINISHED"
    await poll(house, CE)
    states = await house.states()
    assert states.pop(jobs[0]) == S.FINISHED
    assert set(states.values()) == {S.RUNNING}


async def test_it_ends_by_itself_when_the_jobs_are_known_again(house: House) -> None:
    await absent(house, 51)
    assert len(await house.read(brakes.on)) == 1
    await poll(house, CE)
    assert await house.read(brakes.on) == []
    assert {row.absent_since for row in await house.rows()} == {None}
    assert [line.code for line in await house.read(ledger.lines, ce=CE)] == ["", "brake-lose"]


async def test_another_process_finds_that_the_cause_is_gone(house: House) -> None:
    await absent(house, 51)
    house._kept.clear()  # it has not seen the brake go on
    await poll(house, CE)
    assert len(await house.read(brakes.on)) == 1
    assert await brake.look_after(house) == {"brakes off": 1}
    assert await brake.look_after(house) == {}


async def test_what_is_not_said_any_more_is_not_held_for_ever(house: House) -> None:
    await house.jobs(51, S.RUNNING)
    for job in house.end.world.jobs.values():
        job.state = "KILLED"  # by nobody of ours
    assert (await poll(house, CE))["braked"] == 2 * 51, "by the list of ended jobs, and by their states"
    assert [row.kind for row in await house.read(brakes.on)] == ["kill"]
    for job in house.end.world.jobs.values():
        job.state = "RUNNING"
    house.ahead += 5 * MINUTE
    await brake.look_after(house)
    assert len(await house.read(brakes.on)) == 1
    house.ahead += 6 * MINUTE
    await brake.look_after(house)
    assert await house.read(brakes.on) == []
    assert set((await house.states()).values()) == {S.RUNNING}


async def test_submissions_that_never_arrived_wait_until_they_cannot_run_any_more(house: House) -> None:
    await house.jobs(60, S.SUBMITTING)
    for _ in range(3):
        house.ahead += 2 * MINUTE
        await reconcile(house, CE)
    assert {row.state for row in await house.rows()} == {S.SUBMITTING}
    assert [row.kind for row in await house.read(brakes.on)] == ["void"]
    house.ahead += 10 * MINUTE
    assert (await reconcile(house, CE))["next attempts"] == 60
    await brake.look_after(house)
    assert await house.read(brakes.on) == []


async def test_a_batch_without_harm_costs_no_statement_more_and_one_with_harm_four(house: House) -> None:
    await house.jobs(10, S.RUNNING)

    async def statements(move: Decision) -> int:
        sent: list[str] = []

        def hear(_conn: object, _cursor: object, words: str, *_: object) -> None:
            sent.append(words)

        rows = await house.read(lambda session: [as_attempt(row) for row in session.execute(attempts())])
        event.listen(house._db.engine, "before_cursor_execute", hear)
        await settle(house, dict.fromkeys(rows[:5], move), "poll")
        event.remove(house._db.engine, "before_cursor_execute", hear)
        return len([words for words in sent if not words.startswith(("BEGIN", "PRAGMA"))])

    plain = await statements(Move(S.FINISHING, "x"))
    assert await statements(Move(S.LOST, "x")) == plain + 4  # one of them asks whether the endpoint was another one
