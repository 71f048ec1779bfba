"""Several instances in one tower: two PanDA servers that give the same numbers to jobs of queues of the same name."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from act_core.atlas import bind, fetch_jobs, refresh, refresh_downtimes
from act_core.atlas.joblog import links
from act_core.atlas.logplaces import area
from act_core.cli.stories import story
from act_core.db.bootstrap import open_tables
from act_core.db.ces import all_ces, sync_ces
from act_core.db.downtimes import Downtime, coming, sync_downtimes
from act_core.db.models import CeJob
from act_core.db.panda_models import PandaRow
from act_core.errors import BadInput
from act_core.settings.app_model import AppSettings, Instance
from act_core.settings.instances import settings_of
from act_core.settings.model import Settings, Site
from act_core.simulators.cric_http import QUEUES, Cric
from act_core.simulators.cric_queues import CeDescription, QueueDescription, entry_of
from act_core.simulators.faults import Kind
from act_core.simulators.panda import Panda, PandaOptions, build_panda
from act_core.simulators.panda_jobs import JobOrder
from act_core.simulators.panda_records import Patience
from act_core.simulators.pki import TestPki, server_context
from act_core.simulators.serve import Simulator
from act_core.stages import Tower
from tests.atlas.house import CE, QUEUE, House

OTHER = "doma"
PANDA = PandaOptions(Patience(adder=timedelta(0)))


@dataclass
class Two:
    """A tower with two instances; `other`: the second one's PanDA, `server`: what its rows are keyed by."""

    house: House
    other: Panda
    server: str


@pytest.fixture
async def two(atlas: House, grid_pki: TestPki) -> AsyncIterator[Two]:
    tls, other, feed = server_context(grid_pki.host, grid_pki.ca_dir), build_panda(PANDA), Cric(())
    ce = CeDescription(name=CE, endpoint="localhost", flavour="LOCAL-CE")
    feed.entries[QUEUE] = entry_of(QueueDescription(name=QUEUE, ces=(ce,)))
    async with (
        Simulator(other.app, other.control, tls=tls) as server,
        Simulator(feed.app(), feed.control(), tls=tls) as cric,
    ):
        own = {"panda": {"server": server.url}, "cric": {"server": f"{cric.url}{QUEUES}?json"}}
        app = atlas.rt.settings.app.model_copy(update={"instances": {OTHER: Instance.model_validate(own)}})
        atlas.rt.settings = atlas.rt.settings.model_copy(update={"app": app})
        atlas.tower = Tower(atlas.rt)
        await atlas.serve()
        yield Two(atlas, other, server.url.removeprefix("https://"))


async def rows(two: Two) -> dict[tuple[str, int], str]:
    """State of each PanDA job, by server and number."""
    found = await two.house.rt.read(lambda session: session.scalars(select(PandaRow)).all())
    return {(row.server, row.panda_id): row.state for row in found}


async def ended(two: Two, app: str) -> None:
    """The attempts of an application have failed, and it has heard of it."""
    values = {"state": "donefailed", "news": True, "version": CeJob.version + 1, "error": "it broke"}
    asked = update(CeJob).where(CeJob.app == app).values(**values)
    await two.house.rt.write(lambda session: session.execute(asked) and None)
    await two.house.tower.news()


async def test_each_server_hears_of_its_own_jobs_and_of_no_other(two: Two) -> None:
    (number,) = two.house.order()
    assert two.other.books.create(JobOrder(queue=QUEUE)) == [number]
    await two.house.run("fetch-jobs", "translate", "heartbeat")
    first = two.house.panda.url.removeprefix("https://")
    assert await rows(two) == {(first, number): "starting", (two.server, number): "starting"}
    attempts = await two.house.rt.read(lambda session: session.scalars(select(CeJob)).all())
    assert sorted(one.app for one in attempts) == ["atlas", OTHER]
    await ended(two, OTHER)
    await two.house.run("heartbeat")
    two.other.books.tick(two.other.clock.now())
    assert (two.other.books.jobs[number].status, two.house.book(number).status) == ("failed", "starting")
    assert await rows(two) == {(first, number): "starting", (two.server, number): "closed"}


async def test_each_instance_has_its_logs_in_a_place_of_its_own(two: Two) -> None:
    two.house.configure(joblog={"urlprefix": "https://logs.example"})
    two.house.rt._views.clear()  # made of other settings
    (number,) = two.house.order()
    two.other.books.create(JobOrder(queue=QUEUE))
    await two.house.run("fetch-jobs", "translate")
    for app in ("atlas", OTHER):
        await ended(two, app)
    await two.house.run("heartbeat")
    two.house.later(seconds=1)
    assert (await two.house.run("clean"))["retired"] == 2
    day = f"{two.house.rt.now():%Y-%m-%d}"
    for settings, url in zip(two.house.rt.settings.everybody(), ("", f"{OTHER}/"), strict=True):
        found = await two.house.rt.read(links, settings, f"{number}.1")
        assert found[-1]["url"] == f"https://logs.example/{url}{day}/{QUEUE}/{number}.story"
        assert found[-1]["file"] == str(area(settings) / day / QUEUE / f"{number}.story")
        words = await asyncio.to_thread(Path(found[-1]["file"]).read_text)
        assert f"server           {settings.app.panda.server.removeprefix('https://')}" in words
        assert "state            closed" in words


