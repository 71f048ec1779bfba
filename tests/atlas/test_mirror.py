"""What an attempt's news mean for its PanDA job: heard once, and not written over."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from act_core.atlas.mirror import Heard, Home, heard, read_home
from act_core.atlas.pilot_word import LARGEST, Heartbeat
from act_core.db.models import CeJob
from act_core.settings.model import Settings
from act_core.simulators.pilot import PAYLOAD_FAILED
from act_core.states import FINAL, CeState, PandaState, Request
from tests.atlas.house import BOOKED, CE, House, Killed, killed_at

C, P = CeState, PandaState
ENDS = tuple(state for state in CeState if state in FINAL)
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
GOOD, BAD = Home(Heartbeat(finished=True, fields={})), Home(Heartbeat(finished=False, fields={"exe_error_code": 3}))


def attempt(state: CeState, **columns: object) -> CeJob:
    return CeJob(**{"state": state.value, "ce": CE, "created": NOW} | columns)


def news(state: CeState, row: PandaState | None, home: Home = GOOD, **columns: Any) -> Heard:
    booked = None if row is None else replace(BOOKED, state=row)
    return heard(attempt(state, **columns), booked, home, Settings(state_dir=Path("s")), NOW)


@pytest.mark.parametrize(
    ("state", "row", "to"),
    [
        (C.RUNNING, P.STARTING, P.RUNNING),
        (C.FINISHING, P.STARTING, P.TRANSFERRING),
        (C.FINISHING, P.RUNNING, P.TRANSFERRING),
        (C.FINISHED, P.RUNNING, P.TRANSFERRING),
        (C.DONE, P.RUNNING, P.TOVALIDATE),
        (C.DONE, P.TRANSFERRING, P.TOVALIDATE),
        (C.DONE, P.TOKILL, P.TOREPORT),
        *((state, P.RUNNING, P.TOREPORT) for state in ENDS if state is not C.DONE),
        *((state, P.TOKILL, P.TOREPORT) for state in ENDS if state is not C.DONE),
    ],
)
def test_a_job_goes_on(state: CeState, row: PandaState, to: PandaState) -> None:
    change = news(state, row).change
    assert change
    assert change.to is to


@pytest.mark.parametrize(
    ("state", "row"),
    [
        *((C.TOSUBMIT, row) for row in (P.STARTING, P.RUNNING)),
        (C.RUNNING, P.TRANSFERRING),  # a rerun: PanDA has no way back
        (C.RUNNING, P.TOKILL),
        (C.FAILED, P.RUNNING),  # its logs are fetched first
        *((state, row) for state in (C.RUNNING, *ENDS) for row in (P.TOVALIDATE, P.TOREPORT, P.CLOSED, None)),
    ],
)
def test_a_job_stays_where_it_is(state: CeState, row: PandaState | None) -> None:
    assert news(state, row).change is None


@pytest.mark.parametrize(
    ("state", "row", "columns", "wish"),
    [
        (C.FAILED, P.RUNNING, {}, Request.FETCH),
        (C.FAILED, P.TOKILL, {}, Request.FETCH),
        (C.FAILED, None, {}, Request.CLEAN),
        (C.FAILED, P.CLOSED, {}, Request.CLEAN),
        (C.DONE, P.RUNNING, {}, None),  # the verdict on its outputs decides
        (C.DONE, P.TOVALIDATE, {}, None),
        (C.DONEFAILED, P.RUNNING, {}, Request.CLEAN),
        (C.DONE, P.CLOSED, {}, Request.CLEAN),
        (C.LOST, None, {}, Request.CLEAN),
        (C.DONE, P.CLOSED, {"ce_clean_at": NOW}, None),
        (C.RUNNING, P.CLOSED, {}, None),
        (C.RUNNING, P.RUNNING, {}, None),
    ],
)
def test_what_is_wished_of_the_attempt(
    state: CeState, row: PandaState | None, columns: dict[str, Any], wish: Request | None
) -> None:
    assert news(state, row, **columns).wish is wish


@pytest.mark.parametrize("state", CeState)
def test_an_attempt_with_a_successor_says_nothing_more(state: CeState) -> None:
    assert news(state, P.RUNNING, superseded_by="the next") == Heard()


@pytest.mark.parametrize(
    ("state", "row", "home", "columns", "status", "words"),
    [
        (C.DONE, P.RUNNING, GOOD, {}, "finished", ""),
        (C.DONE, P.RUNNING, BAD, {}, "failed", ""),  # the pilot's own codes stand
        (C.DONE, P.RUNNING, Home(trouble="no report"), {}, "failed", "no report"),
        (C.DONEFAILED, P.RUNNING, GOOD, {"error": "walltime exceeded"}, "failed", "walltime exceeded"),
        (C.DONEFAILED, P.RUNNING, Home(), {"error": "out of memory"}, "failed", "out of memory"),
        (C.CANCELLED, P.RUNNING, Home(), {}, "failed", "not by PanDA"),
        (C.LOST, P.RUNNING, Home(), {}, "failed", "does not know"),
        (C.VOID, P.RUNNING, Home(), {}, "failed", "never arrived"),
        (C.ABANDONED, P.RUNNING, Home(), {}, "failed", "not seen for too long"),
        (C.CANCELLED, P.TOKILL, Home(), {}, "failed", "killed by panda server"),
        (C.DONE, P.TOKILL, GOOD, {}, "failed", "killed by panda server"),
    ],
)
def test_the_end_is_reported_with_its_reason(
    state: CeState, row: PandaState, home: Home, columns: dict[str, Any], status: str, words: str
) -> None:
    change = news(state, row, home, **columns).change
    assert change
    report = json.loads(change.columns["report"])
    assert report["job_status"] == status
    assert words in report.get("pilot_error_diag", "")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "left no heartbeat.json"),
        (b"\x00 no JSON", "is not JSON"),
        (b'{"jobId": "8", "state": "finished"}', "is about job '8'"),
        (b" " * (LARGEST + 1), "is larger than"),
    ],
    ids=["none", "garbage", "another job's", "huge"],
)
def test_why_there_is_no_report_of_the_pilot(tmp_path: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / "heartbeat.json").write_bytes(content)
    home = read_home(tmp_path, 7)
    assert home.heartbeat is None
    assert words in str(home.trouble)


async def test_panda_hears_at_once_that_a_job_runs(queue: House) -> None:
    (number,) = await queue.bound()
    await queue.run("heartbeat")
    await queue.moved(number, "submitted", ce=CE)
    await queue.tower.news()
    assert ((await queue.row(number)).ce, (await queue.row(number)).state) == (CE, P.STARTING.value)
    assert await queue.run("heartbeat") == {}
    await queue.moved(number, "running", node="wn7")
    assert await queue.tower.news() == {"news": 1, "panda running": 1}
    assert not (await queue.attempt(number)).news
    assert await queue.tower.news() == {}
    assert await queue.run("heartbeat") == {"told": 1}
    job = queue.book(number)
    assert (job.status, job.columns["modificationHost"]) == ("running", "wn7")
    row = await queue.row(number)
    assert (row.state, row.wanted, row.told, row.node) == (P.RUNNING.value, "running", "running", "wn7")


async def test_a_good_end_leads_to_validation_and_then_leaves_nothing_on_the_ce(queue: House) -> None:
    (number,) = await queue.bound(outputs=2)
    await queue.ended(number)
    row, done = await queue.row(number), await queue.attempt(number)
    assert (row.state, row.wanted) == (P.TOVALIDATE.value, "transferring")
    produced = queue.produced(number)
    assert {one["url"] for one in json.loads(str(row.outputs))} == set(queue.urls(produced).values())
    assert json.loads(str(row.report))["job_status"] == "finished"
    assert row.check_due_at is not None
    assert (done.request, done.news) == (None, False)
    await queue.run("fetch-validate")
    assert (await queue.attempt(number)).request == Request.CLEAN.value


async def test_a_failed_payload_is_told_in_the_pilots_words(queue: House) -> None:
    (number,) = await queue.bound(fail=3)
    await queue.ended(number, "donefailed", error="Job finished with wrong exit code - 3 != 0")
    assert (await queue.row(number)).state == P.TOREPORT.value
    await queue.run("heartbeat")
    columns = queue.book(number).columns
    assert (columns["pilotErrorCode"], columns["exeErrorCode"]) == (PAYLOAD_FAILED, 3)
    assert queue.book(number).status == "failed"


async def test_a_job_that_moved_meanwhile_is_heard_again(queue: House) -> None:
    """A heartbeat is answered between the reading of the news and their writing."""
    (number,) = await queue.bound()
    await queue.moved(number, "running", ce=CE)

    async def beat() -> None:
        await queue.run("heartbeat")

    queue.rt.meanwhile = beat
    assert await queue.tower.news() == {"news": 2, "panda running": 1}
    row = await queue.row(number)
    assert (row.state, row.told) == (P.RUNNING.value, "starting")
    assert not (await queue.attempt(number)).news


async def test_an_attempt_that_moved_meanwhile_has_more_news(queue: House) -> None:
    (number,) = await queue.bound()
    await queue.moved(number, "running", ce=CE)

    async def goes_on() -> None:
        await queue.moved(number, "finishing")

    queue.rt.meanwhile = goes_on
    assert await queue.tower.news() == {"news": 2, "panda transferring": 1}
    assert (await queue.row(number)).state == P.TRANSFERRING.value


@pytest.mark.parametrize("moment", ["UPDATE panda_jobs", "UPDATE ce_jobs", "COMMIT"])
async def test_news_outlive_a_process_that_dies_over_them(queue: House, moment: str) -> None:
    (number,) = await queue.bound()
    await queue.over(number)
    with killed_at(queue.rt, moment), pytest.raises(Killed):
        await queue.tower.news()
    found = await queue.attempt(number)
    assert ((await queue.row(number)).state, found.news, found.request) == (P.STARTING.value, True, None)
    await queue.tower.news()
    found = await queue.attempt(number)
    assert ((await queue.row(number)).state, found.news, found.request) == (P.TOVALIDATE.value, False, None)


async def test_later_news_do_not_change_a_report(queue: House) -> None:
    """A job that is being validated, or reported, keeps its report whatever becomes of the attempt's row."""
    (number,) = await queue.bound()
    await queue.ended(number)
    before = await queue.row(number)
    await queue.came_home(number, {"heartbeat.json": b"overwritten"})
    await queue.moved(number, "done", error="said later")
    await queue.tower.news()
    after = await queue.row(number)
    assert (after.state, after.report, after.version) == (before.state, before.report, before.version)
    assert not (await queue.attempt(number)).news


