"""Leases: one holder at a time, a token that only grows, dead holders of this host are ended."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select

from act_core.db import leases
from act_core.db.leases import LIFETIME, Held
from act_core.db.models import Lease
from act_core.db.session import Database
from act_core.processes import process_start

SECOND = timedelta(seconds=1)


@pytest.fixture
def now(rows: Any) -> datetime:
    moment: datetime = rows.now
    return moment


def _take(db: Database, who: str, at: datetime, ce: str = "ce1") -> Held | None:
    return db.write(leases.take, "submit", ce, who, at)


def test_taken_and_refused(db: Database, now: datetime) -> None:
    assert _take(db, "a", now) == Held("submit", "ce1", 1)
    assert _take(db, "b", now) is None
    assert _take(db, "a", now) is None  # not even for the same process: two windows of a stage
    assert db.write(leases.take, "poll", "ce1", "b", now) is not None  # stages do not exclude each other
    assert _take(db, "b", now, "ce2") is not None


def test_released_and_passed_on_with_a_new_token(db: Database, now: datetime) -> None:
    first = _take(db, "a", now)
    assert first is not None
    assert db.write(leases.release, first, now + SECOND)
    second = _take(db, "b", now + SECOND)
    assert second is not None
    assert second.token == first.token + 1


def test_what_is_said_again_is_believed_again(db: Database, now: datetime) -> None:
    first = _take(db, "a", now)
    assert first is not None
    assert [db.write(leases.renew, first, now + SECOND) for _ in range(2)] == [True, True]
    assert [db.write(leases.release, first, now + SECOND) for _ in range(2)] == [True, True]


def test_a_release_in_the_wrong_hands_changes_nothing(db: Database, now: datetime) -> None:
    first = _take(db, "a", now)
    assert first is not None
    assert _take(db, "b", now + LIFETIME) is not None  # a slept through its end
    assert not db.write(leases.release, first, now + LIFETIME)
    assert not db.write(leases.renew, first, now + LIFETIME)
    assert _take(db, "c", now + LIFETIME + SECOND) is None  # still b's


@pytest.mark.parametrize(
    ("renewed", "at", "free"),
    [
        pytest.param(False, LIFETIME - SECOND, False, id="before its end"),
        pytest.param(False, LIFETIME, True, id="at its end"),
        pytest.param(True, LIFETIME + SECOND, False, id="renewed in time"),
    ],
)
def test_a_lease_ends(db: Database, now: datetime, renewed: bool, at: timedelta, free: bool) -> None:
    held = _take(db, "a", now)
    assert held is not None
    if renewed:
        assert db.write(leases.renew, held, now + 2 * SECOND)
    assert (_take(db, "b", now + at) is not None) is free


def test_we_are_host_pid_and_start() -> None:
    assert leases.holder() == f"{socket.gethostname()}:{os.getpid()}:{process_start(os.getpid())}"


@pytest.fixture
def dead_pid() -> Iterator[int]:
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
        yield child.pid


def test_leases_of_the_dead_on_this_host_are_ended(db: Database, now: datetime, dead_pid: int) -> None:
    host, pid = socket.gethostname(), os.getpid()
    holders = {
        "living": leases.holder(),
        "dead": f"{host}:{dead_pid}:12345",
        "same number, another process": f"{host}:{pid}:1",
        "another host": f"{host}x:{dead_pid}:1",
    }
    rows = [
        {"stage": "submit", "ce": ce, "token": 5, "holder": who, "until": now + LIFETIME} for ce, who in holders.items()
    ]
    db.write(lambda session: session.execute(insert(Lease), rows) and None)
    assert db.write(leases.end_dead, now) == 2
    left = db.read(lambda session: session.execute(select(Lease.ce, Lease.token, Lease.until)).all())
    assert {row.ce for row in left if row.until > now} == {"living", "another host"}
    assert {row.token for row in left} == {5}
    assert _take(db, "new", now, "dead") == Held("submit", "dead", 6)
