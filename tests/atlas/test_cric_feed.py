"""CRIC's download and its last good copy, against the simulated CRIC."""

import json
import os
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from act_core.atlas.cric import parse_queues
from act_core.atlas.cric_feed import Feed, Source, queues_of
from act_core.atlas.cric_feed import fetch_cric as fetch
from act_core.errors import ActError, ConfigError, ProtocolError, Transient
from act_core.settings.app_model import Cric
from act_core.simulators.cric import CricOptions, serve_cric
from act_core.simulators.cric_queues import CeDescription, QueueDescription
from act_core.simulators.faults import FaultRule, Kind
from act_core.simulators.pki import TestPki, server_context
from act_core.simulators.serve import Simulator

FEED = "/api/atlas/pandaqueue/query/?json"
SOON = timedelta(seconds=10)
QUEUE = QueueDescription(name="Q", ces=(CeDescription(name="arc01", endpoint="https://arc01.test.example:443/arex"),))


async def fetch_cric(url: str, ca: Path, timeout: timedelta, last_good: Path) -> Feed[Mapping[str, object]]:
    return await fetch(Source(url, ca, last_good), queues_of, timeout)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPki:
    return TestPki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
async def cric(pki: TestPki) -> AsyncIterator[Simulator]:
    async with await serve_cric(CricOptions((QUEUE,), server_context(pki.host, pki.ca_dir))) as simulator:
        yield simulator


async def test_the_feed_is_kept_and_serves_when_cric_does_not(cric: Simulator, pki: TestPki, tmp_path: Path) -> None:
    last_good = tmp_path / "deep" / "cric.json"
    fresh = await fetch_cric(cric.url + FEED, pki.ca_dir, SOON, last_good)
    assert (fresh.age, fresh.trouble) == (timedelta(0), None)
    assert parse_queues(fresh.content, Cric(), {}, {}).queues["Q"].served
    an_hour_ago = (datetime.now(UTC) - timedelta(hours=1)).timestamp()
    os.utime(last_good, (an_hour_ago, an_hour_ago))
    await cric.faults.add(FaultRule(kind=Kind.DOWN))
    old = await fetch_cric(cric.url + FEED, pki.ca_dir, SOON, last_good)
    assert old.content == fresh.content
    assert timedelta(minutes=59) < old.age < timedelta(minutes=61)
    assert old.trouble
    assert [path.name for path in last_good.parent.iterdir()] == ["cric.json"]


@pytest.mark.parametrize(
    ("fault", "verdict"),
    [
        ({"kind": Kind.ERROR, "status": 500}, Transient),
        ({"kind": Kind.HALF_ANSWER}, Transient),
        ({"kind": Kind.HANG, "seconds": 5}, Transient),
        ({"kind": Kind.MALFORMED_JSON}, ProtocolError),
        ({"kind": Kind.EMPTY}, ProtocolError),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_bad_answer_never_replaces_a_good_one(
    cric: Simulator, pki: TestPki, tmp_path: Path, fault: dict[str, object], verdict: type[ActError]
) -> None:
    last_good = tmp_path / "cric.json"
    await cric.faults.add(FaultRule.model_validate(fault))
    with pytest.raises(verdict):
        await fetch_cric(cric.url + FEED, pki.ca_dir, timedelta(seconds=0.5), last_good)
    last_good.write_text('{"Q": {}}')
    kept = await fetch_cric(cric.url + FEED, pki.ca_dir, timedelta(seconds=0.5), last_good)
    assert (kept.content, last_good.read_text()) == ({"Q": {}}, '{"Q": {}}')
    assert kept.trouble


async def test_a_page_for_people_is_no_feed(cric: Simulator, pki: TestPki, tmp_path: Path) -> None:
    with pytest.raises(ProtocolError, match="not JSON"):
        await fetch_cric(cric.url + "/api/atlas/pandaqueue/query/", pki.ca_dir, SOON, tmp_path / "cric.json")


async def test_a_stranger_is_not_believed(cric: Simulator, tmp_path: Path) -> None:
    with pytest.raises(Transient, match=r"verify failed"):
        await fetch_cric(cric.url + FEED, TestPki(tmp_path / "other").ca_dir, SOON, tmp_path / "cric.json")
    with pytest.raises(ConfigError):
        await fetch_cric(cric.url + FEED, tmp_path / "nowhere", SOON, tmp_path / "cric.json")


async def test_the_feed_may_be_a_file(tmp_path: Path) -> None:
    source = tmp_path / "cric_pandaqueues.json"
    with pytest.raises(Transient, match="No such file"):
        await fetch_cric(str(source), tmp_path, SOON, tmp_path / "kept.json")
    source.write_text(json.dumps({"Q": {}}))
    assert (await fetch_cric(str(source), tmp_path, SOON, tmp_path / "kept.json")).content == {"Q": {}}
    source.write_text("{}")
    kept = await fetch_cric(str(source), tmp_path, SOON, tmp_path / "kept.json")
    assert (kept.content, bool(kept.trouble)) == ({"Q": {}}, True)
