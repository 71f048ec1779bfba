"""How an application is found, what it may bring, and that what breaks in one stays there."""

import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from act_core.apps import Application, Part
from act_core.db import arrivals, ledger
from act_core.db.app_tables import make_tables, own_tables
from act_core.db.attempts import Attempt
from act_core.db.bootstrap import tower_id
from act_core.db.models import Base, CeJob
from act_core.db.session import Database
from act_core.errors import AppBroken, ConfigError
from act_core.hooks import BROKEN, bootstrap_apps
from act_core.installed import applications, stages_of
from act_core.jobspec import JobSpec
from act_core.manual import APP as MANUAL
from act_core.monitor.sentences import told
from act_core.reasons import Topic
from act_core.runtime import Counts, Runtime
from act_core.settings.model import ArcSettings, Settings
from act_core.simple.tables import Tables
from act_core.stages import Tower, sweep
from act_core.timetable import STAGES, Stage
from flows.rounds import Window
from tests.flows.probes import Plain

HEAD = """\
from pydantic import BaseModel
from act_core.apps import Application, Part
from act_core.timetable import Stage
async def due(rt): return []
async def run(rt, key): ...
"""
GOOD = (
    HEAD
    + """\
STAGE = Stage("make-widgets", "make widgets")
APP = Application("widgets", stages=(STAGE,), parts=(Part(STAGE.name, "make", due, run),))
"""
)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory for packages; what was imported from it is forgotten afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("mylab"):
            del sys.modules[name]


def named(lab: Path, *names: str, source: str = GOOD, **app: Any) -> Settings:
    (lab / "mylab").mkdir(exist_ok=True)
    (lab / "mylab" / "__init__.py").touch()
    (lab / "mylab" / "widgets.py").write_text(source)
    document = {"modules": {"app": names, "path": [lab]}, **app}
    return Settings.model_validate({"state_dir": lab, "app": document, "lines": {"modules.app": "APP.yaml:3"}})


def test_a_package_is_named_by_its_path_an_installed_one_by_its_name(lab: Path) -> None:
    found = applications(named(lab, "manual", "mylab.widgets", "atlas"))
    assert [app.name for app in found] == ["manual", "widgets", "atlas"]
    assert list(stages_of(found)) == [*STAGES, "make-widgets"]
    assert applications(named(lab, "mylab.widgets:APP"))[0].name == "widgets"


