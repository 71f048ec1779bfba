"""What PanDA thinks of us, asked for and told by name."""

import pytest

from act_core.atlas import fetch_jobs, panda_check
from act_core.atlas.instance import server_of
from act_core.atlas.panda_check import line_of, only_handed
from act_core.atlas.reports import Attributes
from act_core.db import ledger
from act_core.errors import ActError, ConfigError, CredentialError, ProtocolError, Transient
from act_core.monitor.explain_ces import line_of as in_sentences
from act_core.reasons import Reason, Topic
from act_core.settings.model import Settings
from act_core.simulators.faults import Kind
from tests.atlas.house import ACQUIRE, BULK, TOWER, House


async def standing(house: House) -> list[str]:
    return [row.code for row in await house.rt.read(ledger.standing) if row.topic == Topic.PANDA]


async def in_ledger(house: House) -> list[str]:
    lines = await house.rt.read(ledger.lines)
    return [line.code for line in reversed(lines) if line.topic == Topic.PANDA]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (Attributes("/CN=robot", ("/atlas/Role=production",), production=True), None),
        (Attributes("/CN=robot", ("/atlas/Role=pilot",), production=False), Reason.PANDA_NO_ROLE),
        (Attributes("", (), production=False), Reason.PANDA_NO_ROLE),
        (CredentialError("expired"), Reason.PANDA_REFUSES),
        (ConfigError("no identity"), Reason.PANDA_REFUSES),
        (Transient("timed out"), Reason.PANDA_AWAY),
        (ProtocolError("no envelope"), Reason.PANDA_AWAY),
    ],
    ids=str,
)
def test_what_is_wrong_has_a_name(said: Attributes | ActError, reason: Reason | None) -> None:
    assert line_of("panda.example", said).reason is reason


@pytest.mark.parametrize(
    ("handedby", "voms", "panda", "only"),
    [
        (("hv-1",), {}, {}, True),
        ((), {}, {}, False),
        (("hv-1",), {"proxypath": "/p"}, {}, False),
        (("hv-1",), {"vo": "atlas"}, {}, False),
        (("hv-1",), {}, {"tokenfile": "/t"}, False),
    ],
    ids=["handed", "not handed", "with a proxy", "with VOMS", "with a token"],
)
def test_who_is_only_handed_jobs_and_is_nobody_for_panda_does_not_ask(
    handedby: tuple[str, ...], voms: dict[str, str], panda: dict[str, str], only: bool
) -> None:
    settings = Settings.model_validate(
        {"state_dir": "/s", "arc": {"voms": voms}, "app": {"panda": panda, "cric": {"handedby": handedby}}}
    )
    assert only_handed(settings) is only


async def test_it_is_asked_at_the_start_and_then_rarely(queue: House) -> None:
    assert await panda_check.due(queue.rt) == [server_of(queue.rt)]
    assert await queue.run("heartbeat") == {}
    for hours, asked in ((5, False), (2, True)):
        queue.later(hours=hours)
        assert bool(await panda_check.due(queue.rt)) == asked
    assert await in_ledger(queue) == []


async def test_without_the_production_role_nothing_is_taken_and_everybody_is_told(
    queue: House, caplog: pytest.LogCaptureFixture
) -> None:
    queue.order(2)
    queue.fqans[TOWER] = ("/atlas/Role=pilot",)
    assert await queue.run("heartbeat") == {"PanDA in trouble": 1}
    assert await standing(queue) == [Reason.PANDA_NO_ROLE]
    assert await queue.run("fetch-jobs") == {}
    assert await fetch_jobs.due(queue.rt) == []
    assert "no production role (/atlas/Role=pilot): no jobs are taken" in caplog.text
    (row,) = [one for one in await queue.rt.read(ledger.standing) if one.topic == Topic.PANDA]
    sentence = in_sentences(row, queue.rt.now()).why
    assert sentence == (
        f"{server_of(queue.rt)} gives {TOWER} no production role, and so takes no reports of it; "
        "it has /atlas/Role=pilot."
    )
    queue.fqans[TOWER] = ("/atlas/Role=production",)
    assert await panda_check.due(queue.rt) == []
    queue.later(minutes=2)
    await queue.run("heartbeat")
    assert await in_ledger(queue) == [Reason.PANDA_NO_ROLE, ""]
    assert await queue.run("fetch-jobs") == {"taken": 2}


@pytest.mark.parametrize(
    ("stage", "path"), [("heartbeat", BULK), ("fetch-jobs", ACQUIRE)], ids=["reports", "acquisitions"]
)
async def test_a_refusal_is_told_and_asked_about_soon(queue: House, stage: str, path: str) -> None:
    await queue.taken()
    await queue.run("heartbeat")
    await queue.change((await queue.rows()).popitem()[0], heartbeat_due_at=queue.rt.now())
    await queue.fault(queue.panda, Kind.ERROR, path=path, status=403)
    assert await queue.run(stage) == {"errors": 1}
    assert await standing(queue) == [Reason.PANDA_REFUSES]
    queue.later(minutes=3)
    await queue.panda.faults.remove()
    await queue.run("heartbeat")
    assert await in_ledger(queue) == [Reason.PANDA_REFUSES, ""]


async def test_a_panda_that_is_away_is_told_once(queue: House) -> None:
    await queue.fault(queue.panda, Kind.DOWN)
    for _ in range(3):
        assert await queue.run("heartbeat") == {"PanDA in trouble": 1}
        queue.later(minutes=2)
    assert await in_ledger(queue) == [Reason.PANDA_AWAY]


async def test_an_outage_alone_is_no_refusal(queue: House) -> None:
    await queue.taken()
    await queue.fault(queue.panda, Kind.ERROR, path=BULK)
    assert await queue.run("heartbeat") == {"errors": 1}
    assert await standing(queue) == []
