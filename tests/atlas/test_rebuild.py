"""The database is lost: attempts come back off the CE, PanDA's jobs by PanDA's own word, and none runs twice."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import delete, select

from act_core.atlas.books import PILOT
from act_core.atlas.rebuild import Memo, is_over, memo_of, moved, read_memo, row_of
from act_core.atlas.reports import JobStatus
from act_core.db import ces, recovery
from act_core.db.models import Base
from act_core.db.panda_models import PandaArchive
from act_core.simulators.faults import Kind
from act_core.simulators.witness import count
from act_core.states import PandaState
from tests.atlas.house import BOOKED, CE, House
from tests.fixtures.databases import KEPT_TABLES

P = PandaState
NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)
MEMO = Memo(server="s", queue="TEST", label="managed", job={"PandaID": 7, "attemptNr": 1, "outFiles": "a.root"})


async def lose(house: House) -> None:
    """Nothing is left in the tables but whose they are; `act up` has noticed."""

    def dropped(session: object) -> None:
        for one in reversed(Base.metadata.sorted_tables):
            if one.name not in KEPT_TABLES:
                session.execute(delete(one))  # type: ignore[attr-defined]

    await house.rt.write(dropped)
    await house.rt.write(ces.enter_ces, house.rt.settings.arc.sites, ces.CONFIG, house.rt.now())
    assert await house.rt.write(recovery.begin, recovery.NEW, recovery.TOWER, house.rt.now())


def said(status: str, attempt_nr: int = 1) -> JobStatus:
    return JobStatus(7, status, attempt_nr)


@pytest.mark.parametrize(
    ("status", "attempt_nr", "state", "told", "due"),
    [
        ("sent", 1, P.STARTING, None, True),
        ("starting", 1, P.STARTING, "starting", True),
        ("running", 1, P.RUNNING, "running", True),
        ("holding", 1, P.RUNNING, None, True),
        ("transferring", 1, P.TRANSFERRING, "transferring", True),
        ("failed", 1, P.CLOSED, "failed", False),
        ("running", 2, P.CLOSED, None, False),
        ("not found", 0, P.STARTING, None, True),
    ],
)
def test_a_panda_job_is_booked_by_pandas_word(
    status: str, attempt_nr: int, state: PandaState, told: str | None, due: bool
) -> None:
    row = row_of(MEMO, 7, 1, said(status, attempt_nr), NOW)
    assert (row["state"], row["told"], row["heartbeat_due_at"] is not None) == (state, told, due)
    assert json.loads(row["job"])["outFiles"] == "a.root"


def test_nobody_speaks_for_a_true_pilot_that_runs() -> None:
    memo = MEMO.model_copy(update={"reporter": PILOT})
    assert row_of(memo, 7, 1, said("running"), NOW)["heartbeat_due_at"] is None
    assert row_of(memo, 7, 1, said("sent"), NOW)["heartbeat_due_at"] is not None


@pytest.mark.parametrize(
    ("status", "attempt_nr", "over"),
    [("finished", 1, True), ("closed", 1, True), ("sent", 2, True), ("running", 1, False), ("not found", 0, False)],
)
def test_what_is_over(status: str, attempt_nr: int, over: bool) -> None:
    assert is_over(1, said(status, attempt_nr)) is over


@pytest.mark.parametrize(
    ("state", "goes_on"),
    [(P.SENT, True), (P.FORGOTTEN, True), (P.TOVALIDATE, True), (P.RUNNING, False), (P.CLOSED, False)],
)
def test_a_row_of_an_older_copy_has_its_attempt_back(state: PandaState, goes_on: bool) -> None:
    row = BOOKED.__class__(**{name: getattr(BOOKED, name) for name in BOOKED.__slots__} | {"state": state})
    change = moved(row, said("running"), MEMO, NOW)
    assert (change is not None and change.to is P.STARTING) is goes_on


def test_the_memo_keeps_what_is_owed_and_no_secret() -> None:
    raw = {"PandaID": 7, "attemptNr": 1, "outFiles": "a.root", "jobPars": "--token x", "secrets": "y", "logFile": None}
    row = BOOKED.__class__(
        **{name: getattr(BOOKED, name) for name in BOOKED.__slots__} | {"job": json.dumps(raw), "queue": "Q"}
    )
    memo = read_memo(memo_of(row, PILOT))
    assert memo is not None
    assert (memo.queue, memo.reporter, memo.job) == ("Q", PILOT, {"PandaID": 7, "attemptNr": 1, "outFiles": "a.root"})


@pytest.mark.parametrize("text", [None, "", "{}", '{"server": 1}', '{"server": "s", "queue": "q", "label": ""}'])
def test_a_foreign_memo_is_none(text: str | None) -> None:
    assert read_memo(text) is None


async def test_a_lost_database_loses_no_job(home: House, eventually: Callable[..., Any]) -> None:
    first = await home.bound(2)
    await home.run("submit", "heartbeat", "submit", "sweep-status", "heartbeat")
    second = await home.bound(2)
    await home.run("submit")
    waits = await home.bound()
    await lose(home)

    async def all_over() -> bool:
        await home.run("refresh-queues", "sweep-status", "submit", "fetch-validate", "heartbeat", "clean")
        return all(home.book(number).finals for number in (*first, *second))

    await eventually(all_over, "every job has its end in PanDA")
    assert {home.book(number).status for number in (*first, *second)} == {"finished"}
    assert set(count(home.witness).values()) == {1}
    assert await home.rt.read(recovery.under_way) is None
    assert home.book(waits[0]).finals == 0, "what was never sent is PanDA's to give up"
    assert {home.book(number).acquisitions for number in (*first, *second)} == {1}


async def test_what_panda_calls_over_is_cleaned_away(home: House, eventually: Callable[..., Any]) -> None:
    (number,) = await home.bound()
    await home.run("submit", "sweep-status")
    home.books.kill([number], 9, home.clock.now())
    assert home.book(number).status == "cancelled"
    await lose(home)

    async def nothing_left() -> bool:
        await home.run("refresh-queues", "sweep-status", "submit", "fetch-validate", "heartbeat", "clean")
        listed = await (await home.rt.ce(CE)).list_mine(home.rt.tower, frozenset())
        return not listed.mine and await home.rt.read(recovery.under_way) is None

    await eventually(nothing_left, "nothing of it is on the CE")
    states = [row.state for row in (await home.rows()).values()]
    at_rest = await home.rt.read(lambda session: list(session.scalars(select(PandaArchive.state))))
    assert states + at_rest == [P.CLOSED], "another pass takes it to the archive"


async def test_nothing_is_taken_or_sent_while_panda_does_not_say_how_the_jobs_are(home: House) -> None:
    (number,) = await home.bound()
    await home.run("submit", "heartbeat")
    home.order(3)
    await lose(home)
    await home.run("refresh-queues")
    await home.fault(home.panda, Kind.ERROR, path="get_job_status")
    for _ in range(3):
        await home.run("sweep-status", "translate", "submit")
    stand = await home.rt.read(recovery.under_way)
    assert stand is not None
    assert stand.unread == {CE}
    assert await home.rows() == {}
    assert await home.attempts(number) == []
