"""Black holes: what is one, what is none, what follows, and how one comes back."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from act_core.db import arrivals, ces, ledger
from act_core.db.bootstrap import tower_id
from act_core.db.endings import BOUNDS, Ending, Stood, class_range, endings
from act_core.db.models import Ce, CeJob
from act_core.db.modes import OPERATOR, Mode, Wanted, set_mode
from act_core.db.session import Database
from act_core.engine.blackhole import after_probe, conclude, judge_probe, last_of, probed, suspects
from act_core.engine.claim import Terms, claim
from act_core.engine.fill import Limits
from act_core.jobspec import JobSpec
from act_core.reasons import Reason
from act_core.settings.model import Site
from act_core.settings.policy import BlackHole
from act_core.states import CeState
from act_core.tells import TELLS

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
REST = BlackHole(mode="rest")


def class_of(seconds: int) -> int:
    """As the question's CASE has it."""
    return next((k for k, bound in enumerate(BOUNDS) if seconds < bound), len(BOUNDS))


def ended(ce: str, n: int, seconds: int, failed: int = 0, share: str = "s") -> list[Ending]:
    """`n` jobs of this wall time, of which so many failed."""
    k = class_of(seconds)
    return [Ending(ce, share, True, k, failed), Ending(ce, share, False, k, n - failed)]


HOLE, WELL = ended("hole", 20, 30, 18), ended("well", 40, 3600)


@pytest.mark.parametrize(
    ("found", "black"),
    [
        pytest.param(HOLE + WELL, ["hole"], id="too fast and failing"),
        pytest.param(ended("hole", 19, 30, 19) + WELL, [], id="too few jobs"),
        pytest.param(HOLE + ended("well", 19, 3600), [], id="too few elsewhere"),
        pytest.param(ended("hole", 50, 30) + WELL, [], id="short legitimate jobs"),
        pytest.param(ended("hole", 50, 30, 39) + WELL, [], id="fast, and not quite failing"),
        pytest.param(ended("hole", 50, 3600, 50) + WELL, [], id="failing as slowly as others run"),
        pytest.param(HOLE + ended("well", 40, 120), [], id="not fast enough"),
        pytest.param(HOLE + ended("well", 40, 3600, 30), [], id="failing everywhere"),
        pytest.param(HOLE, [], id="nobody else runs the share"),
        pytest.param(HOLE + ended("well", 40, 3600, share="t"), [], id="others run another share"),
        pytest.param(HOLE + WELL + ended("hole", 90, 3600, share="t"), ["hole"], id="well for another share"),
        pytest.param(HOLE + WELL + ended("too", 30, 5, 30), ["hole", "too"], id="two holes"),
        pytest.param(
            HOLE + WELL + ended("b", 30, 5, 30) + ended("c", 30, 5, 30), [], id="failing at most CEs: not their fault"
        ),
    ],
)
def test_what_is_a_black_hole(found: list[Ending], black: list[str]) -> None:
    assert [one.ce for one in suspects(found, BlackHole())] == black


@pytest.mark.parametrize("seconds", [0, 1, 2, 3, 59, 86_400, 10**7])
def test_classes_of_wall_time(seconds: int) -> None:
    low, high = class_range(class_of(seconds))
    assert low <= seconds
    assert seconds <= high or seconds == 10**7
    assert high <= 1.3 * low + 1


def test_the_last_ce_of_a_share() -> None:
    assert last_of("hole", {"well"}, HOLE + WELL, ()) == []
    assert last_of("hole", {"other"}, HOLE + WELL, ()) == ["s"]
    assert last_of("hole", {"well"}, HOLE + WELL, ("t",)) == ["t"]


@pytest.mark.parametrize(
    ("state", "exit_code", "hours", "outcome"),
    [
        (CeState.FINISHED, 0, 0, "good"),
        (CeState.DONE, None, 0, "good"),
        (CeState.DONE, 1, 0, "bad"),
        (CeState.FAILED, None, 0, "bad"),
        (CeState.LOST, None, 0, "bad"),
        (CeState.TOSUBMIT, None, 0, "gone"),
        (CeState.CANCELLED, None, 0, "gone"),
        (CeState.RUNNING, None, 1.9, None),
        pytest.param(CeState.RUNNING, None, 2, "good", id="no black hole lets a job run for so long"),
        (CeState.SUBMITTED, None, 5.9, None),
        pytest.param(CeState.SUBMITTED, None, 6, "gone", id="never begun: the next one goes"),
        (CeState.SUBMITTING, None, 99, None),
    ],
)
def test_what_a_probe_tells(state: CeState, exit_code: int | None, hours: float, outcome: str | None) -> None:
    end = Stood("hole", state, NOW - hours * HOUR, exit_code)
    assert after_probe(end, 2 * HOUR, BlackHole(), NOW) == outcome


