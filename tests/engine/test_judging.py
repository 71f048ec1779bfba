"""The error rules at work, through steps and tables."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from act_core import homecoming
from act_core.db import brakes, queries, rules, wishes
from act_core.db.ledger import standing
from act_core.db.models import Description
from act_core.db.policy_models import RuleHit
from act_core.engine.fetch import fetch
from act_core.engine.poll import poll
from act_core.engine.rerun import rerun, resubmit
from act_core.errors import Transient
from act_core.jobspec import JobSpec
from act_core.reasons import Reason
from act_core.settings.policy import Clean, Errors
from act_core.states import CeState, Request
from act_core.tells import TELLS
from tests.engine.house import CE, House

S = CeState


@pytest.fixture
def database() -> str:
    """What the tables do with it is told in tests/db."""
    return "sqlite"


@pytest.fixture(autouse=True)
def arc(house: House) -> None:
    become(house, "arc-rest")


def become(house: House, kind: str, **traits: Any) -> None:
    house.end.traits = replace(type(house.end).traits, kind=kind, **traits)


def configure(house: House, **errors: Any) -> None:
    arc = house.settings.arc.model_copy(update={"errors": Errors.model_validate(errors), "clean": Clean()})
    house.settings = house.settings.model_copy(update={"arc": arc})


async def hits(house: House) -> dict[str, int]:
    return {row.rule: row.n for row in await house.read(rules.hits)}


async def test_an_error_of_the_list_begins_the_job_again_and_costs_an_attempt(house: House) -> None:
    (job,) = await house.jobs(1, S.RUNNING)
    house.tell(job, "FAILED", error="Job was lost", wall_s=3)
    counts = await poll(house, CE)
    (row,) = await house.rows()
    assert (row.state, row.request, row.rule, row.error) == ("failed", "resubmit", "arc-lost", "Job was lost")
    assert counts["failed"] == 1
    assert await hits(house) == {"arc-lost": 1}
    await homecoming.on_news(house, await house.read(queries.with_news, "manual", 10))
    await resubmit(house, CE)
    old, new = await house.rows()
    assert (old.state, old.superseded_by, old.request) == ("donefailed", new.submission_key, "clean")
    assert (new.state, new.attempt, new.attempts_left) == ("tosubmit", 2, 2)


async def test_what_killed_it_is_stronger_than_a_rule(house: House) -> None:
    (job,) = await house.jobs(1, S.RUNNING)
    await house.write(wishes.wish, "manual", ["j0"], Request.CANCEL, house.now())
    house.tell(job, "FAILED", error="Job was lost")
    await poll(house, CE)
    (row,) = await house.rows()
    assert (row.state, row.request, row.rule) == ("failed", None, None)
    assert await hits(house) == {}


async def test_an_error_that_nobody_knows_is_its_applications_affair(house: House) -> None:
    (job,) = await house.jobs(1, S.RUNNING)
    house.tell(job, "FAILED", error="exit code 3")
    await poll(house, CE)
    (row,) = await house.rows()
    assert (row.state, row.request, row.rule, row.news) == ("failed", None, None, True)


async def test_an_error_that_the_ce_tells_only_later_is_judged_before_the_outputs_count(house: House) -> None:
    (job,) = await house.jobs(1, S.RUNNING)
    house.tell(job, "FAILED", error="Job was lost", wall_s=3)
    house.end.dark[job] = Transient("no documents now")
    await poll(house, CE)
    await homecoming.on_news(house, await house.read(queries.with_news, "manual", 10))
    house.end.dark.clear()
    await fetch(house, CE)
    (row,) = await house.rows()
    assert (row.state, row.request, row.rule, row.error) == ("failed", "resubmit", "arc-lost", "Job was lost")


async def test_one_job_makes_no_ce_rest_and_three_do(house: House) -> None:
    configure(house, rules=[{"pattern": "session disk", "action": "rest", "name": "disk", "why": "its disks are full"}])
    jobs = await house.jobs(4, S.RUNNING)
    for n, job in enumerate(jobs):
        house.tell(job, "FAILED", error="no session disk")
        await poll(house, CE)
        row = await house.read(queries.ce_row, CE)
        assert row is not None
        assert row.mode == ("rest" if n >= 2 else "on")
    assert row is not None
    assert row.mode_owner == "rule"
    assert row.mode_until is not None
    assert row.mode_reason == "rule disk: 3 jobs within 10 min: its disks are full"
    assert {one.request for one in await house.rows()} == {"resubmit"}


async def test_errors_far_apart_are_not_counted_together(house: House) -> None:
    configure(house, rules=[{"pattern": "disk", "action": "rest"}])
    for job in await house.jobs(4, S.RUNNING):
        house.tell(job, "FAILED", error="no disk")
        await poll(house, CE)
        house.ahead += timedelta(minutes=6)
    row = await house.read(queries.ce_row, CE)
    assert row is not None
    assert row.mode == "on"
    assert await hits(house) == {"disk": 4}


async def test_a_mode_that_an_operator_chose_stays(house: House) -> None:
    def drain(session: Any) -> None:
        row = queries.ce_row(session, CE)
        assert row is not None
        row.mode, row.mode_owner = "drain", "operator"

    await house.write(drain)
    assert not await house.write(rules.rest, CE, "x", house.now() + timedelta(hours=1), house.now())


async def test_a_failed_job_that_a_rule_holds_waits_for_the_operator_and_not_for_ever(house: House) -> None:
    configure(house, rules=[{"pattern": "odd", "action": "hold", "name": "look"}])
    (job,) = await house.jobs(1, S.RUNNING)
    house.tell(job, "FAILED", error="very odd")
    await poll(house, CE)
    (row,) = await house.rows()
    assert (row.state, row.request, row.news) == ("failed", "fetch", False)
    assert not await house.read(queries.to_fetch, CE, house.now(), 10)
    house.ahead += timedelta(days=2, minutes=1)
    assert len(await house.read(queries.to_fetch, CE, house.now(), 10)) == 1


async def test_held_jobs_are_one_line_a_share_that_ends_with_them(house: House) -> None:
    become(house, "htcondor")
    jobs = await house.jobs(3, S.RUNNING)
    for job in jobs:
        house.tell(job, "HELD", error="hold 4/0: proxy expired")
    await poll(house, CE)
    (line,) = [row for row in await house.read(standing, ces=[CE]) if row.code == Reason.RULE_HOLDS]
    assert (line.n, line.facts["rule"]) == (3, "hold-credential")
    told = TELLS[Reason.RULE_HOLDS].why.format(**line.facts, n=line.n)
    assert (
        told == "The error rule hold-credential leaves 3 jobs of no share at ce as they are: hold 4/0: proxy expired."
    )
    assert {row.state for row in await house.rows()} == {"holding"}
    for job in jobs:
        house.tell(job, "RUNNING")
    await poll(house, CE)
    assert not [row for row in await house.read(standing, ces=[CE]) if row.code == Reason.RULE_HOLDS]


async def test_a_pool_that_holds_everything_has_nothing_killed_for_it(house: House) -> None:
    become(house, "htcondor")
    for job in await house.jobs(60, S.RUNNING):
        house.tell(job, "HELD", error="hold 3/0: the site's policy")
    counts = await poll(house, CE)
    assert counts["stale"] == 60
    assert {(row.state, row.request) for row in await house.rows()} == {("running", None)}
    (brake,) = await house.read(brakes.on)
    assert (brake.kind, brake.n) == ("kill", 60)


async def test_a_held_transfer_is_released_so_often_and_then_begins_again(house: House) -> None:
    become(house, "htcondor")
    configure(house, releases=2)
    (job,) = await house.jobs(1, S.RUNNING)
    walk = []
    for _ in range(3):
        house.tell(job, "HELD", error="hold 13/2: x", restart_at="hold 13/2")
        await poll(house, CE)
        (row,) = await house.rows()
        walk.append((row.state, row.request, row.reruns))
        await rerun(house, CE)
        house.ahead += timedelta(minutes=1)
    assert walk == [("holding", "rerun", 0), ("holding", "rerun", 1), ("holding", "resubmit", 2)]


async def test_why_a_job_is_held_is_asked_again_when_the_ce_could_not_say(house: House) -> None:
    become(house, "htcondor")
    (job,) = await house.jobs(1, S.RUNNING)
    house.tell(job, "HELD", error="hold 34/102: x")
    house.end.dark[job] = Transient("no")
    await poll(house, CE)
    (row,) = await house.rows()
    assert (row.state, row.request) == ("holding", None)
    house.end.dark.clear()
    await poll(house, CE)
    (row,) = await house.rows()
    assert (row.request, row.rule, row.error) == ("cancel", "hold-resources", "hold 34/102: x")
    version = row.version
    await poll(house, CE)
    assert (await house.rows())[0].version == version


@pytest.mark.parametrize(
    ("allowed", "restart_at", "wish"),
    [(2, "PREPARING", "rerun"), (2, "FINISHING", "rerun"), (0, "PREPARING", None), (2, None, None)],
    ids=["stage-in", "stage-out", "no allowance", "the payload failed"],
)
async def test_the_ce_restarts_failed_staging_before_anybody_hears_of_it(
    house: House, allowed: int, restart_at: str | None, wish: str | None
) -> None:
    (job,) = await house.jobs(1, S.RUNNING)
    await describe(house, JobSpec(executable="x", reruns=allowed))
    house.tell(job, "FAILED", error="Data transfer failed", restart_at=restart_at)
    await poll(house, CE)
    (row,) = await house.rows()
    assert (row.state, row.request) == ("failed", wish)
    if wish:
        await homecoming.on_news(house, await house.read(queries.with_news, "manual", 10))
        assert not await house.read(queries.to_fetch, CE, house.now(), 10)
        await rerun(house, CE)
        (row,) = await house.rows()
        assert (row.state, row.reruns, row.request, row.native_state) == ("submitted", 1, None, None)


async def describe(house: House, spec: JobSpec) -> None:
    def write(session: Any) -> None:
        for row in session.scalars(select(Description)):
            row.spec = spec.model_dump_json()

    await house.write(write)


async def test_when_the_ce_restarts_it_no_more_the_rules_decide(house: House) -> None:
    (job,) = await house.jobs(1, S.RUNNING)
    await describe(house, JobSpec(executable="x", reruns=2))
    house.end.world.jobs[job].runs = 2  # the CE's allowance is used up
    house.tell(job, "FAILED", error="Internal error in uploader", restart_at="FINISHING")
    await poll(house, CE)
    await rerun(house, CE)
    (row,) = await house.rows()
    assert (row.state, row.request, row.rule) == ("failed", "resubmit", "arc-uploader")
    assert row.error == "Internal error in uploader"


async def test_the_counters_name_the_last_job(house: House) -> None:
    jobs = await house.jobs(2, S.RUNNING)
    for job in jobs:
        house.tell(job, "FAILED", error="Job was lost")
    await poll(house, CE)
    (row,) = await house.read(rules.hits)
    assert isinstance(row, RuleHit)
    assert (row.n, row.ce) == (2, CE)
    assert await house.read(rules.app_job_ids, [row.last_job]) == {row.last_job: "j1"}


async def test_facts_of_a_held_job_touch_only_what_they_tell(house: House) -> None:
    become(house, "htcondor")
    (job,) = await house.jobs(1, S.RUNNING)
    house.tell(job, "HELD", error="hold 99/0: x", exit_code=7)
    await poll(house, CE)
    row = (await house.rows())[0]
    assert (row.error, row.exit_code) == ("hold 99/0: x", None)
