"""The books of a day out of the tables, on both databases: rows in use and rows at rest, closed and closed again."""

import logging
from collections import Counter
from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, update

from act_core.atlas import closed_days, closing, suspects
from act_core.atlas.accounts import Account, Books, Spent, patience
from act_core.atlas.app import APP
from act_core.atlas.suspects import LostAnswer
from act_core.db.models import CeJob
from act_core.db.panda_models import PandaArchive, PandaRow
from act_core.db.session import Database
from act_core.errors import BadInput
from act_core.runtime import Runtime
from act_core.settings.app_model import AppSettings
from act_core.settings.app_model import Books as Policy
from act_core.settings.model import Settings
from act_core.stages import Tower, sweep
from tests.atlas.ledgers import DAY, FAILED, FINISHED, NEXT, NOON, OWNER, Ledger, hours

TODAY = DAY.date()
LATER = NEXT + hours(0.5)


@pytest.fixture
def ledger(db: Database) -> Ledger:
    return Ledger(db)


def computed(ledger: Ledger, day: date = TODAY, now: Any = LATER) -> Books:
    return ledger.db.read(closing.computed, OWNER, day, now, Policy())


def closed(ledger: Ledger, day: date = TODAY) -> Books:
    """The day, closed."""
    assert ledger.db.write(closed_days.write, computed(ledger, day), LATER)
    found = ledger.db.read(closed_days.read, OWNER.server, day)
    assert found is not None
    return found


def a_day(ledger: Ledger) -> None:
    """One job of each kind in queue A, one in flight in B; half of them at rest."""
    early = {"created": DAY - hours(1), "state_since": NOON}
    ledger.job(**early, **FINISHED)
    ledger.job(**FINISHED)
    ledger.job(**FAILED, cause="pilot 1137")
    ledger.job(state="closed", told="failed", ended_as="killed")
    ledger.job(state="closed", told="running", ended_as="taken back")
    ledger.job(state="closed", told="finished", created=NOON, state_since=NEXT + hours(0.1), ended_as="finished")
    ledger.job(queue="B", created=DAY - hours(5), state_since=NOON)
    ledger.job(created=NEXT + hours(0.2), state_since=NEXT + hours(0.2))  # of the next day
    ledger.job(created=DAY - hours(9), state_since=DAY - hours(1), **FINISHED)  # of the day before
    ledger.job(server="another.example", **FINISHED)


BALANCE = (
    Account("A", opening=1, taken=5, finished=2, failed=1, killed=1, taken_back=1, in_flight=1),
    Account("B", opening=1, in_flight=1),
)


def test_a_day_is_counted_by_queue_wherever_its_rows_lie(ledger: Ledger) -> None:
    a_day(ledger)
    assert computed(ledger).accounts == BALANCE
    ledger.rest(PandaRow, told="finished")
    assert computed(ledger).accounts == BALANCE
    ledger.rest(PandaRow, state="closed")
    ledger.rest(CeJob)
    assert computed(ledger).accounts == BALANCE
    assert computed(ledger, TODAY + timedelta(days=1)).accounts[0].opening == BALANCE[0].in_flight


def test_rows_that_were_closed_before_there_were_books_count_by_what_panda_was_told(ledger: Ledger) -> None:
    for told in ("finished", "failed", "cancelled", None):
        ledger.job(state="closed", told=told)
    (account,) = computed(ledger).accounts
    assert (account.finished, account.failed, account.taken_back, account.missing) == (1, 1, 2, 0)


def test_a_job_that_vanishes_or_doubles_does_not_balance(ledger: Ledger) -> None:
    first, second = ledger.job(), ledger.job()
    closed(ledger, TODAY)
    ledger.db.write(lambda s: s.execute(delete(PandaRow).where(PandaRow.panda_id == first)) and None)
    day = TODAY + timedelta(days=1)
    (account,) = computed(ledger, day, LATER).accounts
    assert (account.opening, account.in_flight, account.missing) == (2, 1, 1)
    found = ledger.db.read(closing.computed, OWNER, day, LATER, Policy())
    assert [one.job for one in found.unaccounted] == [f"{first}.1"]
    assert "belongs to no PanDA job" in found.unaccounted[0].why
    assert f"; A does not balance: +1; {first}.1: attempt 1" in closing.trouble(found)
    assert second


