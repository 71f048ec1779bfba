"""Jobs on a CE that carry our name and that no living attempt stands for."""

import logging
from datetime import timedelta

import pytest
from sqlalchemy import delete, update

from act_core.ce.base import RemoteId, SubmissionKey
from act_core.db import arrivals, brakes, ledger, orphans
from act_core.db.models import CeJob
from act_core.engine.reconcile import reconcile_all
from act_core.settings.policy import Reconcile
from act_core.stages import Tower
from act_core.states import CeState
from tests.engine.house import CE, House, new
from tests.walk.fake_ce import RemoteJob

S = CeState
MINUTE = timedelta(minutes=1)


async def dead(house: House, n: int = 1, to: CeState = S.LOST) -> list[RemoteId]:
    """Running jobs whose attempts are over."""
    jobs = await house.jobs(n, S.RUNNING)
    for row in await house.rows():
        await house.changed(row.id, to)
    return jobs


def unknown(house: House, key: str = "0123456789abcdefghjkmnpqrs") -> RemoteId:
    made = RemoteId(f"odd-{key[-4:]}")
    house.end.world.jobs[made] = RemoteJob(SubmissionKey(f"act-{house.tower}-{key}"), "odd", house.now(), "RUNNING")
    return made


async def look(house: House, minutes: int = 0) -> dict[str, int]:
    house.ahead += minutes * MINUTE
    return dict(await reconcile_all(house, CE))


@pytest.mark.parametrize("to", [S.LOST, S.ABANDONED])
async def test_a_dead_attempts_job_is_killed_at_the_second_sighting(house: House, to: CeState) -> None:
    (job,) = await dead(house, to=to)
    assert "killed orphans" not in await look(house)
    assert (await look(house, 29)).get("orphans") == 1
    assert house.end.world.jobs[job].state == "RUNNING"
    assert (await look(house, 1))["killed orphans"] == 1
    assert house.end.world.jobs[job].state == "KILLING"
    house.end.world.step(good=True)
    await look(house, 30)  # killed a second time, and cleaned, as it is over now
    assert house.end.world.jobs == {}
    await look(house, 30)
    assert await house.read(orphans.all_of) == []


async def test_one_that_was_cleaned_and_lingers_for_a_while_is_left_alone(house: House) -> None:
    (job,) = await dead(house)
    await look(house)
    del house.end.world.jobs[job]
    await look(house, 1)
    assert await house.read(orphans.all_of, CE) == []


@pytest.mark.parametrize("policy", ["report", "kill"])
async def test_an_unknown_key(house: House, policy: str) -> None:
    arc = house.settings.arc.model_copy(update={"reconcile": Reconcile.model_validate({"orphans": policy})})
    house.settings = house.settings.model_copy(update={"arc": arc})
    job = unknown(house)
    await look(house)
    await look(house, 31)
    assert house.end.world.jobs[job].state == ("RUNNING" if policy == "report" else "KILLING")
    (row,) = await house.read(orphans.all_of)
    assert (row.known, row.remote_id) == (False, job)
    (line,) = await house.read(ledger.standing, ces=[CE])
    assert (line.code, line.facts["policy"]) == ("orphans-unknown", policy)


async def test_what_a_restored_database_forgot_is_taken_back(house: House) -> None:
    """The row says that it was never sent, and the CE runs it."""
    (job,) = await house.jobs(1, S.RUNNING)
    before = {"state": "tosubmit", "ce": None, "remote_id": None, "due_at": None, "send_deadline": None}
    await house.write(lambda session: session.execute(update(CeJob).values(**before)))
    await look(house)
    await look(house, 1)
    assert await house.states() == {job: S.SUBMITTED}
    assert house.end.world.jobs[job].state == "RUNNING"


async def test_what_waits_in_a_restored_database_is_sent_when_the_lists_have_been_read(house: House) -> None:
    await house.write(arrivals.add_jobs, house.tower, [new("a"), new("b")], house.now())
    assert await house.write(orphans.wait_after_restore, house.now()) == 2
    assert await house.write(orphans.wait_after_restore, house.now() - MINUTE) == 0, "what waits longer waits on"
    assert "submit" not in [part.verb for part, _ in await Tower(house, apps=()).due("submit")]
    house.ahead += orphans.LISTS_READ
    assert "submit" in [part.verb for part, _ in await Tower(house, apps=()).due("submit")]