async def test_a_killed_job_is_reported_as_killed_once_its_attempt_is_over(queue: House) -> None:
    (number,) = await queue.bound()
    await queue.moved(number, "running", ce=CE)
    await queue.tower.news()
    await queue.run("heartbeat")
    queue.books.kill([number], None, queue.clock.now())
    queue.later(minutes=31)
    assert await queue.run("heartbeat") == {"told": 1, "kill orders": 1}
    assert (await queue.row(number)).state == P.TOKILL.value
    await queue.moved(number, "cancelled", request=None)
    await queue.tower.news()
    assert await queue.run("heartbeat") == {"told": 1, "final": 1}
    job = queue.book(number)
    assert (job.status, job.columns["pilotErrorCode"], job.finals) == ("cancelled", 1144, 1)


async def test_news_of_a_job_that_nobody_has_booked_are_heard_and_its_rest_is_cleaned(queue: House) -> None:
    (number,) = await queue.bound()
    await queue.change(number, server="another.example")
    await queue.moved(number, "failed", ce=CE)
    assert await queue.tower.news() == {"news": 1}
    found = await queue.attempt(number)
    assert (found.request, found.news) == (Request.CLEAN.value, False)
    assert (await queue.row(number)).state == P.STARTING.value


async def test_logs_are_published_for_people(queue: House) -> None:
    queue.configure(joblog={"urlprefix": "https://logs.example/act"})
    (number,) = await queue.bound()
    await queue.came_home(number, {"log.4711": b"the pilot says", "gmlog/errors": b"the CE says"})
    await queue.moved(number, "donefailed")
    await queue.tower.news()
    day = f"{(await queue.attempt(number)).created:%Y-%m-%d}/TEST"
    published = queue.rt.settings.state_dir / "joblog" / day
    assert (published / f"{number}.out").read_bytes() == b"the pilot says"
    assert (published / f"{number}.log").read_bytes() == b"the CE says"
    report = json.loads(str((await queue.row(number)).report))
    assert report["pilot_id"].partition("|")[0] == f"https://logs.example/act/{day}/{number}.out"


async def test_a_job_that_died_without_a_word_is_told_of_by_its_ces_logs(queue: House) -> None:
    (number,) = await queue.bound()
    await queue.came_home(number, {"pilot.out": b"all well\nERROR: killed\n", "gmlog/errors": b"Job exceeded memory\n"})
    usage = {"exit_code": 137, "wall_s": 60, "cpu_s": 40, "memory_kb": 5000, "node": "wn3"}
    await queue.moved(number, "donefailed", ce=CE, remote_id="df1", error="LRMS error", **usage)
    await queue.tower.news()
    await queue.run("heartbeat")
    told = queue.book(number).columns
    assert told["pilotErrorDiag"] == "LRMS error; exit code 137"
    report = json.loads(str((await queue.row(number)).report))
    assert report["pilot_log"] == "CE job df1 at here\nJob exceeded memory\nERROR: killed"
    assert (told["cpuConsumptionTime"], told["maxRSS"], told["modificationHost"]) == (40, 5000, "wn3")
    assert told["pilotTiming"] == "0|0|60|0|0|0"
