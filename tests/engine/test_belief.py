"""That a CE does not know a job is believed only when the identity that submitted it asked."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from act_core.db import ledger
from act_core.db.attempts import Attempt
from act_core.db.ledger import Line
from act_core.db.models import CeJob
from act_core.decisions import Decision, Move, Stay
from act_core.engine.belief import says_absent
from act_core.engine.cancel import cancel
from act_core.engine.clean import clean
from act_core.engine.fetch import fetch
from act_core.engine.identity import identity
from act_core.engine.poll import poll
from act_core.engine.reconcile import reconcile_all
from act_core.engine.rerun import rerun
from act_core.engine.unseen import abandon, watch
from act_core.monitor.sentences import told
from act_core.reasons import Reason, Topic
from act_core.runtime import Counts, Runtime
from act_core.settings.policy import Voms
from act_core.simulators.pki import TestPki
from act_core.states import CeState, Request
from tests.engine.house import CE, House

Make = Callable[..., Attempt]
S = CeState
Step = Callable[[Runtime, str], Awaitable[Counts]]


@pytest.mark.parametrize(
    ("state", "decision", "actor", "absent"),
    [
        pytest.param(S.RUNNING, Move(S.LOST, "x"), "poll", True, id="lost"),
        pytest.param(S.SUBMITTING, Move(S.VOID, "x"), "reconcile", True, id="void"),
        pytest.param(S.CANCELLING, Move(S.CANCELLED, "x"), "cancel", True, id="gone after a kill"),
        pytest.param(S.RUNNING, Stay({"absent_since": 1}), "poll", True, id="missed for the first time"),
        pytest.param(S.RUNNING, Stay({"absent_since": None}), "poll", False, id="known again"),
        pytest.param(S.RUNNING, Move(S.CANCELLED, "x"), "poll", False, id="the CE says that it was killed"),
        pytest.param(S.TOSUBMIT, Move(S.CANCELLED, "x"), "cancel", False, id="no CE was asked"),
    ],
)
def test_what_rests_on_absence(attempt: Make, state: CeState, decision: Decision, actor: str, absent: bool) -> None:
    assert says_absent(attempt(state), decision, actor) is absent


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPki:
    return TestPki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
async def bob(house: House, pki: TestPki, tmp_path: Path) -> Callable[..., Awaitable[None]]:
    """`bob(state, request)`: three jobs that alice submitted, which the CE does not show to bob, who asks now."""
    file = pki.proxy("alice", timedelta(hours=96), path=tmp_path / "proxy.pem")
    house.end.traits = replace(house.end.traits, needs_credential=True, two_phase=False)
    arc = house.settings.arc.model_copy(update={"voms": Voms(proxypath=file)})
    house.settings = house.settings.model_copy(update={"arc": arc})

    async def make(state: CeState, request: Request | None = None) -> None:
        await house.jobs(3, state)
        alice = await identity(house, CE)
        assert alice is not None
        values = {"credential_id": alice.credential_id, "request": request and request.value, "request_at": house.now()}
        await house.write(lambda session: session.execute(update(CeJob).values(**values)))
        house.end.world.jobs = {}
        pki.proxy("bob", timedelta(hours=96), path=file)

    return make


@pytest.mark.parametrize(
    ("step", "state", "request_"),
    [
        pytest.param(poll, S.RUNNING, None, id="poll"),
        pytest.param(fetch, S.FINISHED, None, id="fetch"),
        pytest.param(cancel, S.RUNNING, Request.CANCEL, id="cancel"),
        pytest.param(rerun, S.FAILED, Request.RERUN, id="rerun"),
        pytest.param(clean, S.FINISHED, Request.CLEAN, id="clean"),
        pytest.param(reconcile_all, S.SUBMITTING, None, id="reconcile"),
    ],
)
async def test_what_another_identity_does_not_see_is_not_gone(
    house: House, bob: Callable[..., Awaitable[None]], step: Step, state: CeState, request_: Request | None
) -> None:
    await bob(state, request_)
    for _ in range(9):
        house.ahead += timedelta(minutes=20)
        await step(house, CE)
    intended = S.SUBMITTED if step is rerun else state
    for row in await house.rows():
        assert (row.state, row.request) == (intended.value, request_ and request_.value)
        assert row.absent_since is None
        assert row.ce_clean_at is None
    (line,) = await house.read(ledger.standing, ces=[CE])
    assert (line.code, line.n) == ("other-identity", 3)


async def test_what_cannot_have_run_is_void_whoever_asks(house: House, bob: Callable[..., Awaitable[None]]) -> None:
    await bob(S.SUBMITTING)
    house.end.traits = replace(house.end.traits, two_phase=True)
    for _ in range(2):
        house.ahead += timedelta(minutes=20)
        await reconcile_all(house, CE)
    assert [row.state for row in await house.rows()] == 3 * ["void"] + 3 * ["tosubmit"]


@pytest.mark.parametrize("two_phase", [True, False])
async def test_an_operator_gives_up_whatever_identity_is_in_use(
    house: House, bob: Callable[..., Awaitable[None]], two_phase: bool
) -> None:
    await bob(S.SUBMITTING)
    house.end.traits = replace(house.end.traits, two_phase=two_phase)
    house.ahead += timedelta(minutes=20)
    await abandon(house, CE, "ce was given up", "operator")
    assert [row.state for row in await house.rows()][:3] == 3 * ["void" if two_phase else "donefailed"]


async def test_with_the_former_identity_back_the_line_ends(
    house: House, bob: Callable[..., Awaitable[None]], pki: TestPki, tmp_path: Path
) -> None:
    await bob(S.RUNNING)
    await poll(house, CE)
    assert len(await house.read(ledger.standing, ces=[CE])) == 1
    pki.proxy("alice", timedelta(hours=96), path=tmp_path / "proxy.pem")
    house.ahead += timedelta(minutes=20)
    await watch(house, "silence")
    assert await house.read(ledger.standing, ces=[CE]) == []


async def identity_line(house: House) -> Any:
    """What is told of other identities after a look at all CEs; None: nothing."""
    house.ahead += timedelta(minutes=2)
    await watch(house, "silence")
    lines = [row for row in await house.read(ledger.standing) if row.topic == Topic.IDENTITY]
    return lines[0] if lines else None


@pytest.mark.parametrize("to", [S.LOST, S.CANCELLED, S.ABANDONED, S.FAILED])
async def test_the_line_ends_with_the_last_job_of_another_identity_however_it_went(
    house: House, bob: Callable[..., Awaitable[None]], to: CeState
) -> None:
    await bob(S.RUNNING)
    await poll(house, CE)
    for n, row in enumerate(await house.rows()):
        line = await identity_line(house)
        assert (line.n, line.facts["n"], line.facts["now"].endswith("bob")) == (3 - n, 3 - n, True)
        await house.changed(row.id, to)
        if to is S.FAILED:
            await house.changed(row.id, S.DONEFAILED)
    assert await identity_line(house) is None


async def test_what_is_over_and_cannot_be_cleaned_keeps_the_line(
    house: House, bob: Callable[..., Awaitable[None]]
) -> None:
    await bob(S.FINISHED)
    for row in await house.rows():
        await house.changed(row.id, S.DONE)
    await house.write(lambda session: session.execute(update(CeJob).values(request="clean")) and None)
    await clean(house, CE)
    assert (await identity_line(house)).n == 3
    await house.write(lambda session: session.execute(update(CeJob).values(ce_clean_at=house.now())) and None)
    assert await identity_line(house) is None


async def test_the_line_of_a_ce_that_nobody_names_any_more_ends(house: House) -> None:
    await house.jobs(1, S.RUNNING)
    await house.write(lambda session: session.execute(update(CeJob).values(ce="gone", credential_id=7)) and None)
    gone = Line(Topic.IDENTITY, Reason.OTHER_IDENTITY, "gone", n=3, facts={"ce": "gone"})
    await house.write(ledger.note, [gone], house.now())
    assert await identity_line(house) is None


async def test_while_the_credential_cannot_be_read_the_line_stays_and_advises_nothing(
    house: House, bob: Callable[..., Awaitable[None]], tmp_path: Path
) -> None:
    """It may be the one in use that has run out."""
    await bob(S.RUNNING)
    (tmp_path / "proxy.pem").unlink()
    await poll(house, CE)
    line = await identity_line(house)
    assert (line.n, line.facts["now"], "id" in line.facts) == (3, "none", False)
    for row in await house.rows():
        await house.changed(row.id, S.LOST)
    assert await identity_line(house) is None


async def test_the_jobs_of_a_former_identity_alone_are_given_up(
    house: House, bob: Callable[..., Awaitable[None]]
) -> None:
    await bob(S.RUNNING)
    rows, mine = await house.rows(), await identity(house, CE)
    assert mine is not None

    def spread(session: Any) -> None:
        session.execute(update(CeJob).where(CeJob.id == rows[1].id).values(credential_id=mine.credential_id))
        over = {"state": "done", "request": "clean", "request_at": house.now()}
        session.execute(update(CeJob).where(CeJob.id == rows[2].id).values(over))

    await house.write(spread)
    await poll(house, CE)
    (line,) = await house.read(ledger.standing, ces=[CE])
    alice, said = rows[0].credential_id, told(line.code, line.facts, house.now())
    assert (line.n, line.facts["id"]) == (2, alice)
    assert said.why.startswith(f"2 jobs at {CE} were submitted by ")
    assert f"alice (identity {alice}), and not by the one in use ({mine.subject})." in said.why
    assert f"`act ces abandon {CE} --identity {alice}` gives up these jobs alone." in said.do
    counts = await abandon(house, CE, "alice was given up", "operator", line.facts["id"])
    assert counts == {"abandoned": 1, "not cleaned": 1}
    first, second, third = await house.rows()
    assert (first.state, first.error) == ("abandoned", "alice was given up")
    assert (second.state, second.ce_clean_at) == ("running", None)
    assert (third.state, third.request, third.ce_clean_at is not None) == ("done", None, True)
    assert await identity_line(house) is None


async def test_without_a_readable_identity_nothing_is_believed(
    house: House, bob: Callable[..., Awaitable[None]], tmp_path: Path
) -> None:
    await bob(S.RUNNING)
    (tmp_path / "proxy.pem").unlink()
    await poll(house, CE)
    assert {row.absent_since for row in await house.rows()} == {None}