@pytest.mark.parametrize(("policy", "state"), [("report", "RUNNING"), ("kill", "KILLING")])
async def test_what_was_sent_after_the_backup_is_not_taken_for_the_attempt_that_follows(
    house: House, policy: str, state: str
) -> None:
    """Nothing on the CE says whose job it is: the restored database binds it anew, and the forgotten one is unknown."""
    arc = house.settings.arc.model_copy(update={"reconcile": Reconcile.model_validate({"orphans": policy})})
    house.settings = house.settings.model_copy(update={"arc": arc})
    (job,) = await house.jobs(1, S.RUNNING)
    await house.write(lambda session: session.execute(delete(CeJob)) and None)
    await house.write(arrivals.add_jobs, house.tower, [new("j0")], house.now())
    await look(house)
    await look(house, 31)
    (row,) = await house.rows()
    assert (row.app_job_id, row.state, row.remote_id) == ("j0", S.TOSUBMIT, None)
    assert house.end.world.jobs[job].state == state


@pytest.mark.parametrize(
    ("known", "state"),
    [
        pytest.param(True, "KILLING", id="its own job is there"),
        pytest.param(False, "RUNNING", id="nobody knows whether its own job is there"),
    ],
)
async def test_a_second_job_of_a_living_attempt(house: House, known: bool, state: str) -> None:
    (job,) = await house.jobs(1, S.RUNNING)
    (row,) = await house.rows()
    second = RemoteId("second")
    house.end.world.jobs[second] = RemoteJob(SubmissionKey(row.submission_key), "j0", house.now(), "RUNNING")
    if not known:
        await house.write(lambda session: session.execute(update(CeJob).values(absent_since=house.now())))
    await look(house)
    assert house.end.world.jobs[second].state == "RUNNING"
    await look(house, 31)
    assert house.end.world.jobs[second].state == state
    assert house.end.world.jobs[job].state == "RUNNING"


async def test_an_unknown_key_whose_row_returns_is_no_orphan_any_more(house: House) -> None:
    (job,) = await house.jobs(1, S.RUNNING)
    (row,) = await house.rows()
    kept = {name: getattr(row, name) for name in CeJob.__table__.columns.keys()}  # noqa: SIM118 - a collection's own
    await house.write(lambda session: session.execute(delete(CeJob)))
    await look(house)
    assert [one.remote_id for one in await house.read(orphans.all_of)] == [job]
    await house.write(lambda session: session.add(CeJob(**kept)))
    await look(house, 31)
    assert await house.read(orphans.all_of) == []
    assert house.end.world.jobs[job].state == "RUNNING"
    assert await house.read(ledger.standing, ces=[CE]) == []


async def test_a_submission_that_arrives_after_it_was_taken_for_void_never_runs(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    await house.jobs(1, S.SUBMITTING)
    (row,) = await house.rows()
    await house.changed(row.id, S.VOID)
    late = RemoteId("late")
    house.end.world.jobs[late] = RemoteJob(SubmissionKey(row.submission_key), "j0", house.now())
    with caplog.at_level(logging.WARNING):
        await look(house)
    assert "1 jobs arrived after they were given up as void; they wait for an input that never comes" in caplog.text
    await look(house, 31)
    assert house.end.world.jobs.get(late) is None
    assert house.end.world.runs == {}


async def test_many_are_killed_only_when_an_operator_releases_them(house: House) -> None:
    await dead(house, 51)
    await look(house)
    assert (await look(house, 31))["braked"] == 51
    await look(house, 31)
    assert {job.state for job in house.end.world.jobs.values()} == {"RUNNING"}
    (row,) = await house.read(brakes.on)
    assert (row.kind, row.n) == ("orphans", 51)
    await house.write(brakes.release, row.id, "operator", house.now() + 30 * MINUTE, house.now())
    assert (await look(house, 1))["killed orphans"] == 51


async def test_foreign_jobs_are_not_remembered_and_never_touched(house: House) -> None:
    other = RemoteId("other")
    house.end.world.jobs[other] = RemoteJob(SubmissionKey("act-another1-0123456789abcdefghjkmnpqrs"), "x", house.now())
    for _ in range(3):
        await look(house, 31)
    assert house.end.world.jobs[other].state == "PREPARING"
    assert await house.read(orphans.all_of) == []
