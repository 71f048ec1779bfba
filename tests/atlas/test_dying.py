"""Each way in which a pilot can die or lie ends in exactly one final state at PanDA: real pilots at a local CE."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from act_core.db.models import CeJob, Description
from act_core.settings.model import Settings
from act_core.simulators import pilot_ways as ways
from act_core.simulators.pilot_ways import WAYS
from act_core.simulators.pki import TestPki
from act_core.simulators.witness import count
from tests.atlas.house import CE, House, open_house
from tests.fixtures.databases import Servers

ROUND = ("fetch-jobs", "translate", "submit", "sweep-status", "fetch-validate", "heartbeat", "clean")
CLOSED = ("finished", "failed", "cancelled")
# what PanDA has at the end, and the pilot's code that it was told; 0: none
NATIVE = {
    ways.BEFORE_WORD: ("failed", 9000),
    ways.STAGE_IN: ("failed", 1099),
    ways.AFTER_RUNNING: ("failed", 9000),
    ways.KILLED: ("failed", 9000),
    ways.OOM: ("failed", 9000),
    ways.HANG: ("failed", 1213),
    ways.STAGE_OUT: ("failed", 1137),
    ways.WRONG_CHECKSUM: ("failed", 1137),
    ways.TRUNCATED: ("failed", 9000),
    ways.GARBAGE: ("failed", 9000),
    ways.NO_REPORT: ("failed", 9000),
    ways.LOST_FINAL: ("failed", 9000),
    ways.FINISHED_BUT_FAILS: ("failed", 9000),
    ways.FAILED_BUT_OK: ("failed", 1305),
}
TRUE = {
    ways.BEFORE_WORD: ("failed", 9000),
    ways.STAGE_IN: ("failed", 1099),
    ways.AFTER_RUNNING: ("failed", 9000),
    ways.KILLED: ("failed", 9000),
    ways.OOM: ("failed", 9000),
    ways.HANG: ("failed", 1213),
    ways.STAGE_OUT: ("failed", 1137),
    ways.WRONG_CHECKSUM: ("finished", 0),  # PanDA believes its pilots
    ways.TRUNCATED: ("failed", 0),  # by PanDA itself, which cannot read the report
    ways.GARBAGE: ("failed", 0),
    ways.NO_REPORT: ("failed", 9000),
    ways.LOST_FINAL: ("failed", 9000),
    ways.FINAL_TWICE: ("finished", 0),
    ways.FINISHED_BUT_FAILS: ("finished", 0),
    ways.FAILED_BUT_OK: ("failed", 1305),
    ways.DEAF: ("cancelled", 0),
}
NOT_RUN = {ways.BEFORE_WORD, ways.STAGE_IN}


@pytest.fixture
async def house(servers: Servers, tmp_path: Path, end_all: Callable[..., Awaitable[None]]) -> AsyncIterator[House]:
    """A tower whose local CE runs all of them at a time, and that waits for no pilot's last word."""
    servers.ready("sqlite", tmp_path / "state")
    settings = Settings(state_dir=tmp_path / "state")
    async with open_house(settings, TestPki(tmp_path / "pki"), tmp_path, slots=len(WAYS)) as opened:
        opened.lay_out_pilot()
        opened.configure(
            panda={"pilotpatience": timedelta(0)}, validation={"on_missing": "fail", "on_different": "fail"}
        )
        yield opened
        await end_all(await opened.rt.ce(CE), settings.state_dir / "local" / CE)


async def a_second_is_enough(house: House, number: int) -> None:
    """The job may run for a second at its CE."""

    def change(session: Session) -> None:
        described = select(CeJob.description_id).where(CeJob.app_job_id.like(f"{number}.%"))
        row = session.get_one(Description, session.scalars(described).one())
        row.spec = json.dumps(json.loads(row.spec) | {"walltime": "PT1S"})

    await house.rt.write(change)


def give_up(house: House, number: int) -> None:
    """PanDA cancels a job that runs, and does not wait for its pilot."""
    if house.book(number).status == "running" and count(house.witness).get(str(number)):
        house.books.kill([number], 9, house.clock.now())


@pytest.mark.parametrize("true", [False, True], ids=["native", "true pilots"])
async def test_each_way_to_die_ends_once(house: House, true: bool, eventually: Callable[..., Awaitable[Any]]) -> None:
    wanted = TRUE if true else NATIVE
    args = f"--storage {house.storage.url}/out --witness {house.witness} --cadir {house.rt.settings.arc.voms.cacertdir}"
    await house.serve(native=not true, pilot_args=f"{args} --heartbeat 0.2")
    jobs = {way: house.order(run_s=1 if way == ways.DEAF else 0, die=way)[0] for way in wanted}
    await house.run("fetch-jobs", "translate")
    await a_second_is_enough(house, jobs[ways.HANG])
    here = house.rt.settings.state_dir / "local" / CE

    async def over() -> bool:
        await house.run(*ROUND)
        if true:
            give_up(house, jobs[ways.DEAF])
        house.later(seconds=10)  # a failed stage-out is tried again, with pauses
        closed = all(house.book(number).status in CLOSED for number in jobs.values())
        return closed and not list(here.glob("[!.]*")) and set((await house.states()).values()) <= {"closed"}

    await eventually(over, "all of them are closed", 60)
    books = {way: house.book(number) for way, number in jobs.items()}
    told = {way: (book.status, book.columns.get("pilotErrorCode") or 0) for way, book in books.items()}
    assert told == wanted
    assert {way for way, book in books.items() if book.finals != 1} == ({ways.DEAF} & books.keys())
    ran = count(house.witness)
    assert set(ran.values()) == {1}
    assert {way for way, number in jobs.items() if str(number) not in ran} - {ways.HANG} == NOT_RUN


def test_no_way_is_forgotten() -> None:
    assert TRUE.keys() == WAYS.keys()
    assert NATIVE.keys() == {name for name, way in WAYS.items() if not way.true_only}
