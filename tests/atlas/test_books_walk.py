"""The books balance at each moment, whatever jobs and attempts go through."""

import random
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from act_core.db.session import Database
from act_core.settings.model import Settings
from act_core.states import PandaEnd
from tests.atlas.days import VERBS, Days
from tests.walk.worker import template

STEPS = st.lists(st.tuples(st.sampled_from(VERBS), st.integers(0, 999)), min_size=5, max_size=25)


@given(STEPS)
@profile(max_examples=8, suppress_health_check=[HealthCheck.too_slow])
def test_the_books_balance_at_each_moment(steps: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory(prefix="act-books-") as directory:
        shutil.copy(template(), Path(directory) / "act.sqlite")
        db = Database(Settings(state_dir=Path(directory)))
        try:
            days = Days(db)
            for verb, n in steps:
                days.step(verb, n)
                days.check()
        finally:
            db.close()


def test_the_same_of_one_long_walk_on_both_databases(db: Database) -> None:
    chance, days = random.Random(2), Days(db)
    for _ in range(5):
        for verb in (*VERBS, *["panda"] * 10, "hours", "hours", "close"):
            days.step(verb, chance.randrange(1000))
        days.check()
    assert len(days.closed) > 1
    assert set(PandaEnd) <= {fact.end for fact in days.facts.values()}, "it has not seen jobs end in every way"
