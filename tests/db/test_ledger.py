"""The decision ledger: a line when a reason changes, and what holds now."""

from datetime import timedelta

from act_core.db import ledger
from act_core.db.ledger import Line
from act_core.db.session import Database
from act_core.reasons import Reason, Topic
from tests.db.conftest import BEGINNING as NOW

FULL = Line(Topic.SUBMIT, Reason.FULL, "ce1", n=7, facts={"maxjobs": 5})
QUEUE_FULL = Line(Topic.SUBMIT, Reason.QUEUE_FULL, "ce1", n=9)
OVER = Line(Topic.SUBMIT, None, "ce1")
SECOND = timedelta(seconds=1)


def codes(db: Database) -> list[str]:
    return [line.code for line in reversed(db.read(ledger.lines, ce="ce1"))]


def test_a_line_is_written_when_the_reason_changes(db: Database) -> None:
    told = (FULL, FULL, QUEUE_FULL, QUEUE_FULL, OVER, OVER, FULL)
    written = [db.write(ledger.note, [line], NOW + n * SECOND) for n, line in enumerate(told)]
    assert written == [1, 0, 1, 0, 1, 0, 1]
    assert codes(db) == ["full", "queue-full", "", "full"]


def test_what_holds_now_says_since_when(db: Database) -> None:
    db.write(ledger.note, [FULL], NOW)
    db.write(ledger.note, [FULL], NOW + SECOND)
    (held,) = db.read(ledger.standing)
    assert (held.code, held.since, held.n, held.facts) == ("full", NOW, 7, {"maxjobs": 5})
    db.write(ledger.note, [OVER], NOW + 2 * SECOND)
    assert db.read(ledger.standing) == []


def test_subjects_are_told_apart(db: Database) -> None:
    shares = [Line(Topic.SUBMIT, Reason.FULL, "ce1", share) for share in ("a", "b")]
    other = Line(Topic.SUBMIT, Reason.FULL, "ce2")
    job = Line(Topic.INPUTS, Reason.FULL, job_id=5)
    assert db.write(ledger.note, [*shares, other, job], NOW) == 4
    assert [one.share for one in db.read(ledger.standing, ces=["ce1"])] == ["a", "b"]
    assert [one.job_id for one in db.read(ledger.standing, job_ids=[5])] == [5]


def test_of_two_lines_about_one_subject_the_last_one_counts(db: Database) -> None:
    assert db.write(ledger.note, [FULL, QUEUE_FULL], NOW) == 1
    assert codes(db) == ["queue-full"]
