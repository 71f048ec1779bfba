"""Lists of jobs and CEs: what a table, a pipe and a program see."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from sqlalchemy import update

from act_core.cli import out
from act_core.db import ces, queries, wishes
from act_core.db.arrivals import NewJob, add_jobs
from act_core.db.bootstrap import tower_id
from act_core.db.models import Ce, CeJob
from act_core.db.session import Database
from act_core.jobspec import JobSpec
from act_core.monitor.times import brief
from act_core.settings import load_settings
from act_core.settings.model import Breaker, Site
from act_core.states import Request
from tests.cli.conftest import Act

LONG = "the CE says no: " + "x" * 200


def test_numbers_stand_to_the_right_and_lines_end_with_words(capsys: pytest.CaptureFixture[str]) -> None:
    out.table(("CE", "jobs", "trouble"), [("a", "9", ""), ("b", "1000", "no"), ("c", "", "")])
    assert capsys.readouterr().out.splitlines() == ["CE  jobs  trouble", "a      9", "b   1000  no", "c"]


class Tables:
    """State tables that the command then shows."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.now = db.clock()

    def add(self, *names: str, app: str = "manual") -> None:
        jobs = [NewJob(app, name, JobSpec(executable="x"), frozenset({"here"}), 3) for name in names]
        self.db.write(add_jobs, self.db.read(tower_id), jobs, self.now)

    def put(self, table: Any, key: Any, **columns: Any) -> None:
        self.db.write(lambda session: session.execute(update(table).where(key).values(**columns)) and None)

    def job(self, name: str, **columns: Any) -> None:
        self.put(CeJob, CeJob.app_job_id == name, **columns)


