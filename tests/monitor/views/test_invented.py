"""The tables that the benchmark fills are ones that the views can read, and the same each time."""

from act_core.db.session import Database
from act_core.monitor.views.jobs import Wanted, jobs
from act_core.monitor.views.overview import overview
from act_core.settings.model import Settings
from benchmarks.filling import fill
from benchmarks.invented import LIVE, RESTING, Inventor, Plan
from tests.monitor.views.conftest import NOW

SMALL = Plan(live=60, archived=100, ces=4, queues=5, days=3, lines=80)


def test_a_small_tower_is_filled(db: Database, db_settings: Settings) -> None:
    filled: list[tuple[str, int]] = []
    fill(db, SMALL, NOW, lambda what, n: filled.append((what, n)))
    assert dict(filled)["ce_jobs"] == dict(filled)["panda_jobs"] == 60
    page = db.read(overview, db_settings, NOW)
    assert sum(page.sums.values()) == sum(row.n for row in page.queues) == 60
    assert len(db.read(jobs, Wanted(archived=True), NOW, None, 200).jobs) == 100


def test_the_same_seed_makes_the_same_rows() -> None:
    def made(states: dict[str, int]) -> list[object]:
        return list(Inventor(SMALL, NOW, "tower001").attempts(1, 20, states, NOW, NOW))

    assert made(LIVE) == made(LIVE)
    assert made(LIVE) != made(RESTING)
