"""CEs that do not answer: what counts as their silence, and what becomes of their attempts."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, update

from act_core.db import brakes, ces, ledger
from act_core.db.attempts import Attempt
from act_core.db.models import Ce
from act_core.decisions import Move
from act_core.engine.unseen import abandon, after_silence, given_up, watch
from act_core.errors import CredentialError
from act_core.runtime import Counts, Runtime
from act_core.settings.policy import Reconcile
from act_core.stages import Tower
from act_core.states import CeState
from tests.engine.house import CE, House

Make = Callable[..., Attempt]
S = CeState
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
GIVEUP = 3 * HOUR


def row(now: datetime, **known: Any) -> Ce:
    """A CE that was looked at half an hour ago, and has failed once more since."""
    looked = now - 30 * MINUTE
    silent = {"silent_s": 600, "silent_at": looked, "silent_tries": 4, "failures": 5, "last_seen": looked - HOUR}
    return Ce(**({"name": "ce", "mode": "on"} | silent | known))


def answers(now: datetime, minutes: int = 10) -> Ce:
    return Ce(name="other", mode="on", last_seen=now - minutes * MINUTE)


@pytest.mark.parametrize(
    ("known", "minutes", "seconds"),
    [
        pytest.param({}, 10, 600 + 1800, id="asked in vain, while another one answered"),
        pytest.param({}, 40, 600, id="nobody answered: it may be our network"),
        pytest.param({"failures": 0}, 10, 0, id="it answers"),
        pytest.param({"last_seen": timedelta(minutes=5)}, 10, 0, id="it has answered between"),
        pytest.param(
            {"silent_at": timedelta(hours=60), "last_seen": timedelta(hours=61)}, 10, 600 + 3600, id="the tower slept"
        ),
        pytest.param({"mode": "offline"}, 10, 0, id="nobody asks it"),
    ],
)
def test_what_counts(now: datetime, known: dict[str, Any], minutes: int, seconds: int) -> None:
    moments = {name: now - one if isinstance(one, timedelta) else one for name, one in known.items()}
    written = after_silence(row(now, **moments), [answers(now, minutes)], now)
    assert written is not None
    assert (written["silent_s"], written["silent_at"]) == (seconds, now)


def test_without_a_try_nothing_counts(now: datetime) -> None:
    assert after_silence(row(now, failures=4), [answers(now)], now) is None
    slept = after_silence(row(now, failures=4, silent_at=now - 2 * HOUR, last_seen=now - 3 * HOUR), [answers(now)], now)
    assert slept == {"silent_s": 600, "silent_at": now, "silent_tries": 4}


def test_a_third_of_the_time_counts_where_nobody_could_vouch(now: datetime) -> None:
    written = after_silence(row(now), [], now)
    assert written is not None
    assert written["silent_s"] == 600 + 600


@pytest.mark.parametrize(
    ("state", "commit", "after", "to"),
    [
        pytest.param(S.RUNNING, None, HOUR, S.ABANDONED, id="running"),
        pytest.param(S.CANCELLING, None, HOUR, S.ABANDONED, id="being killed"),
        pytest.param(S.FINISHED, None, HOUR, S.DONEFAILED, id="outputs that cannot be had"),
        pytest.param(S.SUBMITTING, None, HOUR, S.DONEFAILED, id="in doubt, and it may run"),
        pytest.param(S.SUBMITTING, 10 * MINUTE, HOUR, S.VOID, id="in doubt, and it cannot run without our input"),
        pytest.param(S.SUBMITTING, 10 * MINUTE, MINUTE, None, id="in doubt for a moment"),
    ],
)
def test_what_becomes_of_an_attempt(
    attempt: Make, now: datetime, state: CeState, commit: timedelta | None, after: timedelta, to: CeState | None
) -> None:
    decision = given_up(attempt(state, send_deadline=now), now + after, "ce did not answer for 24 h", commit)
    assert (decision.to if isinstance(decision, Move) else None) is to
    if isinstance(decision, Move):
        assert decision.successor is (to is S.VOID)
        assert (decision.columns.get("ce_clean_at") is not None) is (to is not S.VOID)


async def half_an_hour(house: House, times: int, others: bool) -> None:
    """The CE is asked in vain; `others`: another one answers."""
    arc = house.settings.arc.model_copy(update={"reconcile": Reconcile(giveup=GIVEUP)})
    house.settings = house.settings.model_copy(update={"arc": arc})
    for _ in range(times):
        house.ahead += 30 * MINUTE
        await house.write(ces.went_wrong, CE, "no answer", house.settings.arc.breaker, house.now())
        if others:
            await house.write(lambda s: s.execute(update(Ce).where(Ce.name == "well").values(last_seen=house.now())))
        await watch(house, "silence")


async def well(house: House) -> None:
    new = {"name": "well", "kind": "local", "maxjobs": 1, "modified": house.now(), "last_seen": house.now()}
    await house.write(lambda session: session.execute(insert(Ce), [new]))


async def test_after_a_time_in_which_others_answered_all_is_given_up_without_a_brake(house: House) -> None:
    await house.jobs(60, S.RUNNING)
    await well(house)
    await half_an_hour(house, 5, others=True)
    assert [line.code for line in await house.read(ledger.standing, ces=[CE])] == ["breaker-open", "silent"]
    assert set((await house.states()).values()) == {S.RUNNING}
    await half_an_hour(house, 2, others=True)
    assert set((await house.states()).values()) == {S.ABANDONED}
    assert await house.read(brakes.on) == []
    assert [line.code for line in await house.read(ledger.standing, ces=[CE])] == ["breaker-open", "given-up"]
    assert len(await house.rows()) == 60, "nothing follows by itself"


async def test_a_weekend_without_our_own_network_gives_nothing_up(house: House) -> None:
    await house.jobs(2, S.RUNNING)
    await well(house)
    await half_an_hour(house, 20, others=False)
    assert set((await house.states()).values()) == {S.RUNNING}
    await house.write(ces.went_well, CE, house.now())
    await watch(house, "silence")
    assert await house.read(ledger.standing, ces=[CE]) == []


async def test_a_credential_that_is_refused_or_over_gives_nothing_up(house: House) -> None:
    await house.jobs(2, S.RUNNING)
    await well(house)
    tower, refused = Tower(house, apps=()), CredentialError("the proxy is over")
    (part,) = (part for part in tower.parts("sweep-status") if part.verb == "poll")

    async def poll(_rt: Runtime, _ce: str) -> Counts:
        raise refused

    arc = house.settings.arc.model_copy(update={"reconcile": Reconcile(giveup=GIVEUP)})
    house.settings = house.settings.model_copy(update={"arc": arc})
    for _ in range(9):
        house.ahead += 30 * MINUTE
        with pytest.raises(CredentialError):
            await tower.round(replace(part, run=poll), CE)
        await house.write(lambda s: s.execute(update(Ce).where(Ce.name == "well").values(last_seen=house.now())))
        await watch(house, "silence")
    assert set((await house.states()).values()) == {S.RUNNING}


async def test_a_tower_with_one_ce_waits_three_times_as_long(house: House) -> None:
    await house.jobs(1, S.RUNNING)
    await half_an_hour(house, 17, others=False)
    assert set((await house.states()).values()) == {S.RUNNING}
    await half_an_hour(house, 2, others=False)
    assert set((await house.states()).values()) == {S.ABANDONED}


async def test_an_operator_gives_up_at_once(house: House) -> None:
    await house.jobs(60, S.RUNNING)
    assert await abandon(house, CE, "ce was given up", "operator") == {"abandoned": 60}
    for one in await house.rows():
        assert (one.state, one.error, one.ce_clean_at is not None) == ("abandoned", "ce was given up", True)
