"""Where jobs are, or may go: asked by people who choose jobs for a run."""

from collections.abc import Callable
from typing import Any

from act_core.db import listing
from act_core.db.session import Database
from tests.db.conftest import Rows


def test_the_ce_that_has_it_or_those_that_may_get_it(db: Database, rows: Rows) -> None:
    rows.add("waits", ces=("ce1", "ce2"))
    rows.add("sent", ces=("ce1", "ce2"))
    rows.put("sent", ce="ce2", state="running", remote_id="there/7")
    (key,) = [attempt.key for attempt in rows.pick("sent").values()]
    asked = ["waits", "sent", "there/7", key, "nobody's"]
    here = ["ce2"]
    assert db.read(listing.places, asked) == {"waits": ["ce1", "ce2"], "sent": here, "there/7": here, key: here}


def test_many_cost_no_statement_more(db: Database, rows: Rows, statements: Callable[[], list[tuple[str, Any]]]) -> None:
    def cost(names: list[str]) -> int:
        for number, name in enumerate(names):
            rows.add(name, ces=("ce1", f"ce{name}{number}"))
        statements()
        assert len(db.read(listing.places, names)) == len(names)
        return len(statements())

    assert cost([f"a{n}" for n in range(2)]) == cost([f"b{n}" for n in range(20)])
