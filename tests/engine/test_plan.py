"""A claim reads a little of each share's line; who goes is the same as if it had read them all."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, insert
from sqlalchemy.orm import Session

from act_core.db import backlog
from act_core.db.backlog import Gate
from act_core.db.models import CeJob, Placement, PlacementCe
from act_core.db.session import Database
from act_core.engine.claim import Terms, plan_of
from act_core.engine.fill import Here, Limits, Share, fill

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PLACES = {1: ("ce",), 2: ("ce", "else"), 3: ("a", "ce", "z"), 4: ("else",)}
SECONDS = timedelta(seconds=1)


def _job(n: int, dice: random.Random, shares: int) -> dict[str, Any]:
    return {
        "id": n,
        "app": "manual",
        "app_job_id": f"j{n}",
        "attempt": 1,
        "attempts_left": 3,
        "submission_key": f"act-tower001-{n:026d}",
        "placement_id": dice.choice(list(PLACES)),
        "state": "tosubmit",
        "state_since": NOW - dice.choice((1, 9)) * SECONDS,
        "due_at": dice.choice((None, None, NOW, NOW + SECONDS)),
        "request": "cancel" if dice.random() < 0.05 else None,
        "priority": dice.choice((10, 50, 50, 90)),
        "share": f"s{min(dice.randrange(shares), dice.randrange(shares))}",
        "cores_asked": dice.choice((1, 1, 8)),
        "walltime_s": dice.choice((None, 600, 7200)),
        "submit_before": NOW if dice.random() < 0.02 else None,
        "description_id": 1,
        "created": NOW,
        "modified": NOW,
    }


def _fill(session: Session, dice: random.Random, jobs: int, shares: int) -> None:
    session.execute(insert(Placement), [{"id": place, "digest": str(place)} for place in PLACES])
    session.execute(insert(PlacementCe), [{"placement_id": p, "ce": ce} for p, ces in PLACES.items() for ce in ces])
    if jobs:
        session.execute(insert(CeJob), [_job(n, dice, shares) for n in range(1, jobs + 1)])


def _limits(dice: random.Random) -> tuple[Limits, Here]:
    there = {f"s{n}": Share(dice.randrange(4), dice.randrange(9)) for n in range(0, 40, dice.randrange(1, 9))}
    limits = Limits(
        maxjobs=dice.choice((60, 1000)),
        a=dice.choice((0, 0.15)),
        b=dice.choice((5, 50, 1000)),
        slots=dice.random() < 0.5,
        rate=dice.choice((None, 7)),
        weights={"s1": 3.0},
        most=dice.choice((20, 60, 200)),
    )
    return limits, Here(
        there, jobs=sum(one.queued + one.running for one in there.values()), top=dice.choice((None, 50))
    )


@pytest.mark.parametrize("seed", range(6))
def test_who_goes_is_the_same_as_with_all_lines_read(db: Database, seed: int) -> None:
    dice = random.Random(seed)
    db.write(_fill, dice, 400, dice.choice((1, 4, 40)))
    for _ in range(8):
        limits, here = _limits(dice)
        gate = Gate(dice.choice((None, timedelta(hours=1))))
        terms = Terms(limits, 5 * SECONDS, 30 * SECONDS)
        plan, left = db.read(plan_of, "ce", terms, here, gate, NOW)
        all_jobs = db.read(backlog.waiting, "ce", NOW, 400, terms.spread, gate.passed)
        whole = fill(limits, here, all_jobs, NOW)
        assert plan.go == whole.go
        assert plan.held == whole.held
        assert plan.unread == frozenset()
        rest = {job.share for job in all_jobs} - {job.share for job in (*plan.go, *plan.late)}
        assert rest <= left


def test_a_thousand_shares_cost_as_many_statements_as_two(db: Database) -> None:
    def sent(shares: int) -> int:
        heard: list[str] = []

        def hear(*call: Any) -> None:
            heard.append(call[2])

        event.listen(db.engine, "before_cursor_execute", hear)
        terms = Terms(Limits(1000, b=1000, most=shares // 2), timedelta(0), 30 * SECONDS)
        plan, _ = db.read(plan_of, "ce", terms, Here(), Gate(), NOW)
        event.remove(db.engine, "before_cursor_execute", hear)
        assert [job.id for job in plan.go] == list(range(1, shares // 2 + 1))
        return len([one for one in heard if "ce_jobs" in one])

    def more(session: Session, first: int, last: int) -> None:
        new = [
            _job(n, random.Random(n), 1)
            | {"share": f"s{n:04}", "placement_id": 1, "priority": 50, "cores_asked": 1}
            | {"due_at": None, "request": None, "submit_before": None}
            for n in range(first, last + 1)
        ]
        session.execute(insert(CeJob), new)

    db.write(_fill, random.Random(0), 0, 1)
    db.write(more, 1, 2)
    two = sent(2)
    db.write(more, 3, 400)
    assert sent(400) == two
