"""The dead man's check: what is late, by tables alone."""

import os
import socket
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from act_core.db import leases
from act_core.db.measuring import Late
from act_core.db.models import Tower
from act_core.db.session import Database
from act_core.monitor.deadman import Limits, Sight, Worker, complaints, look
from tests.monitor import filled

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIMITS = Limits(timedelta(minutes=45), timedelta(minutes=5), timedelta(minutes=30))
WORKER = Worker("host:7:1", NOW + timedelta(seconds=30), None)
WELL = Sight({}, NOW - timedelta(seconds=9), [WORKER])


def ago(**time: float) -> datetime:
    return NOW - timedelta(**time)


SIGHTS = {
    "well": (WELL, []),
    "due and not yet late": (Sight({"p": Late(9, ago(minutes=44))}, WELL.counted, WELL.workers), []),
    "one server is late": (
        Sight({"p": Late(9, ago(minutes=46)), "q": Late(1, ago(minutes=1))}, WELL.counted, WELL.workers),
        ["9 reports to p overdue, the first since 2026-03-01T11:14:00Z: 46 min (limit 45 min)"],
    ),
    "nobody sweeps": (
        Sight({}, ago(minutes=6), WELL.workers),
        ["jobs were last counted 6 min ago (limit 5 min): nobody sweeps"],
    ),
    "nobody works": (
        Sight({}, WELL.counted, [Worker("host:7:1", ago(hours=2), False)]),
        ["no stage had work for 2 h (limit 30 min); the last: host pid 7 (ended)"],
    ),
    "never up": (
        Sight({}, None, []),
        ["jobs were never counted: the tower was never up", "nobody ever held a lease: nothing was ever done"],
    ),
}


@pytest.mark.parametrize("name", SIGHTS)
def test_what_is_wrong(name: str) -> None:
    sight, wrong = SIGHTS[name]
    assert complaints(sight, LIMITS, NOW) == wrong


def test_a_tower_that_observes_reports_nothing() -> None:
    late = Sight({"p": Late(9, ago(days=1))}, WELL.counted, WELL.workers)
    assert complaints(late, LIMITS, NOW, observing=True) == []


def test_the_tables_are_looked_at(db: Database) -> None:
    now = db.clock()
    db.write(filled.panda, now, timedelta(hours=1))
    db.write(lambda session: session.execute(update(Tower).values(counted_at=now)) and None)
    dead, elsewhere = f"{socket.gethostname()}:999999999:1", "other:1:1"
    for n, who in enumerate((elsewhere, dead, leases.holder())):
        db.write(leases.take, "submit/submit", f"ce{n}", who, now + timedelta(seconds=n))
    sight = db.read(look, now, "harvester")
    assert {server: one.n for server, one in sight.late.items()} == {filled.SERVER: 2}
    assert sight.late[filled.SERVER].since == now - timedelta(hours=1)
    assert sight.counted == now
    assert [(one.holder, one.lives) for one in sight.workers] == [
        (leases.holder(), True),
        (dead, False),
        (elsewhere, None),
    ]
    assert str(os.getpid()) in sight.workers[0].words
