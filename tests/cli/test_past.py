"""`--at` and `act what-if` as an operator uses them."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, update
from sqlalchemy.orm import Session

from act_core.db import ces, claims, ledger
from act_core.db.arrivals import NewJob, add_jobs
from act_core.db.attempts import as_attempt, attempts
from act_core.db.bootstrap import tower_id
from act_core.db.ledger import Line
from act_core.db.models import CeJob, CeJobEvent
from act_core.db.modes import Mode, Wanted, set_mode
from act_core.db.session import Database
from act_core.decisions import Move
from act_core.jobspec import JobSpec
from act_core.reasons import Reason, Topic
from act_core.settings.model import Settings, Site
from act_core.states import CeState
from tests.cli.conftest import Act

MINUTE = timedelta(minutes=1)


@pytest.fixture
def two_hours(act: Act, place: Path) -> Act:
    """A job waited two hours ago and ran one hour ago; half an hour ago it was lost, and its CE was stopped."""
    db = Database(Settings(state_dir=place / "state"))
    now = db.clock()

    def move(ago: int, to: CeState, reason: str, **columns: object) -> None:
        job = db.read(lambda session: as_attempt(session.execute(attempts()).one()))
        db.write(claims.settle, {job: Move(to, reason, columns)}, now - ago * MINUTE, "submit")

    db.write(ces.enter_ces, {"here": Site(kind="local")}, ces.CONFIG, now)
    job = NewJob("manual", "j1", JobSpec(executable="x"), frozenset({"here"}), 0, "prod")
    db.write(add_jobs, db.read(tower_id), [job], now - 180 * MINUTE)
    move(170, CeState.SUBMITTING, "to here", ce="here")
    move(170, CeState.TOSUBMIT, "not taken: 503", ce=None)
    facts = {"queued": 4, "running": 2, "allowed": 4, "unit": "jobs", "a": 0.15, "b": 4}
    db.write(ledger.note, [Line(Topic.SUBMIT, Reason.QUEUE_FULL, "here", "prod", n=1, facts=facts)], now - 150 * MINUTE)
    db.write(ledger.note, [Line(Topic.SUBMIT, None, "here", "prod")], now - 90 * MINUTE)
    for state in (CeState.SUBMITTING, CeState.SUBMITTED, CeState.RUNNING):
        move(90, state, f"CE: {state}", ce="here")
    move(30, CeState.LOST, "the CE no longer knows it")
    db.write(set_mode, "here", Wanted(Mode.STOP, "operator", "broken"), now - 30 * MINUTE)
    db.close()
    return act


def test_the_status_of_a_moment(two_hours: Act) -> None:
    then = two_hours("status", "--at", "2h ago", "--json").json
    assert then["waiting"] == 1
    assert {ce["name"]: (ce["mode"], ce["jobs"]) for ce in then["ces"]}["here"] == ("on", {})
    assert [(one["code"], one["ce"], one["share"]) for one in then["reasons"]] == [("queue-full", "here", "prod")]
    later = two_hours("status", "--at", "1h ago", "--json").json
    assert (later["waiting"], later["ces"][0]["jobs"]) == (0, {"running": 1})
    now = two_hours("status", "--at", "25 min ago", "--json").json["ces"][0]
    assert (now["mode"], now["ended"]) == ("stop", {"lost": 1})
    words = two_hours("status", "--at", "2h ago")
    assert words.code == 0
    assert "here has 4 jobs queued, and 4 may be" in words.out
    assert "1 job waited for a CE" in words.out


def test_a_job_then_and_what_came_next(two_hours: Act) -> None:
    said = two_hours("explain", "j1", "--at", "2h ago", "--json").json
    assert (said["state"], said["ce"], said["by"]["reason"]) == ("tosubmit", "", "not taken: 503")
    assert [one["code"] for one in said["reasons"]] == ["queue-full"]
    assert (said["next"]["to_state"], said["ended"]["to_state"]) == ("submitting", "lost")
    words = two_hours("explain", "j1", "--at", "1h ago").out
    assert "attempt 1, running at here" in words
    assert "running → lost at here, the CE no longer knows it (submit)" in words
    assert "Nothing has happened to it since." in two_hours("explain", "j1", "--at", "1 min ago").out
    assert "no call had been made for it" not in two_hours("explain", "j1", "--at", "165 min ago").out


def test_a_ce_then_and_what_was_decided_next(two_hours: Act) -> None:
    said = two_hours("explain", "here", "--at", "1h ago", "--json").json
    assert (said["ce"]["mode"], said["ce"]["jobs"], said["next"]["code"]) == ("on", {"running": 1}, "mode-stop")
    words = two_hours("explain", "here", "--at", "1h ago").out
    assert "It had 1 running" in words
    assert "here gets no jobs, by operator: broken." in words


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        pytest.param("status --at tomorrow", "a time is wanted", id="no time"),
        pytest.param("status --at 2999-01-01", "has not come yet", id="the future"),
        pytest.param("status --at 2020-01-01", "before the first event that is known", id="before all events"),
        pytest.param("explain nobody --at 1h", "no CE and no job 'nobody'", id="nobody's job"),
        pytest.param("explain j1 --at 2020-01-01", "events are kept for 30 d", id="a job before all events"),
        pytest.param("what-if --ce here --set b=3 --day today", "too little happened at here", id="a quiet day"),
        pytest.param("what-if --ce nobody --set b=3 --day today", "no CE 'nobody'", id="nobody's day"),
        pytest.param("what-if --ce here --set b=3 --day 2020-01-01", "before the first event", id="a day long ago"),
    ],
)
def test_mistakes_are_sentences(two_hours: Act, words: str, complaint: str) -> None:
    said = two_hours(*words.split())
    assert (said.code, said.out) == (2, "")
    assert complaint in said.err


def test_before_anything_has_happened(act: Act) -> None:
    said = act("status", "--at", "1h ago")
    assert (said.code, "nothing has happened yet" in said.err) == (2, True)


def test_a_day_is_replayed(act: Act, place: Path) -> None:
    """Sixty jobs of five minutes, one after the other, and never more than one in the queue."""
    db = Database(Settings(state_dir=place / "state"))
    now = db.clock()
    begin = now - timedelta(hours=5)
    db.write(ces.enter_ces, {"here": Site(kind="local")}, ces.CONFIG, now)
    jobs = [NewJob("manual", f"j{n}", JobSpec(executable="x"), frozenset({"here"}), 0) for n in range(60)]
    db.write(add_jobs, db.read(tower_id), jobs, begin)
    events = []
    for n in range(60):
        start = begin + 5 * n * MINUTE
        walk = ("tosubmit", "submitting", -5), ("submitting", "submitted", -5), ("submitted", "running", 0)
        for old, new, minutes in (*walk, ("running", "finished", 5), ("finished", "done", 5)):
            at = max(start + minutes * MINUTE, begin)
            events.append({"job_id": n + 1, "at": at, "from_state": old, "to_state": new, "ce": "here"})
    known = {"attempt": 1, "reason": "x", "actor": "test"}

    def fill(session: Session) -> None:
        session.execute(update(CeJob).values(ce="here", state="done", state_since=now))
        session.execute(insert(CeJobEvent), [one | known for one in events])

    db.write(fill)
    db.close()
    day = f"{begin + timedelta(hours=2):%Y-%m-%d}"
    said = act("what-if", "--ce", "here", "--set", "b=50", "--day", day, "--json")
    assert said.code == 0, said.err
    assert said.json["what_if"]["mean_queue"] > 2 * said.json["really"]["mean_queue"]
    assert said.json["what_if"]["started"] >= 20
    words = act("what-if", "--ce", "here", "--set", "b=50", "--day", day)
    assert "jobs queued, mean" in words.out
    assert "The control, which has that day's settings, is" in words.out