@pytest.mark.parametrize(
    ("source", "says"),
    [
        pytest.param("X = 1", "has no APP", id="no APP"),
        pytest.param("APP = 1", "APP of mylab.widgets is no act_core.apps.Application (int)", id="another thing"),
        pytest.param("import os\nimport nowhere_to_be", "widgets.py:2: ModuleNotFoundError: No", id="its import"),
        pytest.param("x = 1\n1/0", "widgets.py:2: ZeroDivisionError: division by zero", id="its code"),
        pytest.param("def (", "widgets.py:1: SyntaxError: invalid syntax", id="its syntax"),
        pytest.param(HEAD + 'APP = Application("Wid gets")', "'Wid gets' is no name of an application", id="its name"),
        pytest.param(HEAD + 'APP = Application("manual")', "two applications are named 'manual'", id="another's name"),
        pytest.param(
            HEAD + 'APP = Application("w", stages=(Stage("submit", "x"),))',
            "w: the stage 'submit' is one of the tower",
            id="a stage of ours",
        ),
        pytest.param(
            HEAD + 'APP = Application("w", stages=(Stage("Make!", "x"),))',
            "cannot be named 'Make!'",
            id="a stage's name",
        ),
        pytest.param(
            HEAD + 'APP = Application("w", stages=(Stage("make-now", "x"),))', "cannot be named 'make-now'", id="now"
        ),
        pytest.param(
            HEAD + 'APP = Application("w", parts=(Part("mak", "x", due, run),))',
            "a part ('x') is of stage 'mak', which is nobody's",
            id="a part of no stage",
        ),
        pytest.param(
            HEAD + 'APP = Application("w", parts=2 * (Part("submit", "x", due, run),))',
            "w has a part 'x' of stage 'submit', too",
            id="one lease for two",
        ),
    ],
)
def test_what_cannot_be_had_is_said_with_its_place(lab: Path, source: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        applications(named(lab, "manual", "mylab.widgets", source=source))
    assert str(caught.value).startswith("APP.yaml:3: modules.app: ")
    assert says in str(caught.value)


@pytest.mark.parametrize("name", ["manuel", "mylab.gadgets", "nolab.widgets"])
def test_one_that_is_not_there_is_told_with_those_that_are(lab: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=f"no application '{name}'; installed: atlas, manual, simple; modules.path"):
        applications(named(lab, name))


def test_no_path_is_none(lab: Path) -> None:
    with pytest.raises(ConfigError, match=r"'\.\./x' is neither the name of an application nor the dotted path"):
        applications(named(lab, "../x"))


def test_its_own_keys_are_checked_by_its_own_model(lab: Path) -> None:
    source = HEAD + 'class O(BaseModel, extra="forbid"):\n  inbox: str = ""\nAPP = Application("widgets", options=O)'
    assert applications(named(lab, "mylab.widgets", source=source, apps={"widgets": {"inbox": "x"}}))
    with pytest.raises(ConfigError, match=r"unknown key apps\.widgets\.imbox; did you mean inbox\?"):
        applications(named(lab, "mylab.widgets", source=source, apps={"widgets": {"imbox": "x"}}))


def test_the_name_of_an_instance_is_not_for_an_application(lab: Path) -> None:
    settings = named(lab, "mylab.widgets", instances={"widgets": {"panda": {"server": "https://other:1"}}})
    with pytest.raises(ConfigError, match="the name of an application and of an instance"):
        applications(settings)


class Breaking:
    """An application that raises wherever it is asked, and one beside it that does not."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.bad = Application(
            "bad",
            on_news=self.news,
            parts=(Part("make", "look", self.blind, self.fail), Part("make", "break", self.keys, self.fail)),
            stages=(Stage("make", "make"),),
            bootstrap=self.tables,
            archive=self.hook,
            reconcile=self.hook,
            needs=self.needs,
            count=self.tables,
        )
        self.good = Application("good", parts=(Part("make", "do", self.keys, self.work),))

    async def news(self, _rt: Runtime, _rows: Sequence[Attempt]) -> Counts:
        raise KeyError("news")

    async def hook(self, _rt: Runtime) -> Counts:
        raise ConfigError("hook")

    def needs(self, _session: Session, _held: Settings, _now: datetime) -> datetime | None:
        raise KeyError("needs")

    async def blind(self, _rt: Runtime) -> Sequence[str]:
        raise KeyError("due")

    async def keys(self, _rt: Runtime) -> Sequence[str]:
        return ["k"]

    async def fail(self, _rt: Runtime, _key: str) -> Counts:
        raise KeyError("run")

    async def work(self, _rt: Runtime, key: str) -> Counts:
        self.done.append(key)
        return Counts(done=1)

    def tables(self, session: Session) -> None:
        session.execute(text("SELECT nothing FROM nowhere"))


@pytest.fixture
async def house(servers: Any, tmp_path: Path) -> AsyncIterator[Runtime]:
    arc = ArcSettings(db=servers.ready("sqlite", tmp_path / "state"))
    async with Runtime.open(Settings(state_dir=tmp_path / "state", arc=arc)) as opened:
        yield opened


async def test_what_breaks_in_a_part_turns_it_red_and_the_others_go_on(house: Runtime) -> None:
    both = Breaking()
    tower = Tower(house, apps=(both.bad, both.good))
    window = Window(tower, "make", 0, (), Plain())
    await window.run()
    assert both.done == ["k"]
    assert window.counts == {"done": 1}
    assert sorted(window.bugs) == [
        "application bad: make: break k: KeyError: 'run'",
        "application bad: make: what is due to look: KeyError: 'due'",
    ]
    assert await sweep(tower, "make") == {"done": 1, BROKEN: 2}
    for part, key in await tower.due("make"):
        if part.verb == "look":
            with pytest.raises(AppBroken, match="what is due to look"):
                await tower.round(part, key)


async def test_an_application_that_is_named_no_more_while_it_has_jobs_is_told(house: Runtime) -> None:
    job = arrivals.NewJob("manual", "j", JobSpec(executable="x"), frozenset({"ce"}), 1)
    await house.write(arrivals.add_jobs, await house.read(tower_id), [job], house.now())

    async def said() -> list[str]:
        rows = [row for row in await house.read(ledger.standing) if row.topic == Topic.APP]
        return [told(row.code, {"share": row.share, "n": row.n, **row.facts}, house.now()).why for row in rows]

    await Tower(house, apps=(MANUAL,)).house("report")
    assert await said() == []
    await Tower(house, apps=()).house("report")
    assert await said() == ["1 jobs that are not over are of manual, which the configuration does not name any more."]
    await Tower(house, apps=(MANUAL,)).house("report")
    assert await said() == []


async def test_what_breaks_in_a_hook_stops_no_other(house: Runtime) -> None:
    both = Breaking()
    tower = Tower(house, apps=(both.bad, MANUAL))
    jobs = [arrivals.NewJob(name, name, JobSpec(executable="x"), frozenset({"ce"}), 1) for name in ("bad", "manual")]
    await house.write(arrivals.add_jobs, await house.read(tower_id), jobs, house.now())
    await house.write(lambda session: session.execute(update(CeJob).values(news=True)) and None)
    assert await tower.news() == {BROKEN: 1, "news": 1}
    assert await tower.house("clean") == {"errors": 1, BROKEN: 1}, "its needs are not known: nothing is removed"
    assert await tower.house("clean") == {"errors": 1}, "it is asked again in ten minutes"
    assert await tower.house("reconcile-ces") == {"errors": 1}
    assert await tower.house("report") == {"tosubmit": 2}, "its counter fails, and takes nothing else back"


class Own(DeclarativeBase):
    metadata = own_tables()


class Row(Own):
    __tablename__ = "good_rows"
    id: Mapped[int] = mapped_column(primary_key=True)


def test_each_makes_its_own_tables(db: Database) -> None:
    both = Breaking()
    good = replace(both.good, bootstrap=lambda session: make_tables(session, "good", Own.metadata))
    (said,) = bootstrap_apps(db, (both.bad, good, both.good))
    assert said.startswith("application bad: ")
    bootstrap_apps(db, (good,))
    assert db.read(lambda session: session.scalars(text("SELECT count(*) FROM good_rows")).all()) == [0]
    with pytest.raises(ConfigError, match="its table 'good_rows' is to be named other_…"):
        db.write(make_tables, "other", Own.metadata)
    db.write(lambda session: session.execute(text("DROP TABLE good_rows")) and None)
    db.write(lambda session: session.execute(text("CREATE TABLE good_rows (other INTEGER)")) and None)
    (said,) = bootstrap_apps(db, (good,))
    assert said == "application good: the table good_rows is an older one, without id: its bootstrap adds them"
    db.write(lambda session: session.execute(text("DROP TABLE good_rows")) and None)


def test_an_applications_tables_are_none_of_the_engines() -> None:
    assert set(Tables.metadata.tables).isdisjoint(Base.metadata.tables)
    assert all(name.startswith("simple_") for name in Tables.metadata.tables)