def test_core_hours_go_by_queue_ce_and_cause(ledger: Ledger) -> None:
    ran = {"state": "done", "wall_s": 3600, "cores": 8}
    retried = {"state": "donefailed", "wall_s": 600, "superseded_by": "k", "cores_asked": 2}
    ledger.job(retried, ran, **FINISHED)
    ledger.job(ran | {"state": "donefailed", "cores": None, "rule": "node"}, **FAILED, cause="pilot 1201")
    ledger.job(ran | {"cores": 0, "cores_asked": 4}, **FAILED, cause="pilot 1201")
    lost = {"state": "lost", "started_at": NOON, "state_since": NOON + hours(2), "ce": "ce2"}
    ledger.job(lost, **FAILED, queue="B")
    ledger.job({"state": "void", "superseded_by": "k", "ce": None}, {"wall_s": 99999}, queue="B")  # in flight
    wanted = (
        Spent("A", "ce1", "delivered", 1, 8 * 3600),
        Spent("A", "ce1", "failed: pilot 1201", 1, 4 * 3600),
        Spent("A", "ce1", "failed: rule node", 1, 3600),
        Spent("A", "ce1", "resubmitted", 1, 1200),
        Spent("B", "ce2", "lost", 1, 7200),
    )
    assert computed(ledger).spent == wanted
    ledger.rest(CeJob, state="done")
    ledger.rest(PandaRow, told="failed")
    assert computed(ledger).spent == wanted


def test_what_is_unaccounted_for_is_named(ledger: Ledger) -> None:
    bare = ledger.job(None, state="running")
    ledger.job(None, state="sent", created=LATER, state_since=LATER)
    ledger.job(None, state="toreport", state_since=LATER)
    ledger.job(state="running", state_since=LATER - timedelta(days=9))
    stuck = ledger.job(state="tovalidate", state_since=LATER - timedelta(days=2))
    at_rest = ledger.job(**FINISHED)
    ledger.rest(PandaRow, panda_id=at_rest)
    stray = ledger.job(state="running")
    ledger.db.write(lambda s: s.execute(delete(PandaRow).where(PandaRow.panda_id == stray)) and None)
    other = ledger.job(state="running")
    ledger.db.write(lambda s: s.execute(update(CeJob).where(CeJob.app_job_id == f"{other}.1").values(app="x")) and None)
    bound = patience(timedelta(days=1), timedelta(days=10))
    found = ledger.db.read(suspects.unaccounted, OWNER, bound, LATER, [LostAnswer("A", NOON, 100)])
    assert [(one.job, one.why) for one in found] == [
        (f"{bare}.1", "running, and no attempt stands for it"),
        (f"{other}.1", "running, and no attempt stands for it"),
        (f"{stray}.1", "attempt 1 (submitted) belongs to no PanDA job"),
        (f"{stuck}.1", f"tovalidate since {LATER - timedelta(days=2):%Y-%m-%d %H:%M}"),
        ("A 12:00:00", "no answer to a call for 100 jobs"),
    ]


def test_who_ran_twice_is_found_by_what_the_ces_said(ledger: Ledger) -> None:
    ran, over = {"started_at": NOON, "wall_s": 60}, {"state": "donefailed", "superseded_by": "k"}
    ledger.job(ran | over | {"ended_at": NOON}, ran | {"state": "done"}, **FINISHED)
    ledger.job({"state": "void", "superseded_by": "k"}, ran | {"state": "done"}, **FINISHED)
    twice = ledger.job({"state": "lost", "superseded_by": "k"}, ran | {"state": "done"}, **FINISHED)
    assert computed(ledger).doubly == ()
    ledger.ran(twice, 1)
    (found,) = computed(ledger).doubly
    assert (found.job, "the earlier one is lost" in found.why) == (f"{twice}.1", True)
    ledger.rest(PandaRow, panda_id=twice)
    ledger.rest(CeJob, app_job_id=f"{twice}.1")
    assert computed(ledger).doubly == (found,)


def test_one_job_in_two_rows_is_found(ledger: Ledger) -> None:
    number = ledger.job(**FINISHED)
    ledger.job(**FINISHED)
    ledger.rest()
    assert computed(ledger).doubly == ()
    ledger.job(None, panda_id=number, state="sent")
    ledger.job(None, panda_id=number, attempt_nr=2, state="sent")
    assert [one.job for one in computed(ledger).doubly] == [f"{number}.1"]
    ledger.rest(PandaRow, attempt_nr=1, panda_id=number)
    assert [one.job for one in computed(ledger).doubly] == [f"{number}.1"]