@pytest.fixture
def row(db: Database) -> Callable[[], Ce]:
    """The row of the CE `hole`; beside it there is `well`."""
    sites = {name: Site(kind="local") for name in ("hole", "well")}
    db.write(ces.sync_ces, sites, ces.CONFIG, NOW - timedelta(days=1))
    return lambda: next(one for one in db.read(ces.all_ces) if one.name == "hole")


def _add(db: Database, names: list[str], places: frozenset[str], **columns: Any) -> None:
    jobs = [arrivals.NewJob("manual", name, JobSpec(executable="x"), places, 3, "s") for name in names]
    db.write(arrivals.add_jobs, db.read(tower_id), jobs, NOW)
    if columns:
        db.write(lambda s: s.execute(update(CeJob).where(CeJob.app_job_id.in_(names)).values(**columns)) and None)


def _conclude(db: Database, found: list[Ending], policy: BlackHole) -> None:
    db.write(conclude, suspects(found, policy), found, policy, NOW)


def _told(db: Database) -> list[str]:
    return [line.code for line in reversed(db.read(ledger.lines, ce="hole")) if line.topic == "blackhole"]


def test_by_default_it_is_told_and_nothing_else(db: Database, row: Callable[[], Ce]) -> None:
    for _ in range(2):
        _conclude(db, HOLE + WELL, BlackHole())
    assert row().mode == "on"
    held = db.read(ledger.standing, ces=["hole"])[0]
    told = TELLS[Reason.BLACK_HOLE]
    assert "90 % of them badly (20 jobs, 35 s" in told.why.format_map(held.facts)
    assert "nothing is done" in told.next.format_map(held.facts).lower()
    _conclude(db, WELL, BlackHole())
    assert _told(db) == ["black-hole", ""]


def test_it_rests_and_a_good_probe_ends_that(db: Database, row: Callable[[], Ce]) -> None:
    _conclude(db, HOLE + WELL, REST)
    assert (row().mode, row().mode_owner, row().probe_at) == ("rest", "blackhole", NOW + HOUR)
    _conclude(db, WELL, REST)
    assert _told(db) == ["black-hole"]  # while it rests there is nothing new to judge by
    _add(db, ["probe"], frozenset({"hole"}), state="running", ce="hole")
    db.write(lambda s: s.execute(update(Ce).where(Ce.name == "hole").values(probe_job=_id(s, "probe"))) and None)
    assert db.read(probed, REST, NOW) == []
    for state, outcome, probe_at in (("failed", "bad", NOW + HOUR), ("void", "gone", NOW), ("finished", "good", None)):
        db.write(lambda s: s.execute(update(Ce).where(Ce.name == "hole").values(probe_job=_id(s, "probe"))) and None)
        _put(db, "probe", state=state)
        assert db.read(probed, REST, NOW) == ["hole"]
        assert db.write(judge_probe, "hole", REST, NOW) == outcome
        assert (row().probe_job, row().probe_at) == (None, probe_at)
    assert (row().mode, _told(db)) == ("on", ["black-hole", ""])
    assert db.write(judge_probe, "hole", REST, NOW) is None


def _id(session: Session, name: str) -> int:
    return session.query(CeJob.id).where(CeJob.app_job_id == name).scalar() or 0


def _put(db: Database, name: str, **columns: Any) -> None:
    db.write(lambda s: s.execute(update(CeJob).where(CeJob.app_job_id == name).values(**columns)) and None)


@pytest.mark.parametrize(
    "why", ["nobody else is on", "the other gets no jobs", "jobs wait for it alone", "the operator decided"]
)
def test_when_it_does_not_rest(db: Database, row: Callable[[], Ce], why: str) -> None:
    if why == "nobody else is on":
        db.write(set_mode, "well", Wanted(Mode.STOP, OPERATOR), NOW)
    elif why == "the other gets no jobs":
        db.write(lambda s: s.execute(update(Ce).where(Ce.name == "well").values(maxjobs=0)) and None)
    elif why == "jobs wait for it alone":
        _add(db, ["waits"], frozenset({"hole"}))
    else:
        db.write(set_mode, "hole", Wanted(Mode.DRAIN, OPERATOR), NOW)
    _conclude(db, HOLE + WELL, REST)
    assert (row().mode_owner, row().probe_at) == (OPERATOR if why.endswith("decided") else "config", None)
    assert _told(db) == ["black-hole"]