async def test_a_server_in_trouble_is_the_others_none(two: Two) -> None:
    (number,) = two.house.order()
    two.other.books.create(JobOrder(queue=QUEUE))
    await two.house.fault(two.house.panda, Kind.ERROR, status=503)
    await two.house.run("fetch-jobs")
    assert list(await rows(two)) == [(two.server, number)]


async def test_a_queue_that_one_feed_names_no_longer_stays_the_others(two: Two) -> None:
    del two.house.cric_feed.entries[QUEUE]
    await two.house.serve(name="ANOTHER")
    (number,) = two.other.books.create(JobOrder(queue=QUEUE))
    await two.house.run("fetch-jobs")
    assert list(await rows(two)) == [(two.server, number)]


async def test_the_longest_name_has_its_place_in_the_tables(atlas: House) -> None:
    longest = "a" * 11
    AppSettings.model_validate({"instances": {longest: {"panda": {"server": "https://x"}}}})
    seen, now = atlas.rt.settings.seen_by(longest), atlas.rt.now()
    sites = {"arc1": Site(endpoint="https://arc1.example/arex", kind="arc_rest")}
    await atlas.rt.write(sync_ces, sites, refresh.owner_of(seen).origin, now)
    announced = [Downtime("arc1", now, now + timedelta(hours=1))]
    await atlas.rt.write(sync_downtimes, refresh_downtimes.origin_of(seen), announced)
    assert await atlas.rt.read(coming, now) == announced
    assert {row.origin for row in await atlas.rt.read(all_ces)} >= {f"cric {longest}"}


def test_keys_that_are_not_set_are_the_common_ones() -> None:
    app = AppSettings.model_validate(
        {
            "panda": {"server": "https://one:25443", "minjobs": 7, "schedulerid": "act-1", "sites": {"Q": {}}},
            "cric": {"jsonfilename": "/var/lib/cric.json"},
            "joblog": {"urlprefix": "https://logs.example.org", "dir": "/srv/logs"},
            "instances": {OTHER: {"panda": {"server": "https://two:25443", "schedulerid": "act-2"}}},
        }
    )
    own = settings_of(app, OTHER)
    assert (own.panda.server, own.panda.schedulerid, own.panda.minjobs) == ("https://two:25443", "act-2", 7)
    assert (own.panda.sites, own.cric.jsonfilename) == ({}, None)
    assert (own.joblog.urlprefix, own.joblog.dir) == ("https://logs.example.org/doma", Path("/srv/logs/doma"))
    assert settings_of(app, "atlas") is app


def test_an_instance_keeps_its_files_apart() -> None:
    settings = Settings(state_dir=Path("/state"))
    assert (settings.app_dir, settings.seen_by(OTHER).app_dir) == (Path("/state"), Path("/state/instances/doma"))


@pytest.mark.parametrize(
    ("instances", "words"),
    [
        ({OTHER: {}}, "needs a panda.server of its own"),
        ({OTHER: {"panda": {"server": "https://one"}}}, "is that of panda.server"),
        ({"a": {"panda": {"server": "https://x"}}, "b": {"panda": {"server": "https://x"}}}, "is that of a"),
        ({"manual": {"panda": {"server": "https://x"}}}, "is an application"),
        ({"Not a name": {"panda": {"server": "https://x"}}}, "match pattern"),
        ({"a" * 12: {"panda": {"server": "https://x"}}}, "match pattern"),
    ],
)
def test_instances_that_cannot_be_told_apart_are_refused(instances: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        AppSettings.model_validate({"panda": {"server": "https://one"}, "instances": instances})


async def test_what_waits_for_one_server_bounds_nothing_that_is_taken_from_the_other(two: Two) -> None:
    two.house.configure(panda={"minjobs": 3})
    two.house.rt._views.clear()  # made of other settings
    two.house.order(3)
    two.other.books.create(JobOrder(queue=QUEUE, n=3))
    await fetch_jobs.fetch_jobs(two.house.rt, QUEUE)
    await bind.bind(two.house.rt, QUEUE)
    await two.house.run("fetch-jobs")
    assert sum(server == two.server for server, _ in await rows(two)) == 3


async def test_a_job_of_both_is_shown_once_it_is_said_whose(two: Two) -> None:
    (number,) = two.house.order()
    two.other.books.create(JobOrder(queue=QUEUE))
    await two.house.run("fetch-jobs", "translate")
    settings = two.house.rt.settings

    def shown() -> str:
        with closing(open_tables(settings)) as db:
            for one in (f"{number}.1", str(number)):
                with pytest.raises(BadInput, match=f"{number}.1 is a job of atlas and of doma: --app"):
                    story(db, settings, one)
            return str(story(db, settings, f"{number}.1", OTHER)["app"])

    assert await asyncio.to_thread(shown) == OTHER