@pytest.fixture
def tables(act: Act) -> Iterator[Tables]:
    db = Database(load_settings().settings)
    yield Tables(db)
    db.close()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What a terminal of 60 columns shows: rich finds none in a test."""
    shown = io.StringIO()
    console = Console(file=shown, width=60, force_terminal=True, color_system=None, highlight=False)
    monkeypatch.setattr(out, "out", console)
    return shown


def _ids(act: Act, *words: object) -> list[str]:
    return [row["id"] for row in act("jobs", "list", "--json", *words).json]


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        pytest.param("2026-03-01T09:08:07Z", "09:08:07Z", id="today: the time"),
        pytest.param("2026-02-28T23:59:59Z", "2026-02-28 23:59Z", id="before: the day, to the minute"),
        pytest.param("2025-03-01T09:08:07Z", "2025-03-01 09:08Z", id="this day a year ago"),
        pytest.param("", "", id="never"),
        pytest.param(None, "", id="nothing"),
    ],
)
def test_times_are_brief(told: str | None, shown: str) -> None:
    assert brief(told, datetime(2026, 3, 1, 12, tzinfo=UTC)) == shown


def test_the_newest_come_first_by_creation_then_id(act: Act, tables: Tables) -> None:
    tables.add("a", "b", "c", "d")
    tables.job("a", created=tables.now + timedelta(seconds=1))
    assert _ids(act) == ["a", "d", "c", "b"]


def test_filters_combine(act: Act, tables: Tables) -> None:
    tables.add("a", "b", "c")
    tables.add("d", app="other")
    tables.job("a", ce="here", state="running")
    tables.job("b", ce="there", state="running")
    tables.job("d", ce="here", state="failed")
    assert _ids(act, "--state", "running") == ["b", "a"]
    assert _ids(act, "--state", "running", "--state", "failed", "--ce", "here") == ["d", "a"]
    assert _ids(act, "--app", "other") == ["d"]


def test_a_limit_says_that_there_may_be_more(act: Act, tables: Tables) -> None:
    tables.add("a", "b", "c")
    said = act("jobs", "list", "--limit", 2)
    assert [line.split()[0] for line in said.lines] == ["id", "c", "b"]
    assert said.err == "the newest 2; `--limit` shows more\n"
    assert act("jobs", "list", "--limit", 4).err == ""
    assert act("jobs", "list", "--limit", 2, "--json").err == ""


def test_a_line_of_a_pipe_is_a_job(act: Act, tables: Tables) -> None:
    tables.add("a")
    tables.job("a", ce="here", state="failed", error=LONG, state_since=tables.now - timedelta(days=400))
    tables.db.write(wishes.wish, "manual", ["a"], Request.FETCH, tables.now)
    header, line = act("jobs", "list").lines
    assert header == "id app attempt CE state wish since error"
    since = f"{tables.now - timedelta(days=400):%Y-%m-%d %H:%MZ}"
    assert line == f"a manual 1 here failed tofetch {since} {LONG[:60]}"


def test_a_program_gets_everything(act: Act, tables: Tables) -> None:
    tables.add("a")
    tables.job("a", ce="here", state="failed", error=LONG, remote_id="r1", state_since=tables.now)
    (row,) = act("jobs", "list", "--json").json
    assert row.pop("key").startswith("act-")
    assert row == {
        "id": "a",
        "app": "manual",
        "attempt": 1,
        "ce": "here",
        "state": "failed",
        "wish": None,
        "since": f"{tables.now:%Y-%m-%dT%H:%M:%SZ}",
        "error": LONG,
        "remote_id": "r1",
    }
    assert act("jobs", "list", "--json", "--state", "done").json == []


def test_a_narrow_terminal_folds_and_cuts_nothing(act: Act, tables: Tables, terminal: io.StringIO) -> None:
    tables.add("a")
    tables.job("a", ce="here", state="failed", error=LONG)
    assert act("jobs", "list").code == 0
    lines = terminal.getvalue().splitlines()
    assert max(map(len, lines)) <= 60
    assert len(lines) > 2
    assert "…" not in terminal.getvalue()
    assert "".join(line[-20:].split()[-1] for line in lines[1:])[-10:] == "x" * 10


def test_foreign_words_do_not_steer_the_terminal(act: Act, tables: Tables) -> None:
    tables.add("a")
    tables.job("a", state="failed", error="\x1b[31m[bold]red")
    assert act("jobs", "list").lines[1].endswith("\\x1b[31m[bold]red")


def test_a_lost_job_is_resubmitted_with_force_alone(act: Act, tables: Tables) -> None:
    tables.add("a", "b")
    tables.job("a", state="lost", ce="here", remote_id="r")
    said = act("jobs", "resubmit", "a", "b")
    assert said.code == 1
    refused, granted = sorted(said.out.splitlines())
    assert refused.startswith("a: refused: nobody knows that the lost attempt is dead")
    assert refused.endswith("--force takes that risk")
    assert granted == "b: a new attempt is to be made"
    assert act("jobs", "resubmit", "--force", "a", "--json").json == {"a": "resubmit"}


def test_a_lost_job_that_is_to_be_cleaned_is_resubmitted_with_force(act: Act, tables: Tables) -> None:
    """Its application wants it away as soon as it hears of the loss, which a CE that is away may not grant for days."""
    tables.add("a")
    tables.job("a", state="lost", ce="here", remote_id="r", request="clean")
    assert act("jobs", "resubmit", "a").code == 1
    said = act("jobs", "resubmit", "--force", "a")
    assert (said.code, said.out) == (0, "a: a new attempt is to be made\n")


def test_what_is_not_done_is_no_success(act: Act, tables: Tables) -> None:
    tables.add("a")
    tables.job("a", state="failed", ce="here", remote_id="r", request="clean")
    said = act("jobs", "rerun", "a")
    assert (said.code, said.err) == (1, "")
    assert said.out.startswith("a: not done: it is to be removed from its CE, and that goes first")


def test_known_jobs_are_steered_and_unknown_ones_told(act: Act, tables: Tables) -> None:
    tables.add("a")
    said = act("jobs", "cancel", "a", "nosuch", "--json")
    assert (said.code, said.json) == (2, {"a": "cancel", "nosuch": "unknown"})
    assert act("jobs", "cancel", "a", "--app", "other").code == 2


def test_ces_with_their_jobs_by_state(act: Act, tables: Tables) -> None:
    tables.db.write(ces.enter_ces, {"strange": Site(kind="nosuch")}, "cric", tables.now)
    assert act("ces", "list").lines == [
        "CE kind mode health trouble",
        "here local on unseen",
        "strange nosuch on no back end",
        "there local on unseen",
    ]
    tables.add("a", "b", "c")
    tables.job("a", ce="here", state="running")
    tables.job("b", ce="here", state="running")
    tables.job("c", ce="there", state="failed")
    tables.put(Ce, Ce.name == "here", last_seen=tables.now)
    assert act("ces", "list").lines == [
        "CE kind mode health running failed trouble",
        "here local on well 2",
        "strange nosuch on no back end",
        "there local on unseen 1",
    ]


def test_a_ce_that_rests_says_why_and_until_when(act: Act, tables: Tables) -> None:
    act("ces", "list")
    tables.put(Ce, Ce.name == "there", failures=1, trouble="one hiccup")
    policy = Breaker(failures=1, first=timedelta(days=2), longest=timedelta(days=2))
    until = tables.db.write(ces.went_wrong, "here", "no route\x07 to host", policy, tables.now)
    assert until is not None
    _, here, there = act("ces", "list").lines
    assert here == f"here local on resting until {until:%Y-%m-%d %H:%MZ} no route\\x07 to host"
    assert there == "there local on troubled one hiccup"
    mode = {"mode": "rest", "mode_owner": "operator", "mode_reason": "new disk", "mode_until": until}
    tables.put(Ce, Ce.name == "there", **mode)
    _, _, there = act("ces", "list").lines
    by = f"rest until {until:%Y-%m-%d %H:%MZ} by operator: new disk"
    assert there == f"there local rest troubled one hiccup; {by}"
    (row, _) = act("ces", "list", "--json").json
    assert (row["health"], row["rests_until"], row["failures"]) == ("resting", f"{until:%Y-%m-%dT%H:%M:%SZ}", 1)


def test_a_trouble_of_our_own_is_tried_again_soon_and_ends_with_a_good_answer(act: Act, tables: Tables) -> None:
    act("ces", "list")
    policy = Breaker(failures=1, first=timedelta(seconds=30), longest=timedelta(hours=1))
    for ours, rest in ((True, 30), (True, 30), (False, 120), (True, 30)):
        until = tables.db.write(ces.went_wrong, "here", "no proxy", policy, tables.now, ours)
        assert until == tables.now + timedelta(seconds=rest)
    tables.db.write(ces.went_well, "here", tables.now)
    row = tables.db.read(queries.ce_row, "here")
    assert row is not None
    assert (row.failures, row.own_trouble, row.trouble) == (0, False, None)


def test_a_trouble_of_our_own_is_not_the_sites(act: Act, tables: Tables) -> None:
    act("ces", "list")
    tables.put(Ce, Ce.name == "here", failures=4, trouble="the proxy /grid/proxy expired", own_trouble=True)
    said = act("ticket", "here")
    assert said.err == (
        "warning: the last error is on our side: the proxy /grid/proxy expired\n"
        "mend that before you write to the site\n"
    )
    assert said.out.startswith("Subject: jobs of ours at here: not asked, for a trouble on our side\n")
    assert "/grid/proxy" not in said.out
    assert act("ticket", "here", "--json").json["own_trouble"] == "the proxy /grid/proxy expired"


def test_all_that_is_known_of_one_ce(act: Act) -> None:
    assert act("ces", "show", "here", "--json").json["kind"] == "local"
    assert "mode on" in act("ces", "show", "here").lines


def test_looking_at_ces_with_another_configuration_takes_none_out_of_service(act: Act, place: Path) -> None:
    act("ces", "list")
    (place / "other.yaml").write_text("sites: {else: {kind: local}}\n")
    for words in ("ces list", "status", "sweep submit"):
        act("--arc-file", "other.yaml", *words.split())
    modes = {row["name"]: row["mode"] for row in act("ces", "list", "--json").json}
    assert modes == {"else": "on", "here": "on", "there": "on"}
    act("--arc-file", "other.yaml", "bootstrap")
    modes = {row["name"]: row["mode"] for row in act("ces", "list", "--json").json}
    assert modes == {"else": "on", "here": "drain", "there": "drain"}
    act("bootstrap")
    modes = {row["name"]: row["mode"] for row in act("ces", "list", "--json").json}
    assert modes == {"else": "drain", "here": "on", "there": "on"}


def test_no_ce_at_all(act: Act, place: Path) -> None:
    (place / "aCTConfigARC.yaml").write_text("jobs: {attempts: 1}\n")
    assert act("ces", "list").out == "no CEs: name one under sites in aCTConfigARC.yaml\n"
    assert act("jobs", "add", "aCTConfigARC.yaml").err.startswith("no CE is configured")
    assert "local" in act("ces", "list", "--kinds").out.split()
