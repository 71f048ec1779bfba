"""A configuration that changes while a tower is up: in force at the next round, or refused with the last good kept."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from act_core.apps import Application, Part
from act_core.ce.base import ComputingElement
from act_core.db import ces, ledger, listing, queries
from act_core.db.arrivals import NewJob, add_jobs
from act_core.db.session import Database
from act_core.jobspec import JobSpec
from act_core.live import Live
from act_core.monitor.sentences import told
from act_core.reasons import Topic
from act_core.runtime import Counts, Runtime
from act_core.settings import BadSettings, Settings, load_settings, taken
from act_core.settings.taken import said
from act_core.stages import Tower, sweep
from tests.fixtures.databases import Servers

NOWHERE = "https://127.0.0.1:9/arex"
HERE = "here: {{kind: local, maxjobs: {}, options: {{slots: {}}}}}"


class Files:
    """The two files of a tower, in an environment of their own."""

    def __init__(self, root: Path) -> None:
        self.root, self.state_dir = root, root / "state"
        self.env = {
            "HOME": str(root),
            "ACT_STATE_DIR": str(self.state_dir),
            "ACTCONFIGARC": str(root / "arc.yaml"),
            "ACTCONFIGAPP": str(root / "app.yaml"),
        }
        self.write(app="modules: {app: [manual]}")

    def write(self, arc: str | None = None, app: str | None = None) -> None:
        """As editors do it: a new file takes the place of the old one."""
        for name, words in (("arc.yaml", arc), ("app.yaml", app)):
            if words is not None:
                fresh = self.root / f".{name}.swp"
                fresh.write_text(words)
                fresh.replace(self.root / name)

    def sites(self, maxjobs: int = 5, slots: int = 2, more: str = "") -> None:
        self.write(f"sites:\n  {HERE.format(maxjobs, slots)}\n{more}")


@pytest.fixture
def files(tmp_path: Path) -> Files:
    made = Files(tmp_path)
    made.sites()
    return made


@pytest.fixture
def live(files: Files) -> Live:
    return Live.open(files.env)


@pytest.fixture
def tables(servers: Servers, files: Files) -> Iterator[Database]:
    servers.ready("sqlite", files.state_dir)
    db = Database(Settings(state_dir=files.state_dir))
    yield db
    db.close()


@pytest.fixture
async def tower(
    tables: Database, live: Live, files: Files, end_all: Callable[[ComputingElement, Path], Awaitable[None]]
) -> AsyncIterator[Tower]:
    live.tell(tables)
    rt = await asyncio.to_thread(Runtime.open, live.holds, tables)
    async with Tower(rt, holds=lambda: live.holds) as made:
        yield made
        await end_all(await rt.ce("here"), files.state_dir / "local" / "here")


async def changed(live: Live, db: Database) -> None:
    """What the worker does when the files are others."""
    await asyncio.to_thread(live.look, True)
    await asyncio.to_thread(live.tell, db)


async def test_limits_hold_at_the_next_round(tower: Tower, live: Live, tables: Database, files: Files) -> None:
    files.sites(maxjobs=0)
    await changed(live, tables)
    job = NewJob("manual", "j1", JobSpec(executable="/bin/true"), frozenset({"here"}), 3)
    await tower.rt.write(add_jobs, tower.rt.tower, [job], tower.rt.now())

    async def state() -> str:
        (row,) = await tower.rt.read(listing.jobs, listing.Filter(), 10)
        return str(row.state)

    await sweep(tower, "submit")
    assert await state() == "tosubmit"
    files.sites(maxjobs=5)
    await changed(live, tables)
    await sweep(tower, "submit")
    assert await state() != "tosubmit"


async def test_a_ce_is_opened_anew_where_its_own_keys_changed(
    tower: Tower, live: Live, tables: Database, files: Files
) -> None:
    before = await tower.rt.ce("here")
    files.sites(more="jobs: {queueoffset: 7}")
    await changed(live, tables)
    await tower.due("submit")
    assert tower.rt.settings.arc.jobs.queueoffset == 7
    assert await tower.rt.ce("here") is before
    files.sites(slots=3)
    await changed(live, tables)
    await tower.due("submit")
    assert await tower.rt.ce("here") is not before


async def test_the_breaker_and_an_endpoint_change(tower: Tower, live: Live, tables: Database, files: Files) -> None:
    far = f"  far: {{endpoint: '{NOWHERE}'}}\nvoms: {{cacertdir: {files.root}, proxypath: {files.root}/none}}\n"
    files.sites(more=f"{far}breaker: {{failures: 9}}")
    await changed(live, tables)
    await sweep(tower, "reconcile-ces", ["far"])

    async def row() -> Any:
        return await tower.rt.read(queries.ce_row, "far")

    failures = (await row()).failures
    assert failures > 0
    assert (await row()).retry_at is None
    files.sites(more=f"{far.replace('/arex', '/other')}breaker: {{failures: 1}}")
    await changed(live, tables)
    assert (await row()).endpoint.endswith("/other")
    await sweep(tower, "reconcile-ces", ["far"])
    assert (await row()).retry_at is not None
    files.sites()
    await changed(live, tables)
    assert (await row()).mode == "drain"


class Client:
    """A part of an application that tells whether it was closed."""

    def __init__(self, pause: float) -> None:
        self.pause, self.closed = pause, False

    async def close(self) -> None:
        self.closed = True


async def test_what_a_round_uses_is_closed_when_the_round_is_over(
    tower: Tower, live: Live, tables: Database, files: Files
) -> None:
    used: list[Client] = []
    began, goes_on = asyncio.Event(), asyncio.Event()

    async def due(_rt: Runtime) -> list[str]:
        return ["k"]

    async def run(rt: Runtime, _key: str) -> Counts:
        def make(settings: Settings) -> Client:
            return Client(float(settings.arc.brake.floor))

        used.append(rt.kept(Client, make, of=lambda settings: settings.arc.brake))
        began.set()
        await goes_on.wait()
        return Counts()

    part = Part("clean", "probe", due, run)
    tower.apps = (*tower.apps, Application("probe", parts=(part,)))
    round_ = asyncio.create_task(tower.round(part, "k"))
    await began.wait()
    files.sites(more="brake: {floor: 77}")
    await changed(live, tables)
    await tower.due("clean")
    assert not used[0].closed
    goes_on.set()
    await round_
    await tower.due("clean")
    assert used[0].closed
    await tower.round(part, "k")
    assert [one.pause for one in used] == [50.0, 77.0]


async def test_another_application_has_its_parts_at_once(
    tower: Tower, live: Live, tables: Database, files: Files
) -> None:
    assert [app.name for app in tower.apps] == ["manual"]
    files.write(app="modules: {app: [manual, atlas]}\npanda: {server: 'https://127.0.0.1:9'}")
    await changed(live, tables)
    await tower.due("submit")
    assert [app.name for app in tower.apps] == ["manual", "atlas"]
    assert any(part.verb == "fetch jobs" or part.stage == "fetch-jobs" for part in tower.parts("fetch-jobs"))


def standing(db: Database) -> list[str]:
    """The sentences of what stands against the configuration."""
    rows = [row for row in db.read(ledger.standing) if row.topic == Topic.CONFIG.value]
    return [told(row.code, {"share": row.share, **row.facts}, db.clock()).why for row in rows]


def test_a_bad_file_is_refused_and_the_last_good_one_kept(
    live: Live, tables: Database, files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    live.tell(tables)
    held = live.holds
    files.sites(more="jobs: {queueofset: 7}\nbreaker: {failures: many}")
    assert not live.look(hurry=True)
    live.tell(tables)
    assert live.holds is held
    (words,) = standing(tables)
    assert "arc.yaml:3: unknown key jobs.queueofset; did you mean queueoffset?" in words
    state = said(files.state_dir)
    assert state is not None
    assert len(state["problems"]) == 2
    assert sum("arc.yaml:" in record.getMessage() for record in caplog.records) == 2
    files.sites(more="jobs: {queueoffset: 7}")
    assert live.look(hurry=True)
    live.tell(tables)
    assert standing(tables) == []
    assert live.holds.arc.jobs.queueoffset == 7


def test_what_no_back_end_takes_is_refused_too(live: Live, files: Files) -> None:
    files.write(arc="sites: {a: {kind: none-such}, b: {kind: local, options: {slotz: 1}}}")
    assert not live.look(hurry=True)
    assert len(live.problems) == 2


def test_what_wants_a_restart_is_named(
    live: Live, tables: Database, files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    files.sites(more="prefect: {pause: 4}\nbreaker: {failures: 9}\ndb: {password: hunter2}")
    with caplog.at_level(logging.INFO):
        assert live.look(hurry=True)
    live.tell(tables)
    assert (live.holds.arc.breaker.failures, live.holds.arc.prefect.pause) == (9, 1.0)
    (words,) = standing(tables)
    assert "db.password, prefect.pause" in words
    assert "hunter2" not in caplog.text
    assert any("breaker.failures: 3 → 9" in record.getMessage() for record in caplog.records)
    files.sites(more="breaker: {failures: 9}")
    live.look(hurry=True)
    live.tell(tables)
    assert standing(tables) == []


def test_a_file_that_is_being_written_is_left_alone_for_a_look(live: Live, files: Files) -> None:
    files.sites(maxjobs=6)
    assert not live.look()
    files.sites(maxjobs=7)
    assert not live.look()
    assert live.look()
    assert live.holds.arc.sites["here"].maxjobs == 7
    (files.root / "arc.yaml").unlink()
    assert not live.look()
    assert not live.problems
    assert not live.look()
    assert "there is no such file" in live.problems[0]


def test_a_worker_that_is_started_again_over_a_bad_file_works_with_the_last_good_one(
    live: Live, tables: Database, files: Files
) -> None:
    files.sites(maxjobs=6, more="db: {password: hunter2}")
    live.look(hurry=True)
    live.tell(tables)
    files.write(arc="sites: [")
    again = Live.open(files.env)
    assert again.holds.arc.sites["here"].maxjobs == 6
    assert again.problems
    again.tell(tables)
    assert len(standing(tables)) == 1
    assert {path.stat().st_mode & 0o777 for path in (files.state_dir / "config").iterdir()} == {0o600}
    assert "hunter2" not in (files.state_dir / taken.FILE).read_text()
    json.loads((files.state_dir / taken.FILE).read_text())
    with pytest.raises(BadSettings):
        load_settings(env=files.env)


def test_without_a_last_good_one_a_bad_file_ends_the_worker(files: Files) -> None:
    files.write(arc="sites: [")
    with pytest.raises(BadSettings):
        Live.open(files.env)


def test_ces_that_come_are_known_at_once(live: Live, tables: Database, files: Files) -> None:
    live.tell(tables)
    files.write(arc="sites: {here: {kind: local, options: {slots: 2}}, there: {kind: local}}")
    assert live.look(hurry=True)
    live.tell(tables)
    assert [row.name for row in tables.read(ces.all_ces)] == ["here", "there"]