def test_what_the_tables_say_of_ended_jobs(db: Database, row: Callable[[], Ce]) -> None:
    here = frozenset({"hole"})
    over = {"ce": "hole", "ended_at": NOW, "wall_s": 30}
    _add(db, ["good", "good too"], here, state="done", **over)
    _add(db, ["bad"], here, state="donefailed", **over)
    _add(db, ["bad by its exit code"], here, state="finished", exit_code=3, **over)
    _add(db, ["old"], here, state="done", **(over | {"ended_at": NOW - 7 * HOUR}))
    _add(db, ["killed"], here, state="cancelled", **over)
    _add(db, ["never ran"], here, state="donefailed", **(over | {"wall_s": None}))
    found = db.read(endings, NOW - 6 * HOUR)
    assert sorted((one.failed, one.n) for one in found) == [(False, 2), (True, 2)]
    db.write(lambda s: s.execute(update(Ce).values(mode_since=NOW + HOUR)) and None)
    assert db.read(endings, NOW - 6 * HOUR) == []  # before its mode changed


def test_what_was_there_already_does_not_put_the_probe_off(db: Database, row: Callable[[], Ce]) -> None:
    _conclude(db, HOLE + WELL, REST)
    found = ended("hole", 90, 5, 90) + WELL
    db.write(conclude, suspects(found, REST), found, REST, NOW + HOUR / 2)
    assert row().probe_at == NOW + HOUR
    db.write(lambda s: s.execute(update(Ce).where(Ce.name == "hole").values(probe_at=None, probe_job=7)) and None)
    db.write(conclude, suspects(found, REST), found, REST, NOW + HOUR)
    assert (row().probe_at, row().probe_job) == (None, 7)


def test_a_probe_that_another_ce_took_says_nothing_of_this_one(db: Database, row: Callable[[], Ce]) -> None:
    _conclude(db, HOLE + WELL, REST)
    _add(db, ["probe"], frozenset({"hole", "well"}), state="finished", exit_code=0, ce="well")
    db.write(lambda s: s.execute(update(Ce).where(Ce.name == "hole").values(probe_job=_id(s, "probe"))) and None)
    assert db.read(probed, REST, NOW) == ["hole"]
    assert db.write(judge_probe, "hole", REST, NOW) == "gone"
    assert (row().mode, row().probe_job, row().probe_at) == ("rest", None, NOW)


def test_a_probe_that_runs_far_longer_than_bad_jobs_ends_the_rest(db: Database, row: Callable[[], Ce]) -> None:
    _conclude(db, HOLE + WELL, REST)  # elsewhere jobs take 48 min at least: a fifth of that is long enough
    _add(db, ["probe"], frozenset({"hole"}), state="running", ce="hole", state_since=NOW)
    db.write(lambda s: s.execute(update(Ce).where(Ce.name == "hole").values(probe_job=_id(s, "probe"))) and None)
    minute = timedelta(minutes=1)
    assert [db.read(probed, REST, NOW + n * minute) for n in (9, 12)] == [[], ["hole"]]
    assert db.write(judge_probe, "hole", REST, NOW + 12 * minute) == "good"
    assert (row().mode, row().probe_job, _told(db)) == ("on", None, ["black-hole", ""])


def test_a_probe_that_never_begins_is_followed_by_another(db: Database, row: Callable[[], Ce]) -> None:
    _conclude(db, HOLE + WELL, REST)
    _add(db, ["probe"], frozenset({"hole"}), state="submitted", ce="hole", state_since=NOW)
    db.write(lambda s: s.execute(update(Ce).where(Ce.name == "hole").values(probe_job=_id(s, "probe"))) and None)
    assert db.write(judge_probe, "hole", REST, NOW + 5 * HOUR) is None
    assert db.write(judge_probe, "hole", REST, NOW + 6 * HOUR) == "gone"
    assert (row().mode, row().probe_job, row().probe_at) == ("rest", None, NOW + 6 * HOUR)
    _add(db, ["next"], frozenset({"hole"}))
    terms = Terms(Limits(0), timedelta(0), timedelta(seconds=30))
    assert [one.app_job_id for one in db.write(claim, "hole", terms, NOW + 6 * HOUR).written] == ["next"]
