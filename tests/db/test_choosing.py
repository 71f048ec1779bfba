"""Filters of bulk actions, and who is found by them."""

from datetime import timedelta

import pytest

from act_core.db import audit, choosing, listing
from act_core.db.audit import ADMIN, Actor
from act_core.db.listing import Filter
from act_core.db.session import Database
from act_core.deeds.jobs import act_on_jobs, preview
from act_core.errors import BadInput
from act_core.states import CeState, Request
from tests.db.conftest import BEGINNING as NOW
from tests.db.conftest import Rows

HOUR = timedelta(hours=1)
ALICE = Actor("alice", ADMIN, "cli here")


@pytest.fixture
def some(rows: Rows) -> Rows:
    rows.add("a", "b", share="prod")
    rows.add("c", "d", share="user")
    rows.put("a", state="running", ce="ce1", remote_id="r-a", state_since=NOW - 3 * HOUR)
    rows.put("b", state="failed", ce="ce1", error="Disk QUOTA 100% exceeded", rule="disk", state_since=NOW - HOUR)
    rows.put("c", state="running", ce="ce2", created=NOW - 9 * HOUR)
    return rows


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        pytest.param(Filter(states=(CeState.RUNNING,)), "ac", id="a state"),
        pytest.param(Filter(ces=("ce1",)), "ab", id="a CE"),
        pytest.param(Filter(shares=("prod",)), "ab", id="a share"),
        pytest.param(Filter(error="quota 100%"), "b", id="a text, in whatever case and to the letter"),
        pytest.param(Filter(error="quota_100"), "", id="no wildcards"),
        pytest.param(Filter(rules=("disk",)), "b", id="a rule"),
        pytest.param(Filter(since_before=NOW - 2 * HOUR), "a", id="long in its state"),
        pytest.param(Filter(since_after=NOW - 2 * HOUR), "bcd", id="not long in its state"),
        pytest.param(Filter(made_before=NOW - 2 * HOUR), "c", id="made long ago"),
        pytest.param(Filter(ids=("a", "r-a", "d", "nosuch")), "ad", id="ids of several kinds"),
        pytest.param(Filter(ids=("a", "b"), states=(CeState.FAILED,)), "b", id="ids and a state"),
        pytest.param(Filter(apps=("atlas",)), "", id="of another application"),
        pytest.param(Filter(ces=("ce1",), shares=("prod",), states=(CeState.RUNNING,)), "a", id="all of it together"),
    ],
)
def test_filters_combine(some: Rows, wanted: Filter, names: str) -> None:
    found = [one.app_job_id for one in some.db.read(choosing.chosen, wanted, 100)]
    assert found == list(names)
    counted = some.db.read(listing.counted, wanted)
    assert sum(one.n for one in counted) == len(names)


def test_a_preview_counts_and_names_the_first(some: Rows) -> None:
    seen = some.db.read(preview, Filter(shares=("prod", "user")))
    assert (seen.n, seen.first) == (4, ("a", "b", "c", "d"))
    assert seen.counts[0] == ("manual", "", "tosubmit", 1)
    some.put("a", state_since=NOW)  # wherever an index begins, the oldest ones are the first
    assert some.db.read(preview, Filter(shares=("prod", "user")), 2).first == ("a", "b")
    assert some.db.read(preview, Filter(ids=("d", "c", "b")), 2).first == ("b", "c")


@pytest.mark.parametrize("wanted", [Filter(), Filter(app="manual"), Filter(apps=("atlas",))], ids=str)
def test_without_a_filter_nothing_is_done(some: Rows, wanted: Filter) -> None:
    with pytest.raises(BadInput, match="a bulk action needs a filter"):
        act_on_jobs(some.db, ALICE, wanted, Request.CANCEL, NOW)
    assert {one.request for one in some.pick("a", "b", "c", "d").values()} == {None}


def test_only_what_was_looked_at_and_still_matches_is_touched(some: Rows) -> None:
    wanted = Filter(states=(CeState.RUNNING,))
    seen = some.db.read(preview, wanted)
    some.put("c", state="finished")
    some.put("d", state="running")
    acted = act_on_jobs(some.db, ALICE, wanted, Request.CANCEL, NOW, among=seen.ids)
    assert (acted.asked, acted.granted) == (1, 1)
    wished = {name: one.request for name, one in some.pick("a", "b", "c", "d").items()}
    assert wished == {"a": Request.CANCEL, "b": None, "c": None, "d": None}


def test_what_is_not_granted_is_told_and_the_deed_is_written_down(some: Rows) -> None:
    some.put("a", request="clean")
    acted = act_on_jobs(some.db, ALICE, Filter(shares=("prod",)), Request.CANCEL, NOW)
    assert (acted.asked, acted.granted, acted.examples) == (2, 1, {"a": "kept: clean"})
    (line,) = some.db.read(audit.lines, 10)
    assert (line.who, line.deed, line.subject, line.done) == ("alice", "jobs.cancel", "2 jobs", True)
    assert line.facts == {"shares": ["prod"], "jobs": 2, "force": False}


def test_the_newest_deeds_come_first(db: Database) -> None:
    for n, (who, deed) in enumerate([("alice", "ces.stop"), ("bob", "jobs.cancel"), ("alice", "jobs.clean")]):
        actor = Actor(who, ADMIN, "cli")
        db.write(audit.note, actor, deed, "x" * 300, n > 0, {"n": n}, NOW + n * HOUR)
    assert [line.deed for line in db.read(audit.lines, 2)] == ["jobs.clean", "jobs.cancel"]
    assert [line.facts["n"] for line in db.read(audit.lines, 9, NOW + HOUR)] == [2, 1]
    assert [line.deed for line in db.read(audit.lines, 9, None, "alice", "jobs")] == ["jobs.clean"]
