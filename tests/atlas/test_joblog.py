"""Each job has its story, whatever became of it; logs are lost before jobs are."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from act_core.atlas import joblog
from act_core.atlas.logplaces import area
from act_core.atlas.story import story
from act_core.cli.stories import story as shown
from act_core.db.attempts import as_attempt, attempts
from act_core.db.bootstrap import open_tables
from act_core.db.claims import settle
from act_core.db.histories import histories
from act_core.db.ledger import Line
from act_core.decisions import Move
from act_core.reasons import Reason, Topic
from act_core.states import CeState, PandaState
from tests.atlas.house import BOOKED, CE, House
from tests.atlas.statements import heard_statements

ROUND = ("fetch-jobs", "translate", "submit", "sweep-status", "fetch-validate", "heartbeat", "clean")
URL = "https://logs.example/act"


@pytest.fixture
def logged(queue: House) -> House:
    """A tower that publishes logs."""
    queue.configure(joblog={"urlprefix": URL})
    return queue


def published(house: House) -> dict[str, str]:
    """Texts by path in the area."""
    root = area(house.rt.settings)
    return {str(path.relative_to(root)): path.read_text() for path in sorted(root.rglob("*")) if path.is_file()}


async def folder(house: House, number: int) -> str:
    return f"{(await house.row(number)).created:%Y-%m-%d}/TEST"


async def told(house: House, number: int) -> str:
    return published(house)[f"{await folder(house, number)}/{number}.story"]


async def test_a_failed_job_has_its_logs_and_its_story(logged: House) -> None:
    (number,) = await logged.bound()
    await logged.came_home(number, {"log.4711": b"the pilot says", "gmlog/errors": b"the CE says"})
    await logged.moved(number, "donefailed", ce=CE, node="wn7", error="out of memory; token=hush", exit_code=9)
    await logged.tower.news()
    where = f"{await folder(logged, number)}/{number}"
    found = published(logged)
    assert set(found) == {f"{where}.out", f"{where}.log", f"{where}.story"}
    assert (found[f"{where}.out"], found[f"{where}.log"]) == ("the pilot says", "the CE says")
    text = found[f"{where}.story"]
    for words in (f"PanDA job {number}", "queue TEST (managed)", "donefailed at here", "wn7", "exit code        9"):
        assert words in text
    assert "failed; pilot error 1212: out of memory; token=***, until PanDA takes it" in text
    assert "hush" not in text


@pytest.mark.parametrize("state", ["lost", "cancelled", "abandoned", "donefailed"])
async def test_a_job_of_which_nothing_came_home_has_a_story_and_a_word_where_panda_links_to(
    logged: House, state: str
) -> None:
    (number,) = await logged.bound()
    await logged.moved(number, state, ce=CE)
    await logged.tower.news()
    await logged.run("heartbeat")
    where = f"{await folder(logged, number)}/{number}"
    assert str(logged.book(number).columns["pilotID"]).startswith(f"{URL}/{where}.out|")
    assert f"is in {number}.story" in published(logged)[f"{where}.out"]
    assert f"Attempt 1: {state} at {CE}" in await told(logged, number)


async def step(house: House, to: CeState) -> None:
    """The engine moves the only attempt."""

    def move(session: Session) -> None:
        (one,) = [as_attempt(row) for row in session.execute(attempts())]
        settle(session, {one: Move(to, "so it is")}, house.rt.now(), "test")

    await house.rt.write(move)


async def test_every_attempt_event_and_decision_is_in_it_and_at_last_what_panda_took(logged: House) -> None:
    (number,) = await logged.bound()
    for state in (CeState.SUBMITTING, CeState.SUBMITTED, CeState.LOST):
        await step(logged, state)
    attempt = await logged.attempt(number)
    facts = {"ce": CE, "why": "somebody", "rule": "r"}
    await logged.rt.note([Line(Topic.CREDENTIAL, Reason.PROXY_SHORT, job_id=attempt.id, facts=facts)])
    await logged.tower.news()
    assert "until PanDA takes it" in await told(logged, number)
    assert "PanDA was told   nothing yet" in await told(logged, number)
    where = await folder(logged, number)
    await logged.run("heartbeat")
    logged.later(seconds=1)
    assert (await logged.run("clean"))["retired"] == 1
    text = published(logged)[f"{where}/{number}.story"]
    assert "state            closed" in text
    assert "PanDA was told   failed at 20" in text
    assert "until PanDA takes it" not in text
    assert "tosubmit → submitting" in text
    assert "submitted → lost  so it is (test)" in text
    assert "decided: " in text


async def test_a_job_that_never_went_to_a_ce_has_a_story_too(logged: House) -> None:
    (number,) = await logged.taken(inputs=1, extra={"inFiles": "pandaJobData.out"})
    await logged.run("translate", "heartbeat")
    text = await told(logged, number)
    assert "No attempt was made" in text
    assert "is named twice" in text
    assert str(logged.book(number).columns["pilotID"]).startswith(f"{URL}/{await folder(logged, number)}/{number}.out|")


async def test_users_jobs_lie_apart_and_are_not_for_all(logged: House) -> None:
    (number,) = await logged.bound(kind="analysis")
    await logged.came_home(number, {"log.4711": b"the pilot says"})
    await logged.moved(number, "donefailed", ce=CE)
    await logged.tower.news()
    root = area(logged.rt.settings)
    assert {name.split("/")[0] for name in published(logged)} == {"private-jobs"}
    assert {path.stat().st_mode & 0o007 for path in (root / "private-jobs").rglob("*")} == {0}
    assert f'"{URL}/private-jobs/' in str((await logged.row(number)).report)


async def test_nobody_publishes_users_jobs_where_they_are_off(logged: House) -> None:
    logged.configure(joblog={"urlprefix": URL, "analysis": "off"})
    (number,) = await logged.bound(kind="analysis")
    await logged.came_home(number, {"log.4711": b"the pilot says"})
    await logged.moved(number, "donefailed", ce=CE)
    await logged.tower.news()
    assert published(logged) == {}
    assert "pilot_id" not in str((await logged.row(number)).report)


async def test_logs_are_lost_before_jobs(logged: House, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    logged.configure(joblog={"dir": tmp_path / "file"})
    numbers = await logged.bound(3)
    for number in numbers:
        await logged.came_home(number, {"log.4711": b"the pilot says"})
        await logged.moved(number, "donefailed", ce=CE)
    await logged.tower.news()
    assert set((await logged.states()).values()) == {PandaState.TOREPORT.value}
    assert caplog.text.count("its logs are not published") == 3
    assert caplog.text.count("the stories of 3 jobs are not written") == 1
    await logged.run("heartbeat")
    logged.later(seconds=1)
    assert (await logged.run("clean"))["retired"] == 3


async def test_old_logs_go(logged: House) -> None:
    (number,) = await logged.bound()
    await logged.moved(number, "lost", ce=CE)
    await logged.tower.news()
    assert len(published(logged)) == 2
    assert "old logs" not in await logged.run("clean")
    logged.later(days=15, hours=1)
    assert (await logged.run("clean"))["old logs"] == 2
    assert published(logged) == {}


async def test_what_was_purged_lately_is_not_looked_at_again(logged: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joblog, "PURGED", 1)  # a thousand files would be many
    (number,) = await logged.bound()
    await logged.moved(number, "lost", ce=CE)
    await logged.tower.news()
    logged.later(days=15, hours=1)
    assert [await joblog.purge(logged.rt) for _ in range(4)] == [{"old logs": 1}, {"old logs": 1}, {}, {}]


async def test_the_command_shows_where_they_are(logged: House) -> None:
    (number,) = await logged.bound()
    db = open_tables(logged.rt.settings)
    assert shown(db, logged.rt.settings, f"{number}.1")["logs"] == []
    await logged.moved(number, "lost", ce=CE)
    await logged.tower.news()
    for _ in range(2):  # in the tables, and then in the archive
        found = shown(db, logged.rt.settings, f"{number}.1")["logs"]
        assert [(one["log"], one["url"].rpartition("/")[2]) for one in found] == [
            ("out", f"{number}.out"),
            ("story", f"{number}.story"),
        ]
        assert {one["file"].rpartition("/")[2] for one in found} == {f"{number}.out", f"{number}.story"}
        await logged.run("heartbeat")
        logged.later(seconds=1)
        await logged.run("clean")
    db.close()


def test_control_characters_and_halves_of_characters_are_not_written() -> None:
    hostile = replace(BOOKED, error="\x1b[2J\x00\ud800\u2028", report='{"job_status": "failed"}', created=None)
    text = story(hostile, [], datetime(2026, 11, 21, tzinfo=UTC))
    assert not set(text) & {"\x1b", "\x00", "\ud800", "\u2028"}
    text.encode()


async def test_a_batch_costs_as_many_statements_as_one_job(logged: House) -> None:
    numbers = await logged.bound(20)
    names = [f"{number}.1" for number in numbers]
    with heard_statements(logged) as one:
        await logged.rt.read(histories, "atlas", names[:1])
    with heard_statements(logged) as many:
        found = await logged.rt.read(histories, "atlas", names)
    assert len(found) == 20
    assert sum(words.startswith("SELECT") for words in many) == sum(words.startswith("SELECT") for words in one) == 4


async def test_the_whole_way(
    logged: House, eventually: Callable[..., Awaitable[Any]], end_all: Callable[..., Awaitable[None]]
) -> None:
    """Real payloads at a local CE: each job that ended, well or badly, has its three texts."""
    logged.lay_out_pilot()
    (good,), (bad,), (silent,) = (logged.order(run_s=0, **kind) for kind in ({}, {"fail": 3}, {"silent": True}))
    here = logged.rt.settings.state_dir / "local" / CE

    async def over() -> bool:
        await logged.run(*ROUND)
        return {logged.book(n).status for n in (good, bad, silent)} == {"finished", "failed"}

    try:
        await eventually(over, "all jobs are over")
    finally:
        await end_all(await logged.rt.ce(CE), here)
    found = published(logged)
    for number in (good, bad, silent):
        text = next(text for name, text in found.items() if name.endswith(f"/{number}.story"))
        assert "running → " in text or "submitted → " in text
        assert any(name.endswith(f"/{number}.out") for name in found)
