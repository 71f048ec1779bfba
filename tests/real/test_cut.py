"""The connection to a real A-REX is cut after the request was sent: every job runs once, by the payloads' own word."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from arex import Arex
from house import CE, House, open_house

from act_core.db import listing
from act_core.db.models import CeJob
from act_core.states import CeState

pytestmark = pytest.mark.real

BATCH, SUBMIT = 10, ("submit",)
S = CeState


@pytest.fixture
async def house(arex: Arex, tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(arex, tmp_path / "state", batch=BATCH) as opened:
        yield opened


async def reasons(house: House, row: CeJob) -> list[str]:
    return [event.reason for event in await house.rt.read(listing.events, [row.id])]


async def cut_off(house: House, names: list[str]) -> None:
    """The answer to the next submission is lost, whose jobs the CE has taken."""
    before, cuts = house.accepted(), house.relay.cuts
    house.relay.cut_when(lambda: house.accepted() > before)
    await house.add(CE, *(house.spec(name) for name in names))
    rows = await house.until(lambda _: house.relay.cuts > cuts, *names, stages=SUBMIT)
    assert {(row.state, row.remote_id) for row in rows.values()} == {(S.SUBMITTING, None)}
    assert house.accepted() == before + len(names)


@pytest.mark.parametrize(("arex", "batches"), [("6", 1), ("7", 5)], indirect=["arex"], ids=["arex6", "arex7"])
async def test_submissions_whose_answers_were_cut_off_are_adopted(house: House, batches: int) -> None:
    await house.add(CE, house.spec("first"))
    await house.to_the_end("first")
    names = [f"cut{number}" for number in range(BATCH * batches)]
    left = house.accepted()
    for start in range(0, len(names), BATCH):
        await cut_off(house, names[start : start + BATCH])
    rows = await house.to_the_end(*names)
    assert {(row.state, row.attempt) for row in rows.values()} == {(S.DONE, 1)}
    assert {name: house.executed()[name] for name in names} == dict.fromkeys(names, 1)
    adopted = [any("adopted" in said for said in await reasons(house, row)) for row in rows.values()]
    assert all(adopted)
    assert house.accepted() <= left
