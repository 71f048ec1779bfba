"""What is told to Prefect beside states: when a report is another one, and the events of the ledger."""

from datetime import UTC, datetime
from typing import Any

import pytest

from act_core.db import ledger
from act_core.db.ledger import Line
from act_core.db.policy_models import LedgerLine
from act_core.db.session import Database
from act_core.reasons import Reason, Topic
from act_core.runtime import Counts
from act_core.tables import summed
from flows import happenings
from flows.happenings import TOPICS, event_of
from flows.telling import gist, rows_of, written

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_numbers_make_no_report_another_one() -> None:
    assert gist({"b": "no answer in 3.2 s", "a": "x"}, []) == "a: x | b: no answer in #.# s"
    assert gist({"b": "no answer in 17.9 s", "a": "x"}, []) == gist({"a": "x", "b": "no answer in 3.2 s"}, [])
    assert gist({}, []) == "all is well"
    assert gist({}, ["ce1: KeyError"]) == "ce1: KeyError"


def test_who_is_in_trouble_comes_first() -> None:
    rows = rows_of({"a": Counts(submitted=3, errors=0), "c": Counts()}, {"b": "away", "c": "full" * 200})
    assert [row["key"] for row in rows] == ["b", "c", "a"]
    assert [row["did"] for row in rows] == ["nothing", "nothing", "3 submitted"]
    assert len(rows[1]["trouble"]) == 300


def test_the_towers_report_has_what_there_is_and_not_too_much() -> None:
    empty = summed("none", ("CE", "n"), [])
    long = summed("many", ("CE", "running", "lost"), [(f"ce{n}", 1, 0) for n in range(250)])
    told = written([empty, long])
    assert told.startswith("### many\n\n| CE | running |\n")
    assert (told.count("| ce"), "| total | 250 |" in told, "50 more: act report" in told) == (200, True, True)
    assert written([empty]) == "no jobs"


def _line(**more: Any) -> LedgerLine:
    rest = {"id": 4, "at": NOW, "topic": "brake", "ce": "", "share": "", "job_id": 0, "code": "", "n": 0, "facts": {}}
    return LedgerLine(**(rest | more))


@pytest.mark.parametrize(
    ("line", "event", "resource"),
    [
        (_line(ce="ce1", code="brake-lose"), "act.brake.brake-lose", "act.ce.ce1"),
        (_line(ce="ce1"), "act.brake.over", "act.ce.ce1"),
        (_line(topic="panda", share="https://panda"), "act.panda.over", "act.share.https://panda"),
        (_line(ce="ce1", job_id=7), "act.brake.over", "act.job.7"),
        (_line(topic="credential", code="credential-ends"), "act.credential.credential-ends", "act.tower"),
    ],
    ids=["of a CE", "over", "of a share", "of a job", "of the tower"],
)
def test_a_line_as_an_event(line: LedgerLine, event: str, resource: str) -> None:
    made = event_of("t1", line)
    assert (made["event"], made["resource"]["prefect.resource.id"], made["occurred"]) == (event, resource, NOW)
    assert made["id"] == event_of("t1", line)["id"] != event_of("t2", line)["id"], "two workers tell it once"
    assert bool(made["payload"].get("why")) == bool(line.code)


def test_only_what_is_new_and_worth_a_call(db: Database) -> None:
    assert db.read(ledger.newest) == 0
    worth, not_worth = Line(Topic.BRAKE, Reason.BRAKE_LOSE, "ce1"), Line(Topic.SUBMIT, Reason.FULL, "ce1")
    db.write(ledger.note, [worth, not_worth], NOW)
    first = db.read(ledger.newest)
    topics = sorted(topic.value for topic in TOPICS)
    assert [line.topic for line in db.read(ledger.since, first - 2, topics, 10)] == ["brake"]
    assert db.read(ledger.since, first, topics, 10) == []


def test_every_topic_is_decided_upon() -> None:
    assert Topic.BRAKE in happenings.TOPICS
    assert Topic.SUBMIT not in happenings.TOPICS