def test_finished_jobs_with_outputs_that_nobody_could_check_are_listed(ledger: Ledger) -> None:
    number = ledger.job(**FINISHED, unverified=2)
    ledger.job(**FAILED, unverified=1)
    ledger.job(state="tovalidate", unverified=1)
    (found,) = computed(ledger).unverified
    assert (found.job, found.why) == (f"{number}.1", "2 outputs could not be checked")
    ledger.rest(PandaRow, state="closed")
    assert computed(ledger).unverified == (found,)


def test_a_closed_day_stays_as_it_was_until_somebody_closes_it_again(ledger: Ledger) -> None:
    a_day(ledger)
    first = closed(ledger)
    assert (first.accounts, first.closed_at, first.revision) == (BALANCE, LATER, 1)
    assert ledger.db.read(closing.books_of, OWNER, TODAY, LATER, Policy()) == first
    late = ledger.job(**FINISHED)
    assert not ledger.db.write(closed_days.write, computed(ledger), LATER)
    assert ledger.db.read(closed_days.read, OWNER.server, TODAY) == first
    fresh = computed(ledger)
    changed = ledger.db.read(closing.differences, fresh)
    assert changed == ("A: taken 5 → 6", "A: finished 2 → 3")
    assert ledger.db.write(closed_days.write, fresh, LATER, changed)
    again = ledger.db.read(closed_days.read, OWNER.server, TODAY)
    assert again is not None
    assert (again.revision, again.changed, again.accounts) == (2, changed, fresh.accounts)
    assert late


def test_days_that_are_open_are_found_from_the_first_job_on(ledger: Ledger) -> None:
    def days() -> list[str]:
        found = ledger.db.read(closed_days.open_days, OWNER.server, NEXT.date())
        return [str(day) for day in found]

    assert days() == []
    number = ledger.job(created=DAY - timedelta(days=2), **FINISHED)
    assert days() == ["2026-02-28", "2026-03-01", "2026-03-02"]
    ledger.rest(PandaRow, panda_id=number)
    assert len(days()) == 3
    closed(ledger, date(2026, 3, 1))
    assert days() == ["2026-02-28", "2026-03-02"], "one that was closed by hand hides no other"


def test_a_day_that_has_not_begun_has_no_books(ledger: Ledger) -> None:
    with pytest.raises(BadInput, match="2026-03-05 has not begun"):
        computed(ledger, date(2026, 3, 5))


class Worker(Runtime):
    """A runtime at half past midnight."""

    def now(self) -> Any:
        return LATER


@pytest.fixture
async def tower(db_settings: Settings, ledger: Ledger) -> AsyncIterator[Tower]:
    app = AppSettings.model_validate({"panda": {"server": f"https://{OWNER.server}"}})
    async with Tower(Worker.open(db_settings.model_copy(update={"app": app})), apps=(APP,)) as made:
        yield made


async def test_the_stage_closes_what_is_over_and_says_so(
    tower: Tower, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    ledger.job(created=DAY - timedelta(days=1), **FINISHED)
    ledger.job(created=DAY - hours(3), state_since=DAY - hours(2), **FINISHED)
    with caplog.at_level(logging.INFO):
        assert await sweep(tower, "close-books") == {"closed": 2}
    assert [one.levelno for one in caplog.records if "books of" in one.message] == [logging.INFO] * 2
    assert "books of 2026-03-02: 1 open + 0 taken = 1 finished + 0 failed + 0 given back + 0 in flight" in caplog.text
    assert await sweep(tower, "close-books") == {}


async def test_books_that_do_not_balance_turn_the_stage_red(
    tower: Tower, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    closed(ledger, TODAY - timedelta(days=1))
    number = ledger.job(created=DAY - hours(3), **FINISHED)
    ledger.job(None, state="running")
    assert await sweep(tower, "close-books") == Counter(closed=1, unbalanced=1, unaccounted=1)
    (line,) = [one for one in caplog.records if "books of" in one.message]
    assert line.levelno == logging.ERROR
    assert "; A does not balance: -1" in line.message
    assert "running, and no attempt stands for it" in line.message
    assert number


def test_an_archive_keeps_what_the_books_need() -> None:
    assert {"ended_as", "cause", "unverified"} <= set(PandaArchive.__table__.columns.keys())
