"""Claims in real tables: the limits are exact, whoever claims, and whatever becomes of the jobs."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, update
from sqlalchemy.orm import Session

from act_core.db import arrivals, ces, claims, downtimes, filling, wishes
from act_core.db.attempts import Attempt, as_attempt, attempts
from act_core.db.bootstrap import tower_id
from act_core.db.downtimes import Downtime
from act_core.db.models import Ce, CeJob
from act_core.db.modes import BLACKHOLE, Mode
from act_core.db.session import Database
from act_core.decisions import Move
from act_core.engine.claim import Claimed, Terms, claim
from act_core.engine.fill import Limits
from act_core.engine.identity import Identity
from act_core.engine.rerun import after_wish
from act_core.jobspec import PROXY_ENVIRONMENT, JobSpec, RuntimeEnvironment
from act_core.reasons import Reason
from act_core.settings.model import Site
from act_core.states import CeState, Request

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
TERMS = Terms(Limits(0, a=0, b=1000), timedelta(0), timedelta(seconds=30))


class Tables:
    """One CE, `ce`, and jobs that wait for it."""

    def __init__(self, db: Database, maxjobs: int = 100) -> None:
        self.db, self.n, self.tower = db, 0, db.read(tower_id)
        db.write(ces.sync_ces, {"ce": Site(kind="local", maxjobs=maxjobs)}, ces.CONFIG, NOW)

    def add(self, n: int, share: str = "", **spec: Any) -> None:
        names = [f"j{i}" for i in range(self.n, self.n + n)]
        self.n += n
        jobs = [
            arrivals.NewJob("manual", name, JobSpec(executable="x", **spec), frozenset({"ce"}), 3, share)
            for name in names
        ]
        self.db.write(arrivals.add_jobs, self.tower, jobs, NOW)

    def put(self, **columns: Any) -> None:
        self.db.write(lambda session: session.execute(update(Ce).values(**columns)) and None)

    def claim(self, terms: Terms = TERMS, now: datetime = NOW) -> Claimed:
        return self.db.write(claim, "ce", terms, now)

    def all(self, *states: CeState) -> list[Attempt]:
        def read(session: Session) -> list[Attempt]:
            question = attempts().where(CeJob.state.in_([state.value for state in states])).order_by(CeJob.id)
            return [as_attempt(row) for row in session.execute(question)]

        return self.db.read(read)

    def settle(self, decide: Callable[[Attempt], Any], *states: CeState) -> None:
        self.db.write(claims.settle, {one: decide(one) for one in self.all(*states)}, NOW, "test")

    def on_ce(self) -> int:
        return sum(one.jobs for one in self.db.read(filling.standing, "ce"))

    @property
    def ce(self) -> Ce:
        return self.db.read(ces.all_ces)[0]


@pytest.fixture
def tables(db: Database) -> Tables:
    return Tables(db)


def test_a_job_for_which_nobody_vouches_any_more_is_held_and_not_cancelled(tables: Tables) -> None:
    tables.add(3)
    until = NOW + timedelta(seconds=10)
    tables.db.write(wishes.vouch, "manual", ["j0", "j1"], until)
    assert [one.app_job_id for one in tables.claim(now=until).written] == ["j2"]
    assert {one.app_job_id for one in tables.all(CeState.TOSUBMIT)} == {"j0", "j1"}
    tables.db.write(wishes.vouch, "manual", ["j0"], until + HOUR)
    (sent,) = tables.claim(now=until).written
    assert (sent.app_job_id, sent.send_deadline) == ("j0", until + TERMS.patience)


def test_what_is_sent_is_sent_before_nobody_vouches_for_it(tables: Tables) -> None:
    tables.add(1)
    until = NOW + timedelta(seconds=10)
    tables.db.write(wishes.vouch, "manual", ["j0"], until)
    (sent,) = tables.claim().written
    assert (sent.send_deadline, sent.due_at) == (until, until)
    tables.settle(lambda _: Move(CeState.VOID, "never arrived", successor=True), CeState.SUBMITTING)
    (heir,) = tables.all(CeState.TOSUBMIT)
    assert heir.vouched_until == until


def test_two_submitters_without_leases_never_send_too_much(db: Database) -> None:
    tables = Tables(db, maxjobs=25)
    tables.add(60)
    together = threading.Barrier(4)

    def submit(_: int) -> list[int]:
        together.wait(timeout=20)
        return [
            one.id for _ in range(4) for one in tables.claim(replace(TERMS, limits=Limits(0, b=1000, most=3))).written
        ]

    with ThreadPoolExecutor(4) as threads:
        sent = [one for some in threads.map(submit, range(4)) for one in some]
    assert (len(sent), len(set(sent)), tables.on_ce()) == (25, 25, 25)
    assert {held.reason for held in tables.claim().held.values()} == {Reason.FULL}


def test_reruns_and_resubmissions_stay_below_maxjobs(db: Database) -> None:
    tables = Tables(db, maxjobs=3)
    tables.add(5)
    assert len(tables.claim().written) == 3
    tables.settle(lambda one: Move(CeState.SUBMITTED, "x", {"remote_id": f"r{one.id}"}), CeState.SUBMITTING)
    tables.settle(lambda one: Move(CeState.FAILED, "x"), CeState.SUBMITTED)
    assert tables.claim().written == []  # failed jobs keep their place: they may be rerun
    again, anew, _ = tables.all(CeState.FAILED)
    tables.db.write(claims.settle, {again: Move(CeState.SUBMITTED, "restarted")}, NOW, "test")
    wished = replace(anew, request=Request.RESUBMIT, request_at=NOW)
    decision = after_wish(wished, NOW)
    assert decision
    tables.db.write(claims.settle, {anew: decision}, NOW, "test")
    assert tables.on_ce() == 2
    assert len(tables.claim().written) == 1
    assert (tables.on_ce(), tables.claim().written) == (3, [])


def test_order_and_identity_are_written(tables: Tables) -> None:
    tables.add(1, "a", priority=10)
    tables.add(1, "a", priority=60)
    tables.add(1, "b", priority=30)
    shown = Identity(7, "/CN=robot", NOW + 96 * HOUR, NOW + 84 * HOUR)
    made = tables.claim(replace(TERMS, shown=shown, proxy_covers=34 * HOUR))
    assert [one.priority for one in made.written] == [60, 30, 10]
    rows = tables.all(CeState.SUBMITTING)
    assert {(one.credential_id, one.proxy_until) for one in rows} == {(7, None)}
    assert [one.version for one in made.written] == [1, 1, 1]
    assert tables.ce.queued_since == NOW


def test_the_rate_is_kept_over_restarts(tables: Tables) -> None:
    tables.add(30)
    terms = replace(TERMS, limits=replace(TERMS.limits, rate=10))
    assert [len(tables.claim(terms, NOW + timedelta(seconds=s)).written) for s in (0, 30, 59, 60)] == [10, 0, 0, 10]
    assert len(tables.ce.sent or []) == 1


def test_a_rerun_after_days_of_silence_is_no_stalled_queue(tables: Tables) -> None:
    tables.add(30)
    small = replace(TERMS, limits=Limits(0, a=0, b=4, most=1))
    tables.claim(small)
    tables.settle(lambda one: Move(CeState.SUBMITTED, "x", {"remote_id": "r"}), CeState.SUBMITTING)
    tables.settle(lambda one: Move(CeState.FAILED, "x"), CeState.SUBMITTED)
    later, failed = NOW + 50 * HOUR, tables.all(CeState.FAILED)
    tables.db.write(claims.settle, {one: Move(CeState.SUBMITTED, "again") for one in failed}, later, "test")
    many = replace(small, limits=replace(small.limits, most=20))
    assert len(tables.claim(many, later).written) == 3
    (held,) = tables.claim(many, later + 4 * HOUR).held.values()
    assert held.reason is Reason.STALLED


def test_jobs_that_their_proxy_would_not_outlive_wait(tables: Tables) -> None:
    copied = (RuntimeEnvironment(name=PROXY_ENVIRONMENT),)
    for hours in (30, 40):
        tables.add(1, f"{hours} h", walltime=hours * HOUR, runtime_environments=copied)
    tables.add(1, "as long as it covers", walltime=34 * HOUR, runtime_environments=copied)
    tables.add(1, "a second more", walltime=34 * HOUR + timedelta(seconds=1), runtime_environments=copied)
    tables.add(1, "unknown", runtime_environments=copied)
    tables.add(1, "no copy", walltime=40 * HOUR)
    tables.add(1, "asks for more", walltime=99 * HOUR, expected=30 * HOUR, runtime_environments=copied)
    shown = Identity(7, "/CN=robot", NOW + 96 * HOUR, NOW + 84 * HOUR)
    made = tables.claim(replace(TERMS, shown=shown, proxy_covers=34 * HOUR))
    assert {one.share: one.proxy_until for one in made.written} == {
        "30 h": shown.proxy_until,
        "as long as it covers": shown.proxy_until,
        "asks for more": shown.proxy_until,
        "unknown": shown.proxy_until,
        "no copy": None,
    }
    assert {share: held.reason for share, held in made.held.items()} == dict.fromkeys(
        ("40 h", "a second more"), Reason.PROXY_SHORT
    )
    nothing = tables.claim(replace(TERMS, shown=shown, proxy_covers=-HOUR))
    assert (nothing.written, set(nothing.held)) == ([], {"40 h", "a second more"})


def test_before_a_downtime_only_what_ends_before_it(tables: Tables) -> None:
    tables.db.write(
        downtimes.sync_downtimes, "config", [Downtime("ce", NOW + 5 * HOUR, NOW + 9 * HOUR, reason="power")]
    )
    tables.add(1, "short", walltime=5 * HOUR)
    tables.add(1, "long", walltime=6 * HOUR)
    tables.add(1, "unknown")
    made = tables.claim()
    assert [one.share for one in made.written] == ["short"]
    assert {share: held.reason for share, held in made.held.items()} == dict.fromkeys(
        ("long", "unknown"), Reason.DOWNTIME_AHEAD
    )
    assert made.held["long"].facts == {"start": "2026-03-01 17:00", "end": "2026-03-01 21:00", "reason": "power"}
    during = tables.claim(now=NOW + 6 * HOUR)
    assert (during.written, during.looked) == ([], False)
    assert len(tables.claim(replace(TERMS, fit=False)).written) == 2


def test_a_ce_that_is_not_on_gets_nothing(tables: Tables) -> None:
    tables.add(2)
    for mode in Mode:
        tables.put(mode=mode.value)
        assert bool(tables.claim().written) == (mode is Mode.ON), mode


def test_a_black_hole_that_rests_gets_one_probe(tables: Tables) -> None:
    tables.add(3)
    tables.put(mode="rest", mode_owner=BLACKHOLE, probe_at=NOW)
    assert tables.claim(now=NOW - timedelta(seconds=1)).written == []
    (probe,) = tables.claim().written
    assert tables.ce.probe_job == probe.id
    assert tables.claim().written == []


def test_late_jobs_are_cancelled_even_where_the_queue_is_full(tables: Tables) -> None:
    tables.add(1, priority=90)
    tables.claim()
    tables.add(2)
    tables.db.write(
        lambda s: s.execute(update(CeJob).where(CeJob.app_job_id == "j1").values(submit_before=NOW)) and None
    )
    made = tables.claim(replace(TERMS, limits=Limits(0, a=0, b=0)))
    assert (made.written, {held.reason for held in made.held.values()}) == ([], {Reason.QUEUE_FULL})
    assert len(tables.all(CeState.CANCELLED)) == 1


def test_the_number_of_statements_does_not_grow(tables: Tables) -> None:
    def statements(jobs: int) -> int:
        for share in "abcdef"[: jobs // 10]:
            tables.add(10, share)
        sent: list[str] = []
        event.listen(tables.db.engine, "before_cursor_execute", lambda *a: sent.append(a[2]))
        assert len(tables.claim().written) == jobs
        return len(sent)

    statements(10)  # the first one of all writes since when jobs are queued
    assert statements(10) == statements(60) <= 15
