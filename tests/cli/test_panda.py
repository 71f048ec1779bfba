"""What `act status` tells of jobs that PanDA holds for us and nobody has, and of those that may be on a CE already."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from act_core.atlas import asks, books, forgotten
from act_core.atlas.asks import What
from act_core.atlas.instance import server_key
from act_core.db.session import Database
from act_core.settings import load_settings
from tests.cli.conftest import Act

NOW = datetime.now(UTC)


@pytest.fixture
def db(act: Act, place: Path) -> Iterator[Database]:
    opened = Database(load_settings(None, None).settings)
    yield opened
    opened.close()


def test_nothing_is_lost(act: Act) -> None:
    assert act("status", "--json").json["panda"] == {"lost": [], "forgotten": {}}
    assert "acquired and lost" not in act("status").out


def test_lost_and_forgotten_jobs_are_shown(act: Act, db: Database) -> None:
    server = server_key(load_settings(None, None).settings)
    for queue, what, ids in (("Q1", What.LOST, ()), ("Q2", What.UNBOOKED, range(1, 8))):
        ask = db.write(asks.begin, server, queue, "managed", 7, NOW)
        db.write(asks.lost, ask, what, "the line broke", None, tuple(ids))
    times = dict.fromkeys(("state_since", "created", "modified", "heartbeat_due_at"), NOW)
    job = {"server": server, "panda_id": 1, "attempt_nr": 1, "queue": "Q3", "label": "", "state": "sent", "job": "{}"}
    db.write(books.insert_jobs, [job | times])
    db.write(forgotten.restored, NOW)
    panda = act("status", "--json").json["panda"]
    assert [(one["queue"], one["n"], one["what"]) for one in panda["lost"]] == [
        ("Q1", 7, "lost"),
        ("Q2", 7, "unbooked"),
    ]
    assert panda["forgotten"] == {"Q3": 1}
    said = " ".join(act("status").out.split())
    assert "Q1: up to 7 jobs acquired and lost; PanDA gives them up by" in said
    assert "Q2: 7 jobs (1, 2, 3, 4, 5 …) acquired and lost" in said
    assert "Q3: 1 jobs may be on a CE already, and no attempt stands for them" in said
