"""CRIC into the tables; a feed that is broken leaves the last good copy in force."""

from typing import Any

import pytest
from sqlalchemy import select

from act_core.atlas import fetch_jobs
from act_core.atlas.cric import LARGEST_ENTRY
from act_core.db.models import Ce
from act_core.simulators.cric_queues import CeDescription, QueueDescription, entry_of
from act_core.simulators.faults import Kind
from tests.atlas.house import CE, QUEUE, House
from tests.atlas.statements import heard_statements

REFRESH = "refresh-queues"
ARC = CeDescription(name="arc01", endpoint="https://arc01.test.example:443/arex", batch_queue="grid")


async def ces(house: House) -> dict[str, Ce]:
    return {row.name: row for row in await house.rt.read(lambda session: session.scalars(select(Ce)).all())}


async def test_queues_and_their_ces_come_into_the_tables(atlas: House) -> None:
    await atlas.serve(status="test")
    await atlas.serve(name="ARC", ces=(ARC,))
    foreign_ce = CeDescription(name="arc02", endpoint="https://arc02.test.example:443/arex")
    await atlas.serve(name="FOREIGN", ces=(foreign_ce,), fields={"pilot_manager": "Harvester"})
    served, foreign = await atlas.queue("ARC"), await atlas.queue("FOREIGN")
    assert (served.served, served.why, served.status) == (True, None, "online")
    assert (foreign.served, "pilot_manager" in str(foreign.why)) == (False, True)
    assert (await atlas.queue()).status == "test"
    assert [one["name"] for one in served.parsed["endpoints"]] == ["arc01.test.example/grid"]
    rows = await ces(atlas)
    assert sorted(rows) == ["arc01.test.example/grid", CE]
    assert rows[CE].origin == "config"
    arc = rows["arc01.test.example/grid"]
    assert (arc.kind, arc.origin, arc.mode) == ("arc-rest", "cric", "on")
    assert arc.endpoint == "https://arc01.test.example:443/arex"


async def test_what_changes_in_cric_changes_in_the_table(queue: House) -> None:
    assert await fetch_jobs.due(queue.rt) == [QUEUE]
    assert await queue.run(REFRESH) == {"queues": 1, "served": 1}
    queue.cric_feed.entries[QUEUE] = {**queue_entry(queue), "status": "offline"}
    assert await queue.run(REFRESH) == {"queues": 1, "served": 1, "changed": 1}
    assert (await queue.queue()).status == "offline"
    assert await fetch_jobs.due(queue.rt) == []


async def test_what_does_not_change_is_not_written(queue: House) -> None:
    await queue.serve(name="ARC", ces=(ARC,))
    before = [(await queue.queue(name)).modified for name in ("ARC", QUEUE)]
    queue.later(minutes=10)
    with heard_statements(queue) as sent:
        assert await queue.run(REFRESH) == {"queues": 2, "served": 2}
    assert [one for one in sent if one.startswith(("INSERT INTO panda", "UPDATE panda", "UPDATE ces"))] == []
    assert [(await queue.queue(name)).modified for name in ("ARC", QUEUE)] == before


def queue_entry(house: House) -> dict[str, object]:
    entry = house.cric_feed.entries[QUEUE]
    assert isinstance(entry, dict)
    return entry


async def test_a_queue_that_cric_names_no_longer_gets_no_jobs(queue: House) -> None:
    await queue.serve(name="ARC", ces=(ARC,))
    del queue.cric_feed.entries["ARC"]
    await queue.run(REFRESH)
    gone = await queue.queue("ARC")
    assert (gone.served, gone.why) == (False, "CRIC names it no longer")
    assert await fetch_jobs.due(queue.rt) == [QUEUE]
    assert (await ces(queue))["arc01.test.example/grid"].mode == "drain"
    await queue.serve(name="ARC", ces=(ARC,))
    assert ((await queue.queue("ARC")).served, (await ces(queue))["arc01.test.example/grid"].mode) == (True, "on")


@pytest.mark.parametrize("kind", [Kind.DOWN, Kind.ERROR, Kind.EMPTY, Kind.MALFORMED_JSON, Kind.HALF_ANSWER])
async def test_a_broken_feed_leaves_the_last_good_copy_in_force(queue: House, kind: Kind) -> None:
    await queue.serve(name="ARC", ces=(ARC,))
    before = await queue.queue()
    await queue.fault(queue.cric, kind)
    assert await queue.run(REFRESH) == {"queues": 2, "served": 2}
    after = await queue.queue()
    assert (after.served, after.status, after.parsed, after.raw) == (True, "online", before.parsed, before.raw)
    assert await fetch_jobs.due(queue.rt) == ["ARC", QUEUE]
    assert (await ces(queue))["arc01.test.example/grid"].mode == "on"


async def test_a_feed_without_entries_takes_no_queue_away(queue: House) -> None:
    queue.cric_feed.entries.clear()
    await queue.run(REFRESH)
    assert (await queue.queue()).served


async def test_a_tower_that_never_saw_a_good_feed_says_so_and_goes_on(atlas: House) -> None:
    await atlas.fault(atlas.cric, Kind.ERROR)
    assert await atlas.run(REFRESH) == {"errors": 2}  # queues, downtimes
    assert await fetch_jobs.due(atlas.rt) == []
    await atlas.cric.faults.remove()
    await atlas.serve()
    assert await fetch_jobs.due(atlas.rt) == [QUEUE]


async def test_a_bad_entry_is_told_and_the_others_come_in(atlas: House) -> None:
    atlas.cric_feed.entries["BAD"] = {"corecount": "many"}
    atlas.cric_feed.entries["WORSE"] = 7
    await atlas.serve()
    assert (await atlas.run(REFRESH))["bad entries"] == 2
    assert (await atlas.queue()).served


@pytest.mark.parametrize(
    ("fields", "problems"),
    [
        ({"params": {"pilot_args": "\ud800"}}, 0),
        ({"queues": [{"ce_endpoint": "https://h.example/" + "a" * 700}]}, 1),
        ({"comment": "x" * LARGEST_ENTRY}, 1),
        ({"maxrss": 10**400}, 1),
    ],
    ids=["half a character", "an address too long", "an entry too long", "an absurd number"],
)
async def test_an_entry_that_no_database_takes_blocks_nobody(
    atlas: House, fields: dict[str, Any], problems: int
) -> None:
    odd = entry_of(QueueDescription(name="ODD", ces=(ARC,)))
    listed = odd["queues"]
    assert isinstance(listed, list)
    queues = [{**listed[0], **one} for one in fields.get("queues", [{}])]
    atlas.cric_feed.entries["ODD"] = {**odd, **fields, "queues": queues}
    await atlas.serve()
    assert (await atlas.run(REFRESH))["bad entries"] == problems
    assert (await atlas.queue()).served


async def test_an_entry_that_became_unreadable_leaves_its_queue_as_it_was(queue: House) -> None:
    await queue.serve(name="ARC", ces=(ARC,))
    queue.cric_feed.entries["ARC"] = "nonsense"
    assert (await queue.run(REFRESH))["bad entries"] == 1
    kept = await queue.queue("ARC")
    assert (kept.served, kept.why) == (True, None)
    assert (await ces(queue))["arc01.test.example/grid"].mode == "on"


async def test_the_pause_of_a_queue_survives_a_refresh(queue: House) -> None:
    await queue.fault(queue.panda, Kind.DOWN)
    await queue.run("fetch-jobs", REFRESH)
    row = await queue.queue()
    assert (row.fetch_due_at is not None, bool(row.trouble)) == (True, True)
    assert await fetch_jobs.due(queue.rt) == []
