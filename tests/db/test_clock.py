"""The database's time: asked for once a minute, since a machine that slept has missed some."""

import logging
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from act_core.db.clock import EVERY, JUMP, Clock, asked
from act_core.db.session import Database

BEGINNING = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Two:
    """The database's clock and this machine's monotonic one."""

    def __init__(self) -> None:
        self.theirs, self.ours, self.looks = BEGINNING, 1000.0, 0
        self.clock = Clock(self.ask, lambda: self.ours)
        self.session = Session()
        self.clock.look(self.session)

    def ask(self, _session: Session) -> datetime:
        self.looks += 1
        return self.theirs

    def advance(self, theirs: float, ours: float) -> None:
        self.theirs += timedelta(seconds=theirs)
        self.ours += ours
        self.clock.keep(self.session)


def test_before_the_first_look_it_knows_nothing() -> None:
    clock = Clock(lambda _: BEGINNING)
    clock.keep(Session())
    assert clock.now() is None


def test_between_two_looks_the_machines_own_clock_goes_on() -> None:
    two = Two()
    two.advance(EVERY - 1, EVERY - 1)
    assert two.clock.now() == BEGINNING + timedelta(seconds=EVERY - 1)
    assert two.looks == 1


def test_half_of_the_way_there_and_back_is_past() -> None:
    two = Two()

    def slow(_session: Session) -> datetime:
        two.ours += 4
        return BEGINNING

    clock = Clock(slow, lambda: two.ours)
    clock.look(two.session)
    assert clock.now() == BEGINNING + timedelta(seconds=2)


def test_what_a_suspended_machine_missed_is_made_good_within_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    two = Two()
    with caplog.at_level(logging.WARNING, "act"):
        two.advance(8 * 3600 + EVERY, EVERY)
    assert two.clock.now() == two.theirs
    assert caplog.messages == ["the clock jumps by 28800.0 s: this machine slept, or the database's clock was set"]


def test_a_little_drift_is_followed_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    two = Two()
    with caplog.at_level(logging.WARNING, "act"):
        two.advance(EVERY - JUMP.total_seconds(), EVERY)
    assert two.clock.now() == two.theirs
    assert caplog.messages == []


def test_a_read_looks_again_when_the_last_look_is_old(db: Database) -> None:
    ticks = [0.0]
    db._clock = Clock(asked, lambda: ticks[0])
    first = db.clock()
    assert db.now() == first
    ticks[0] += EVERY  # a minute of which the database knows nothing
    assert db.now() == first + timedelta(seconds=EVERY)
    db.read(lambda session: None)
    assert db.now() < first + timedelta(seconds=EVERY)
