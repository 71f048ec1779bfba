"""Whose jobs an A-REX lists, and what its lists leave out."""

from collections.abc import Container
from datetime import timedelta
from typing import Any

import pytest

from act_core.ce.arc_listing import NAMELESS_FOR
from act_core.ce.base import Listing, RemoteId, TowerId
from act_core.engine.rebuilding import listed_twice
from act_core.simulators.arc_wire import Flavour
from tests.ce.arc_house import ALICE, BOB, TOWER, TRUE, Builder, House, submitted, utc


async def test_foreign_jobs_are_asked_for_their_names_once(house: House) -> None:
    ce = house.client()
    names = ["somebody", "act-tower002-0123456789abcdefghjkmnpqrs", f"act-{TOWER}-short"]
    for name in names:
        await house.order("/submit", {"owner": ALICE, "name": name})
    await house.order("/submit", {"owner": BOB, "name": "not ours to see"})
    (mine,) = await submitted(ce, TRUE)
    listing = await ce.list_mine(TOWER, set())
    assert (set(listing.mine), listing.foreign, listing.total) == ({mine}, 3, 4)
    before = await house.asked("action=info")
    listing = await ce.list_mine(TOWER, {mine})
    assert (dict(listing.mine), listing.foreign, listing.total) == ({}, 3, 4)
    assert await house.asked("action=info") == before
    await house.order("/amnesia", {"name": "somebody"})
    assert (await ce.list_mine(TOWER, {mine})).foreign == 2


async def test_xrsl_of_others_is_never_ours(late: House) -> None:
    """Its name stands in no document yet, and its text is no ADL: it is foreign, and no reason to doubt the list."""
    text = '&(executable="/bin/true")(jobname="act-tower001-0123456789abcdefghjkmnpqrs")'
    await late.order("/pace", {"step_s": 3600.0})
    await late.order("/submit", {"owner": ALICE, "description": text})
    listing = await late.client().list_mine(TOWER, set())
    assert (dict(listing.mine), listing.foreign, listing.complete) == ({}, 1, True)


SILENT: list[dict[str, Any]] = [{"kind": "error", "status": 404}, {"kind": "error", "status": 500}, {"kind": "empty"}]


@pytest.mark.parametrize("fault", SILENT)
async def test_a_job_without_a_name_yet_makes_the_list_incomplete(build: Builder, fault: dict[str, Any]) -> None:
    house = await build(pace={"step_s": 3600.0})  # it stays in ACCEPTING, where the document has no name
    ce = house.client()
    keyed, nameless = await submitted(ce, TRUE, TRUE)
    await house.fault(**fault, path=f"{nameless}/diagnose/description")
    listing = await ce.list_mine(TOWER, set())
    assert (set(listing.mine), set(listing.nameless), listing.complete) == ({keyed}, {nameless}, False)
    await house.mended()
    listing = await ce.list_mine(TOWER, set())
    assert (set(listing.mine), listing.complete) == ({keyed, nameless}, True)


async def test_a_job_that_never_tells_its_name_is_foreign_in_the_end(build: Builder) -> None:
    house = await build(pace={"step_s": 3600.0})
    clock = [utc()]
    ce = house.client(lambda: clock[0])
    (nameless,) = await submitted(ce, TRUE)
    await house.fault("error", status=500, path=f"{nameless}/diagnose/description")
    first = await ce.list_mine(TOWER, set())
    clock[0] += timedelta(minutes=10)
    assert (await ce.list_mine(TOWER, set())).nameless == first.nameless
    assert not first.complete_since(clock[0] - timedelta(minutes=11))  # it may be what was sent then
    assert first.complete_since(clock[0])  # it was there before
    clock[0] += NAMELESS_FOR
    listing = await ce.list_mine(TOWER, set())
    assert (listing.complete, listing.foreign) == (True, 1)
    await house.mended()
    assert set((await ce.list_mine(TOWER, set())).mine) == {nameless}  # it can tell it all the same


@pytest.mark.parametrize("flavour", Flavour)
async def test_a_job_whose_state_is_moved_just_now_is_absent_and_not_wiped(build: Builder, flavour: Flavour) -> None:
    house = await build(flavour, {"run_s": (3600.0, 3600.0)})
    ce = house.client(two_phase=False)
    moved, other = await submitted(ce, TRUE, TRUE)
    await house.order("/moving", {"ids": [moved]})
    assert await ce.ended([moved, other]) == {}
    assert set(await ce.states([moved, other])) == {moved, other}
    assert set((await ce.list_mine(TOWER, set())).mine) == {other}
    await house.order("/moving", {"ids": []})
    assert set((await ce.list_mine(TOWER, set())).mine) == {moved, other}


async def test_a_recovery_finds_a_job_whose_state_is_moved_during_the_first_list(
    build: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = await build(pace={"run_s": (3600.0, 3600.0)})
    ce = house.client(two_phase=False)
    moved, other = await submitted(ce, TRUE, TRUE)
    await house.order("/moving", {"ids": [moved]})
    list_mine, lists = ce.list_mine, []

    async def list_and_go_on(tower: TowerId, known: Container[RemoteId]) -> Listing:
        lists.append(await list_mine(tower, known))
        await house.order("/moving", {"ids": []})
        return lists[-1]

    monkeypatch.setattr(ce, "list_mine", list_and_go_on)
    assert set(await listed_twice(ce, TOWER, set())) == {moved, other}
    assert [set(one.mine) for one in lists] == [{other}, {moved}]
