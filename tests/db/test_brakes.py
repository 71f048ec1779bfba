"""The table of brakes: one row a scope, kind and source; releases that let a number through; ends that say why."""

from datetime import timedelta
from typing import Any

from act_core.db import brakes, ledger
from act_core.db.brakes import Kind, Weighed
from act_core.db.session import Database
from tests.db.conftest import BEGINNING as NOW

MINUTE = timedelta(minutes=1)
QUIET = 10 * MINUTE
LOSE = Weighed("ce:ce1", Kind.LOSE, "ce:ce1", 90, 400, 50)
SHARE = Weighed("queue:q", Kind.LOSE, "ce:ce1", 60, 80, 50)


def engage(db: Database, weighed: Weighed = LOSE, after: timedelta = timedelta(0)) -> int | None:
    return db.write(brakes.engage, weighed, QUIET, NOW + after, {})


def numbers(db: Database, after: timedelta = timedelta(0)) -> brakes.Numbers:
    return db.read(brakes.numbers, "ce1", Kind.LOSE, "ce:ce1", ["q"], NOW + after - QUIET, NOW + after)


def test_what_is_there_to_weigh(db: Database, rows: Any) -> None:
    rows.add(*"abcd")
    for name in "abc":
        rows.put(name, state="running", ce="ce1", remote_id=name, share="q" if name != "c" else "")
    rows.put("a", absent_since=NOW)
    rows.put("d", state="submitting", ce="ce1", absent_since=NOW)
    found = numbers(db)
    assert found.living == {"ce:ce1": 4, "queue:q": 2, "queue:": 2}
    assert found.marked == {"ce:ce1": 1, "queue:q": 1, "queue:": 0}
    void = db.read(brakes.numbers, "ce1", Kind.VOID, "ce:ce1", [], NOW - QUIET, NOW)
    assert void.marked["ce:ce1"] == 1


def test_what_was_struck_counts_for_a_window_and_for_its_source_and_kind(db: Database) -> None:
    db.write(brakes.strike, {"ce:ce1": 3, "queue:q": 2}, Kind.LOSE, "ce:ce1", NOW)
    db.write(brakes.strike, {"ce:ce1": 30}, Kind.VOID, "ce:ce1", NOW)
    db.write(brakes.strike, {"queue:q": 30}, Kind.LOSE, "ce:ce2", NOW)
    assert numbers(db, MINUTE).recent == {"ce:ce1": 3, "queue:q": 2}
    assert numbers(db, 11 * MINUTE).recent == {}
    db.write(brakes.forget, NOW + MINUTE)
    assert numbers(db, MINUTE).recent == {}


def test_one_row_however_often_it_is_said(db: Database) -> None:
    first = engage(db)
    assert first is not None
    assert engage(db, after=30 * timedelta(seconds=1)) is None
    (row,) = db.read(brakes.on)
    assert row.seen_at == NOW
    assert engage(db, after=2 * MINUTE) is None
    (row,) = db.read(brakes.on)
    assert (row.id, row.since, row.seen_at) == (first, NOW, NOW + 2 * MINUTE)
    assert engage(db, SHARE) is not None
    assert [row.scope for row in db.read(brakes.on)] == ["ce:ce1", "queue:q"]
    assert [row.scope for row in db.read(brakes.on, ["queue:q"])] == ["queue:q"]
    assert numbers(db).on == {"ce:ce1": first, "queue:q": first + 1}


def test_few_do_not_keep_it_on(db: Database) -> None:
    """Some jobs are always killed: they are held while the brake is on, and it ends when they are all that is said."""
    many, one = (Weighed("ce:ce1", Kind.KILL, "ce:ce1", n, 400, 50) for n in (60, 1))
    engage(db, many)
    engage(db, one, 5 * MINUTE)
    (row,) = db.read(brakes.on)
    assert (row.seen_at, row.n) == (NOW, 60)
    engage(db, many, 6 * MINUTE)
    (row,) = db.read(brakes.on)
    assert row.seen_at == NOW + 6 * MINUTE


def test_a_source_that_speaks_of_one_job_at_a_time(db: Database) -> None:
    one = Weighed("queue:q", Kind.KILL, "panda:s", 1, 400, 50)

    def said(seconds: int, times: int, start: timedelta) -> None:
        for n in range(times):
            db.write(brakes.engage, one, QUIET, NOW + start + n * timedelta(seconds=seconds), {}, 6 * MINUTE)

    said(5, 60, timedelta(0))
    (row,) = db.read(brakes.on)
    assert row.n == 60
    assert row.seen_at > NOW + 4 * MINUTE, "sixty of them within five minutes"
    before = row.seen_at
    said(60, 30, 6 * MINUTE)
    (row,) = db.read(brakes.on)
    assert (row.seen_at, row.n) == (before, 60), "one a minute is not many"


def test_a_release_lets_its_number_through_within_its_time(db: Database) -> None:
    brake = engage(db)
    assert brake is not None
    assert db.write(brakes.release, brake, "operator", NOW + 30 * MINUTE, NOW, "the disk died", 120)
    assert not db.write(brakes.release, brake, "operator", NOW + 30 * MINUTE, NOW)
    assert numbers(db, MINUTE).left == {"ce:ce1": (brake, 120)}
    db.write(brakes.passed, brake, 100)
    assert numbers(db, MINUTE).left == {"ce:ce1": (brake, 20)}
    assert numbers(db, 31 * MINUTE).left == {}
    db.write(brakes.passed, brake, 20)
    assert numbers(db, MINUTE).left == {}
    (row,) = db.read(brakes.recently, 9)
    assert (row.released_by, row.facts["reason"], row.passed) == ("operator", "the disk died", 120)
    again = engage(db, after=40 * MINUTE)
    assert again is not None
    assert again != brake


def test_one_that_ends_by_itself_lets_nothing_through(db: Database) -> None:
    brake = engage(db)
    assert brake is not None
    assert db.write(brakes.end, brake, "the answers know them again", NOW + MINUTE)
    assert numbers(db, MINUTE).left == {}
    assert numbers(db, MINUTE).on == {}


def test_the_ledger_says_what_holds(db: Database) -> None:
    lose, void = engage(db), engage(db, Weighed("ce:ce1", Kind.VOID, "ce:ce1", 70, 400, 50))
    assert lose is not None
    assert void is not None
    (held,) = db.read(ledger.standing, ces=["ce1"])
    assert (held.code, held.n, held.facts["whom"], held.facts["source"]) == ("brake-void", 70, "ce1", "ce1")
    db.write(brakes.end, void, "gone", NOW)
    (held,) = db.read(ledger.standing, ces=["ce1"])
    assert held.code == "brake-lose"
    db.write(brakes.end, lose, "gone", NOW)
    assert db.read(ledger.standing) == []
