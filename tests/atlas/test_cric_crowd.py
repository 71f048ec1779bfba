"""A feed as large as the real one: each broken entry is named, each good one comes in, and is written once."""

import json

from act_core.atlas.cric import parse_queues
from act_core.settings.app_model import Cric
from act_core.simulators.cric_crowd import BROKEN, FIELDS, NAMES, crowd
from tests.atlas.house import House
from tests.atlas.statements import heard_statements

REFRESH = "refresh-queues"
QUEUES, BAD = 3000, 150


def test_the_broken_ones_are_named_and_the_others_live() -> None:
    made = crowd(QUEUES, BAD / QUEUES)
    found = parse_queues(json.dumps(made.entries), Cric(), {}, {})
    assert set(made.broken.values()) == {*BROKEN, *FIELDS, *NAMES}
    assert found.unreadable == set(made.broken)
    assert set(found.queues) == set(made.entries) - set(made.broken)
    assert len(found.problems) == BAD
    named = [name for name in made.broken if any(problem.startswith(f"queue {name!r}: ") for problem in found.problems)]
    assert set(named) == set(made.broken)
    assert {name for name, queue in found.queues.items() if queue.served} == {
        name for name in found.queues if int(name[-5:]) % 5
    }


async def test_all_come_in_with_few_statements_and_are_written_once(atlas: House) -> None:
    queues, bad = QUEUES // 3, BAD // 3
    made = crowd(queues, bad / queues)
    atlas.cric_feed.entries = made.entries
    with heard_statements(atlas) as sent:
        counts = await atlas.run(REFRESH)
    assert (counts["queues"], counts["new"], counts["bad entries"]) == (queues - bad, queues - bad, bad)
    assert len([one for one in sent if not one.startswith("INSERT")]) < 40  # rows of an INSERT are counted apart
    with heard_statements(atlas) as sent:
        counts = await atlas.run(REFRESH)
    assert (counts["new"], counts["changed"]) == (0, 0)
    assert [one for one in sent if one.startswith(("INSERT INTO panda", "UPDATE panda", "UPDATE ces"))] == []
