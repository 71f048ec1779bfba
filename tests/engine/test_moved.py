"""A CE whose endpoint changes while it has jobs: the new place cannot know them, and is not believed about them."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import update

from act_core.db import ces, ledger, queries
from act_core.db.models import CeJob
from act_core.engine.cancel import cancel
from act_core.engine.clean import clean
from act_core.engine.fetch import fetch
from act_core.engine.poll import poll
from act_core.engine.reconcile import reconcile_all
from act_core.engine.unseen import abandon, watch
from act_core.monitor.sentences import told
from act_core.settings.model import Site
from act_core.states import CeState, Request
from tests.engine.house import CE, House
from tests.engine.test_belief import Step

S = CeState
OLD, NEW = "https://old.example.org/arex", "https://new.example.org/arex"


async def named(house: House, endpoint: str) -> None:
    """The configuration says so."""
    site = Site(endpoint=endpoint, kind="arc-rest")
    await house.write(ces.sync_ces, {CE: site}, ces.CONFIG, house.now())


async def sent(house: House, n: int, state: CeState, request: Request | None = None) -> None:
    """Jobs at the old endpoint, which is then another one."""
    house.end.traits = replace(house.end.traits, two_phase=False)
    await named(house, OLD)
    await house.jobs(n, state)
    values = {"send_deadline": house.now(), "request": request and request.value, "request_at": house.now()}
    await house.write(lambda session: session.execute(update(CeJob).values(**values)) and None)
    house.ahead += timedelta(minutes=10)
    await named(house, NEW)
    house.end.world.jobs = {}


@pytest.mark.parametrize(
    ("step", "state", "request_"),
    [
        pytest.param(poll, S.RUNNING, None, id="poll"),
        pytest.param(fetch, S.FINISHED, None, id="fetch"),
        pytest.param(cancel, S.RUNNING, Request.CANCEL, id="cancel"),
        pytest.param(clean, S.FINISHED, Request.CLEAN, id="clean"),
        pytest.param(reconcile_all, S.SUBMITTING, None, id="reconcile"),
    ],
)
async def test_what_went_to_the_former_endpoint_is_not_gone(
    house: House, step: Step, state: CeState, request_: Request | None
) -> None:
    await sent(house, 3, state, request_)
    for _ in range(9):
        house.ahead += timedelta(minutes=20)
        await step(house, CE)
    for row in await house.rows():
        assert (row.state, row.request, row.absent_since) == (state.value, request_ and request_.value, None)
        assert row.ce_clean_at is None
    (line,) = await house.read(ledger.standing, ces=[CE])
    assert (line.code, line.n) == ("other-endpoint", 3)
    assert told(line.code, line.facts, house.now()).why.startswith(f"3 jobs at {CE} were sent to {OLD}, before")


async def second_sent_at(house: House, moment: datetime) -> None:
    """The second job went there an hour later."""
    late = update(CeJob).where(CeJob.id == (await house.rows())[1].id).values(send_deadline=moment + timedelta(hours=1))
    await house.write(lambda session: session.execute(late) and None)


async def test_of_what_was_sent_since_it_is_believed(house: House) -> None:
    await sent(house, 3, S.RUNNING)
    await second_sent_at(house, house.now())
    for _ in range(9):
        house.ahead += timedelta(minutes=20)
        await poll(house, CE)
    assert [row.state for row in await house.rows()] == ["running", "lost", "running"]


async def test_another_spelling_is_no_other_place(house: House) -> None:
    await named(house, OLD)
    await named(house, "https://OLD.example.org:443/arex/")
    row = await house.read(queries.ce_row, CE)
    assert row is not None
    assert row.moved_from != OLD


async def test_these_jobs_alone_are_given_up(house: House) -> None:
    await sent(house, 2, S.RUNNING)
    await poll(house, CE)
    row = await house.read(queries.ce_row, CE)
    assert row is not None
    assert row.moved_at is not None
    await second_sent_at(house, row.moved_at)
    await abandon(house, CE, "it is gone", "operator", sent=row.moved_at)
    assert [row.state for row in await house.rows()] == ["abandoned", "running"]
    house.ahead += timedelta(minutes=2)
    await watch(house, "silence")
    assert await house.read(ledger.standing, ces=[CE]) == []
