"""The operators' page: every number of a small tower, on both databases."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import insert
from sqlalchemy.orm import Session

from act_core.db import brakes
from act_core.db import ces as ce_rows
from act_core.db.models import CeJob
from act_core.db.policy_models import CredentialRow, OperatorMode, RuleHit
from act_core.db.session import Database
from act_core.monitor.views.ces import ce, ces
from act_core.monitor.views.figures import Chart
from act_core.monitor.views.jobs import Wanted, jobs
from act_core.monitor.views.json import as_json
from act_core.monitor.views.overview import overview
from act_core.monitor.views.queues import queue, queues
from act_core.settings.model import Breaker, Settings
from act_core.states import CeState
from tests.monitor.views.conftest import HOUR, NOW, SERVER, attempt


def sums(chart: Chart) -> dict[str, float]:
    return {one.name: sum(one.values) for one in chart.series}


def values(chart: Chart, point: str) -> dict[str, float]:
    place = chart.points.index(point)
    return {one.name: one.values[place] for one in chart.series}


def test_the_overview_adds_up(tower: Database, db_settings: Settings) -> None:
    page = tower.read(overview, db_settings, NOW + timedelta(seconds=5))
    totals = page.totals
    assert (totals.waiting, totals.queued, totals.running, totals.slots) == (1, 1, 2, 12)
    assert (totals.finishing, totals.other) == (0, 4)
    assert (totals.ended_today, totals.failed_today) == (1 + 3 + 2, 2), "today's of the archive, and the lost one"
    assert totals.rate == 1
    assert (page.counted.at, page.counted.age_s, page.counted.old) == (NOW, 5.0, False)
    rows = {row.ce: row for row in page.ces}
    assert list(rows) == ["", "ce1", "ce2"]
    assert {state: cell.n for state, cell in rows["ce1"].states.items()} == {
        "running": 2, "done": 1, "donefailed": 1, "lost": 1,
    }  # fmt: skip
    assert rows["ce1"].states["running"].oldest == NOW - 3 * HOUR
    assert (rows["ce1"].n, rows["ce1"].slots) == (5, 12)
    assert page.states[:3] == ("tosubmit", "submitted", "running")
    assert [(one.queue, one.n) for one in page.queues] == [("QUEUE", 2)]


def test_the_charts_know_what_is_archived_and_what_is_not(tower: Database, db_settings: Settings) -> None:
    page = tower.read(overview, db_settings, NOW)
    assert values(page.slots_by_hour, "2026-03-01T11") == {"ce1": 24.0, "ce2": 5.0}, "ce2 was seen in half of the time"
    assert values(page.slots_by_day, "2026-03-01") == {"ce1": 20.0, "ce2": 3.3}, "with the sample of the count"
    assert values(page.ended.completed, "2026-02-27") == {"ce1": 5.0, "ce2": 0.0}
    assert values(page.ended.completed, "2026-02-28") == {"ce1": 1.0, "ce2": 0.0}
    assert values(page.ended.completed, "2026-03-01") == {"ce1": 3.0, "ce2": 1.0}
    assert sums(page.ended.failed) == {"ce1": 4.0}
    assert len(page.ended.completed.points) == 60


def test_red_things_come_first(tower: Database, db_settings: Settings) -> None:
    def trouble(session: Session) -> None:
        row = {"kind": "x509-proxy", "subject": "/CN=x", "path": "/p", "modified": NOW}
        session.execute(insert(CredentialRow), [row | {"expires": NOW - HOUR}])
        drain = {"kind": "tower", "name": "", "server": "", "mode": "drain", "owner": "ops", "since": NOW}
        session.execute(insert(OperatorMode), [drain | {"reason": "upgrade"}])
        weighed = brakes.Weighed("ce:ce1", brakes.Kind.LOSE, "ce:ce1", 90, 100, 50)
        brakes.engage(session, weighed, timedelta(minutes=10), NOW, {})

    tower.write(trouble)
    page = tower.read(overview, db_settings, NOW)
    assert [(one.level, one.kind) for one in page.alarms] == [
        ("red", "brake"), ("red", "credential"), ("red", "ce"), ("amber", "tower"),
    ]  # fmt: skip
    assert page.tower.up
    assert page.tower.mode is not None
    assert page.tower.mode.mode == "drain"
    assert [one.n for one in page.brakes] == [90]
    assert (page.credentials[0].state, page.credentials[0].left_s) == ("expired", -3600)
    later = tower.read(overview, db_settings, NOW + HOUR)
    assert later.counted.old
    assert not later.tower.up
    assert later.alarms[0].kind == "tower"


def test_every_view_is_json(tower: Database, db_settings: Settings) -> None:
    views = [
        *(tower.read(view, db_settings, NOW) for view in (overview, ces, queues)),
        *(tower.read(view, db_settings, name, NOW) for view, name in ((ce, "ce1"), (queue, "QUEUE"))),
        tower.read(jobs, Wanted(), NOW),
    ]
    told = json.loads(json.dumps([as_json(one) for one in views]))
    assert told[0]["now"] == "2026-03-01T12:00:00.123456Z"
    assert told[0]["totals"]["slots"] == 12


def test_failures_by_rule_name_the_newest_example(tower: Database, db_settings: Settings) -> None:
    hit = {"rule": "memory", "last_at": NOW, "last_job": 6, "window_at": NOW, "window_n": 1}
    older = {"last_at": NOW - HOUR, "last_job": 5}
    rows = [hit | {"ce": "ce1", "n": 2}, hit | older | {"ce": "ce2", "n": 7}]
    tower.write(lambda session: session.execute(insert(RuleHit), rows) and None)
    (found,) = tower.read(overview, db_settings, NOW).failures
    assert (found.rule, found.n, found.ces) == ("memory", 9, (("ce2", 7), ("ce1", 2)))
    assert found.job is not None
    assert found.job.error == "vmem of 100% is <b>too much</b>"


def test_the_breaker_leaves_a_time_line(tower: Database, db_settings: Settings) -> None:
    policy = Breaker()
    for minute in range(5):
        tower.write(ce_rows.went_wrong, "ce1", "no route", policy, NOW + timedelta(minutes=minute))
    tower.write(ce_rows.went_well, "ce1", NOW + timedelta(minutes=9))
    tower.write(ce_rows.went_well, "ce1", NOW + timedelta(minutes=10))
    (line,) = tower.read(overview, db_settings, NOW + HOUR).time_lines
    assert line.ce == "ce1"
    (span,) = line.spans
    assert (span.kind, span.code) == ("breaker", "breaker-open")
    assert (span.since, span.until) == (NOW + timedelta(minutes=2), NOW + timedelta(minutes=9))
    assert span.why == "ce1 was not asked for a while after 3 errors in a row: no route"


def test_a_ce_and_all_of_them(tower: Database, db_settings: Settings) -> None:
    listed = {one.name: one for one in tower.read(ces, db_settings, NOW).ces}
    assert [(one.name, one.health, one.running, one.queued, one.on_ce) for one in listed.values()] == [
        ("ce1", "well", 2, 0, 2), ("ce2", "resting", 0, 1, 1),
    ]  # fmt: skip
    assert (listed["ce1"].completed_today, listed["ce1"].failed_today) == (3, 2)
    page = tower.read(ce, db_settings, "ce1", NOW)
    assert page is not None
    assert page.ce == listed["ce1"]
    assert [(one.share, one.n, one.slots) for one in page.shares] == [("QUEUE", 5, 12)]
    assert "takes new jobs" in page.explained.why[0]
    assert [event.reason for event in page.events] == ["CE: R"]
    assert page.events[0].job == "6000000001.1"
    assert {one.name: one.values[-2] for one in page.slots_by_hour.series} == {
        "slots": 24.0,
        "running": 3.0,
        "queued": 2.0,
    }
    assert tower.read(ce, db_settings, "no such", NOW) is None


def test_a_queue_and_all_of_them(tower: Database, db_settings: Settings) -> None:
    (line,) = tower.read(queues, db_settings, NOW).queues
    assert (line.name, line.type, line.ces, line.maxjobs) == ("QUEUE", "unified", ("ce1",), 7)
    assert {state: cell.n for state, cell in line.states.items()} == {"running": 1, "sent": 1}
    assert (line.waiting, line.running, line.slots, line.n) == (1, 2, 12, 2)
    assert (line.completed_today, line.failed_today) == (3, 2)
    page = tower.read(queue, db_settings, "QUEUE", NOW, SERVER)
    assert page is not None
    assert page.queue == line
    assert [(row.ce, row.n) for row in page.at_ces] == [("", 1), ("ce1", 5)]
    assert sums(page.ended.completed) == {"ce1": 9.0}
    assert tower.read(queue, db_settings, "QUEUE", NOW, "elsewhere") is None


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(), [8, 7, 6, 5, 4, 3, 2, 1]),
        (Wanted(ces=("ce2",)), [5, 3]),
        (Wanted(states=(CeState.RUNNING, CeState.SUBMITTED)), [3, 2, 1]),
        (Wanted(share="OTHER", states=(CeState.DONE,)), [5]),
        (Wanted(app="manual"), []),
        (Wanted(error="100%"), [6]),
        (Wanted(error="_"), []),
        (Wanted(rule="memory"), [6]),
        (Wanted(states=(CeState.RUNNING,), at_least=2 * HOUR), [2]),
        (Wanted(states=(CeState.RUNNING,), at_most=2 * HOUR), [1]),
        (Wanted(archived=True), [20]),
    ],
)
def test_jobs_by_what_is_wanted(tower: Database, wanted: Wanted, found: list[int]) -> None:
    page = tower.read(jobs, wanted, NOW)
    assert [one.id for one in page.jobs] == found
    assert (page.n, page.more, page.next) == (len(found), False, None)


def add(session: Session, n: int) -> None:
    session.execute(insert(CeJob), [attempt(n)])


def test_pages_follow_each_other(tower: Database) -> None:
    seen, cursor = [], None
    for _ in range(3):
        page = tower.read(jobs, Wanted(share="QUEUE"), NOW, cursor, 2)
        seen += [one.id for one in page.jobs]
        tower.write(add, 50 + len(seen))  # nothing shifts
        cursor = page.next
    assert seen == [8, 7, 6, 4, 2, 1]
    assert cursor is None
