"""A database of the schema before, with jobs in every state, is upgraded; the tower finishes the jobs."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import JSON, MetaData, func, insert, select, update
from sqlalchemy.orm import Session

from act_core.ce.base import ComputingElement, RemoteId, SubmissionKey, TowerId
from act_core.ce.registry import open_ce
from act_core.db import bootstrap, listing
from act_core.db.models import CeJob, CeJobEvent
from act_core.db.policy_models import BrakeRow, LedgerLine
from act_core.db.session import Database
from act_core.jobspec import JobSpec
from act_core.runtime import Runtime
from act_core.settings.model import ArcSettings, Jobs, Settings, Site
from act_core.settings.policy import Clean
from act_core.stages import Tower, sweep
from act_core.states import FINAL, CeState

BEFORE, TOWER = "0004", TowerId("abcdefgh")
STAGES = ("submit", "sweep-status", "fetch-validate", "clean")
SPEC = JobSpec(executable="/bin/sh", arguments=("-c", "echo done > out.txt"))
AT_THE_CE = [state for state in CeState if state not in (CeState.TOSUBMIT, CeState.SUBMITTING, *FINAL)]
ENDS: Mapping[CeState, set[str]] = {  # where each is in the end; a real CE says what became of its job
    CeState.TOSUBMIT: {"done"},
    CeState.SUBMITTING: {"done"},  # nobody knows it: void, and the next attempt
    CeState.CANCELLING: {"cancelled", "done", "donefailed"},
    CeState.FAILED: {"donefailed"},
    **{state: {state.value} for state in FINAL},
}


@pytest.fixture
def settings(empty_settings: Settings) -> Settings:
    jobs = Jobs(checkinterval="0", checkmintime="0", spread="0", fetchbackoff="0", grace="0")
    parts = {"sites": {"here": Site(kind="local", options={"slots": 9})}, "jobs": jobs, "clean": Clean(keepfailed="0")}
    arc: ArcSettings = empty_settings.arc.model_copy(update=parts)
    return empty_settings.model_copy(update={"arc": arc})


def key(state: CeState) -> SubmissionKey:
    return SubmissionKey(f"act-{TOWER}-{state.value:0>26}")


def attempt(number: int, state: CeState, now: datetime) -> dict[str, Any]:
    times = dict.fromkeys(("state_since", "created", "modified"), now)
    what = {"id": number, "app": "manual", "app_job_id": state.value, "attempt": 1, "attempts_left": 3}
    common = {"version": 1, "tries": 0, "reruns": 0, "news": state is CeState.FAILED, "priority": 50, "share": ""}
    there = state in AT_THE_CE or state in FINAL
    where = {"ce": None if state is CeState.TOSUBMIT else "here", "remote_id": key(state) if there else None}
    more: dict[str, Any] = {"inputs_sent_at": now} if there else {}
    if state is CeState.SUBMITTING:
        more = {"send_deadline": now - timedelta(hours=1), "due_at": now - timedelta(hours=1)}
    if state in FINAL:
        more |= {"ce_clean_at": now}
    ids = {"submission_key": key(state), "placement_id": 1, "description_id": 1}
    return {**times, **what, **common, **where, **ids, **more, "state": state.value}


def fill(db: Database, now: datetime) -> None:
    """As the version before left it: the tower, its CE, and an attempt in every state, with all that is told of it."""
    tables = MetaData()
    with db.engine.begin() as connection:
        tables.reflect(connection)

        def put(name: str, *rows: dict[str, Any]) -> None:
            table = tables.tables[name]
            as_json = isinstance(table.c["facts"].type, JSON) if "facts" in table.c else False  # MariaDB: a text
            for row in rows:
                connection.execute(insert(table), [row | {"facts": {}} if as_json else row])

        put("tower", {"id": 1, "tower_id": TOWER, "generation": 7, "made": now})
        ce = {"name": "here", "endpoint": "", "kind": "local", "origin": "config", "mode": "on", "named_mode": "on"}
        put("ces", ce | {"maxjobs": 99, "failures": 0, "modified": now})
        put("placements", {"id": 1, "digest": "d"})
        put("placement_ces", {"placement_id": 1, "ce": "here"})
        put("job_descriptions", {"id": 1, "spec": SPEC.model_dump_json(), "created": now})
        put("ce_jobs", *(attempt(number, state, now) for number, state in enumerate(CeState, 1)))
        happened = {"attempt": 1, "at": now, "from_state": "tosubmit", "to_state": "x", "reason": "r", "actor": "old"}
        put("ce_job_events", *(happened | {"job_id": number} for number in range(1, len(CeState) + 1)))
        why = {"topic": "submit", "ce": "here", "share": "", "job_id": 0, "code": "full", "n": 1, "facts": "{}"}
        put("ledger", why | {"at": now})
        put("ledger_now", why | {"since": now})
        brake = {"scope": "ce:other", "kind": "lose", "source": "ce:other", "n": 9, "living": 9, "facts": "{}"}
        put("brakes", brake | {"since": now, "seen_at": now, "passed": 0})


@pytest.fixture
async def upgraded(
    settings: Settings, end_all: Callable[[ComputingElement, Path], Awaitable[None]]
) -> AsyncIterator[Tower]:
    """The tower of today over that database; what its CE was sent before is there."""
    now = datetime.now(UTC)
    db = Database(settings)
    config = bootstrap._config()
    with db.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, BEFORE)
    fill(db, now)
    here = open_ce(settings, "here", lambda: now, tower=TOWER)
    await here.submit({key(state): SPEC for state in AT_THE_CE})
    await here.put_inputs({RemoteId(key(state)): SPEC.uploads for state in AT_THE_CE})
    made = bootstrap.bootstrap(db, now)
    assert (made.before, made.tower) == (BEFORE, TOWER)
    bootstrap.enter_configured(db, settings, now)
    db.close()
    async with Runtime.open(settings) as rt:
        yield Tower(rt)
        await end_all(await rt.ce("here"), settings.state_dir / "local" / "here")
    await here.close()


async def test_the_tower_finishes_what_the_version_before_began(
    upgraded: Tower, eventually: Callable[..., Awaitable[Any]]
) -> None:
    rt = upgraded.rt

    async def settled() -> bool:
        for stage in STAGES:
            await sweep(upgraded, stage)
        await rt.write(no_pause)
        return await rt.read(listing.unsettled) == 0

    await eventually(settled, "every job is over")
    newest = select(CeJob.app_job_id, CeJob.state).where(CeJob.superseded_by.is_(None))
    found = {
        CeState(job): state for job, state in await rt.read(lambda session: session.execute(newest).tuples().all())
    }
    assert set(found) == set(CeState)
    wrong = {job: state for job, state in found.items() if state not in ENDS.get(job, {"done"})}
    assert wrong == {}
    assert all(await rt.read(still_told))


def no_pause(session: Session) -> None:
    """The quarter of a minute after a submission that nobody knows is over."""
    session.execute(update(CeJob).where(CeJob.state == CeState.TOSUBMIT.value).values(due_at=None))


def ends(session: Session) -> dict[CeState, str]:
    newest = select(CeJob.app_job_id, CeJob.state).where(CeJob.superseded_by.is_(None))
    return {CeState(job): state for job, state in session.execute(newest).tuples()}


def still_told(session: Session) -> list[bool]:
    """The old events and reasons, with new ones after them."""
    tables = ((CeJobEvent, len(CeState) + 1), (LedgerLine, 1), (BrakeRow, 1))
    return [(session.scalar(select(func.count()).select_from(table)) or 0) >= least for table, least in tables]
