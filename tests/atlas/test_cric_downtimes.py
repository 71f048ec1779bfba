"""CRIC's downtimes: read in any shape, matched to CEs by host or site; what is bad is named, what is known is kept."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from act_core.atlas.cric_downtimes import Downtimes, feed_of, matched, parse_downtimes
from act_core.atlas.refresh_downtimes import address
from act_core.db.downtimes import Downtime
from act_core.db.models import Ce
from act_core.db.policy_models import DowntimeRow
from act_core.errors import ProtocolError
from act_core.settings.app_model import AppSettings
from act_core.settings.model import Settings
from act_core.simulators.cric_queues import CeDescription
from act_core.simulators.faults import Kind
from tests.atlas.house import House

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
START, END = NOW + timedelta(hours=1), NOW + timedelta(hours=9)
REFRESH = "refresh-queues"


def entry(**fields: Any) -> dict[str, Any]:
    said = {"start_time": "2026-11-21T13:00:00", "end_time": "2026-11-21T21:00:00", "severity": "OUTAGE"}
    return said | {"classification": "SCHEDULED", "description": "new switches"} | fields


def parsed(feed: object) -> Downtimes:
    return parse_downtimes(feed_of(json.dumps(feed)), NOW)


@pytest.mark.parametrize(
    "feed",
    [
        {"SITE-A": {"77": entry()}},
        {"SITE-A": [entry()]},
        {"77": entry(rcsite="SITE-A")},
        [entry(site="SITE-A")],
        [[entry(site="SITE-A")]],
        [entry(site="SITE-A", start_time=START.timestamp(), end_time="2026-11-21 22:00+01:00")],
        [{"site": "SITE-A", "start": str(START), "end": f"{END:%Y-%m-%dT%H:%M:%SZ}", "severity": "outage"}],
    ],
    ids=["by site and id", "by site", "by id", "a list", "lists", "other times", "other names"],
)
def test_a_downtime_is_read_in_any_shape(feed: object) -> None:
    found = parsed(feed)
    assert found.problems == ()
    (one,) = found.announced
    assert (one.site, one.start, one.end, one.hosts) == ("SITE-A", START, END, frozenset())
    assert one.reason.startswith("SITE-A")


@pytest.mark.parametrize(
    ("fields", "hosts"),
    [
        ({"affected_services": "ARC-CE"}, ()),
        ({"affected_services": "org.nordugrid.ARC-CE, SRM"}, ()),
        ({"endpoint": "https://arc01.site.example:443/arex"}, ("arc01.site.example",)),
        ({"hostname": "ARC01.site.example"}, ("arc01.site.example",)),
        ({"services": [{"endpoint": "a.b.example:9619"}, "c.b.example"]}, ("a.b.example", "c.b.example")),
        ({"affected_services": {"1": {"type": "CE", "host": "a.b.example"}}}, ("a.b.example",)),
    ],
    ids=str,
)
def test_what_is_down(fields: dict[str, Any], hosts: tuple[str, ...]) -> None:
    (one,) = parsed({"S": {"1": entry(**fields)}}).announced
    assert one.hosts == frozenset(hosts)


@pytest.mark.parametrize(
    "fields",
    [
        {"severity": "WARNING"},
        {"severity": "at_risk"},
        {"affected_services": "SRM, webdav, XRootD"},
        {"end_time": "2026-11-21T11:59:59", "start_time": "2026-11-20T11:59:59"},
    ],
    ids=str,
)
def test_what_stops_no_submission(fields: dict[str, Any]) -> None:
    assert parsed({"S": {"1": entry(**fields)}}) == Downtimes((), ())


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (entry(start_time="tomorrow"), "'tomorrow' is no time"),
        (entry(end_time=None), "'None' is no time"),
        (entry(end_time=[1]), "no time"),
        (entry(start_time=1e30), "no time"),
        (entry(start_time="1066-10-14"), "no time of ours"),
        (entry(severity="strange"), "severity 'strange'"),
        (entry(severity=["OUTAGE"]), "severity"),
        (entry(severity=None), "severity ''"),
        (entry(end_time="2026-11-21T12:00:00"), "ends before it begins"),
        ({"severity": "OUTAGE"}, "start_time"),
        ("text", "valid dictionary"),
        (7, "valid dictionary"),
    ],
    ids=lambda value: str(value)[-40:],
)
def test_a_bad_one_is_named_and_the_others_live(bad: object, words: str) -> None:
    found = parsed({"S": {"1": bad, "2": entry()}})
    assert len(found.announced) == 1
    (problem,) = found.problems
    assert problem.startswith("downtime 'S 1'")
    assert words in problem


def test_one_of_nobody_is_bad() -> None:
    assert "neither a site nor an endpoint" in parsed([entry()]).problems[0]


@pytest.mark.parametrize("text", ["", "<html>", '"text"', "7", "null"])
def test_what_is_no_feed(text: str) -> None:
    with pytest.raises(ProtocolError):
        feed_of(text)


def test_a_deep_entry_ends() -> None:
    deep: Any = "x.y.example"
    for _ in range(50):
        deep = [deep]
    assert parsed({"S": {"1": entry(services=deep)}}).announced[0].hosts == set()


CES = {"arc": "https://arc01.site.example:443/arex", "htc": "htc.site.example:9619", "here": "localhost"}


def test_it_is_matched_by_host_or_else_by_site() -> None:
    feed = {
        "SITE": {"1": entry(), "2": entry(endpoint="arc01.site.example", end_time="2026-11-22T00:00:00")},
        "ELSEWHERE": {"3": entry(), "4": entry(host="unknown.example")},
    }
    found = matched(parsed(feed).announced, CES, {"SITE": ["arc", "htc", "gone"]})
    later = datetime(2026, 11, 22, tzinfo=UTC)
    assert {(one.ce, one.start, one.end) for one in found} == {("arc", START, later), ("htc", START, END)}


@pytest.mark.parametrize(
    ("server", "said", "where"),
    [
        ("https://c.example/api/atlas/x/?json", None, "https://c.example/api/core/downtime/query/?json"),
        ("https://c.example/api/atlas/x/?json", "", ""),
        ("https://c.example/api/atlas/x/?json", "https://d.example/?json", "https://d.example/?json"),
        ("/cvmfs/cric.json", None, ""),
    ],
)
def test_where_they_are_read(server: str, said: str | None, where: str) -> None:
    app = AppSettings.model_validate({"cric": {"server": server, "downtimes": said}})
    assert address(Settings(state_dir=Path("s"), app=app)) == where


ARC = CeDescription(name="arc01", endpoint="https://arc01.test.example:443/arex", batch_queue="grid")
NAME = "arc01.test.example/grid"


async def rows(house: House) -> dict[str, str]:
    question = select(DowntimeRow.ce, DowntimeRow.origin)
    return dict(await house.rt.read(lambda session: session.execute(question).tuples().all()))


def announce(house: House, **fields: Any) -> None:
    now = house.rt.now()
    times = {"start_time": f"{now + timedelta(hours=1)}", "end_time": f"{now + timedelta(hours=5)}"}
    house.cric_feed.downtimes = {"TEST-SITE": {"1": entry(**times | fields)}}


async def test_they_come_into_the_table_and_go(atlas: House) -> None:
    await atlas.serve(name="ARC", ces=(ARC,))
    announce(atlas, affected_services="ARC-CE")
    counts = await atlas.run(REFRESH)
    assert (counts["downtimes"], counts["errors"]) == (1, 0)
    assert await rows(atlas) == {NAME: "cric"}
    atlas.cric_feed.downtimes = {}
    await atlas.run(REFRESH)
    assert await rows(atlas) == {}


async def test_one_that_has_begun_stops_the_ce(atlas: House) -> None:
    await atlas.serve(name="ARC", ces=(ARC,))
    announce(atlas, start_time=f"{atlas.rt.now() - timedelta(minutes=1)}", hostname="arc01.test.example")
    await atlas.run(REFRESH, "submit")
    question = select(Ce.mode, Ce.mode_owner).where(Ce.name == NAME)
    held = await atlas.rt.read(lambda session: session.execute(question).one())
    assert tuple(held) == ("stop", "downtime")


@pytest.mark.parametrize("kind", [Kind.HALF_ANSWER, Kind.ERROR, Kind.MALFORMED_JSON])
async def test_a_feed_that_vanished_keeps_what_is_known_and_stops_no_other(atlas: House, kind: Kind) -> None:
    await atlas.serve(name="ARC", ces=(ARC,))
    announce(atlas)
    await atlas.run(REFRESH)
    await atlas.fault(atlas.cric, kind, path="/api/core/downtime/query/")
    await atlas.serve(name="NEW", ces=(ARC,))
    assert await rows(atlas) == {NAME: "cric"}
    assert (await atlas.queue("NEW")).served


async def test_the_queues_come_in_where_downtimes_never_did(atlas: House) -> None:
    await atlas.fault(atlas.cric, Kind.ERROR, path="/api/core/downtime/query/")
    await atlas.serve(name="ARC", ces=(ARC,))
    assert (await atlas.queue("ARC")).served
    assert (await atlas.run(REFRESH))["errors"] == 1


def test_of_two_that_begin_together_the_longer_one_counts() -> None:
    both = [entry(end_time="2026-11-21T21:00:00"), entry(end_time="2026-11-21T15:00:00")]
    (one,) = matched(parsed({"SITE": both}).announced, CES, {"SITE": ["arc"]})
    assert one == Downtime("arc", START, END, reason="SITE SCHEDULED new switches")
