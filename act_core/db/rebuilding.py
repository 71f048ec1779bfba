"""Attempts that are written anew, as their jobs on the CEs tell of them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from act_core.db import claims
from act_core.db.arrivals import placement
from act_core.db.attempts import Attempt, as_attempt, attempts, made_at
from act_core.db.bulk import chunks, insert_rows, inserted_ids, update_rows
from act_core.db.models import CeJob, CeJobArchive, CeJobEvent, Description
from act_core.decisions import Decision, Move
from act_core.ids import RemoteId, SubmissionKey
from act_core.jobspec import JobSpec
from act_core.states import FINAL, CeState, Request

ACTOR = "recovery"
Name = tuple[str, str]  # application, its job


@dataclass(frozen=True, slots=True)
class Known:
    """An attempt of a job that the tables have."""

    attempt: int
    key: SubmissionKey
    row: Attempt | None  # None: it is at rest, or over


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """An attempt that is to be written. `unwanted`: its job is over; `behind`: the key of a later attempt."""

    app: str
    job: str
    attempt: int
    key: SubmissionKey
    remote_id: RemoteId
    share: str
    spec: JobSpec
    commit: bool  # it may wait for nothing but our commit
    unwanted: bool = False
    behind: SubmissionKey | None = None


def known(session: Session, names: Collection[Name]) -> dict[Name, list[Known]]:
    """What the tables have of these jobs, rows at rest included."""
    found: dict[Name, list[Known]] = {}
    for app in sorted({app for app, _ in names}):
        for chunk in chunks(sorted(job for of, job in names if of == app)):
            rest = (CeJobArchive.app == app, CeJobArchive.app_job_id.in_(chunk))
            columns = (CeJobArchive.app_job_id, CeJobArchive.attempt, CeJobArchive.submission_key)
            for job, attempt, key in session.execute(select(*columns).where(*rest)):
                found.setdefault((app, job), []).append(Known(attempt, SubmissionKey(key), None))
            for row in session.execute(attempts().where(CeJob.app == app, CeJob.app_job_id.in_(chunk))):
                one = as_attempt(row)
                living = None if one.state in FINAL else one
                found.setdefault((app, one.app_job_id), []).append(Known(one.attempt, one.key, living))
    return found


def enter(
    session: Session,
    ce: str,
    new: Sequence[Rebuilt],
    passed: Mapping[SubmissionKey, Attempt],
    credential: int | None,
    now: datetime,
) -> None:
    """Write them; `passed`: rows that a later attempt has passed, by the key of that one, which inherits from them."""
    if new:
        place = placement(session, frozenset({ce}), now)
        bare = [one for one in new if one.key not in passed]
        told = [{"spec": one.spec.model_dump_json(exclude_defaults=True), "created": now} for one in bare]
        ids = [one for chunk in chunks(told) for one in inserted_ids(session, Description, chunk)]
        own = {one.key: {"description_id": n} for one, n in zip(bare, ids, strict=True)} | _inherited(session, passed)
        left = {one.key: _left(one, passed.get(one.key)) for one in new}
        rows = [_row(one, ce, place, credential, now) | own[one.key] | left[one.key] for one in new]
        insert_rows(session, CeJob, rows)
        _tell(session, ce, new, now)
    _pass(session, passed, now)


def _inherited(session: Session, passed: Mapping[SubmissionKey, Attempt]) -> dict[SubmissionKey, dict[str, Any]]:
    """What an attempt has of the one before it, its whole description above all: a row of an older copy knows it."""
    columns = (CeJob.id, *(getattr(CeJob, name) for name in claims.INHERITED))
    found: dict[int, dict[str, Any]] = {}
    for chunk in chunks(sorted({row.id for row in passed.values()})):
        for row in session.execute(select(*columns).where(CeJob.id.in_(chunk))):
            found[row.id] = {name: getattr(row, name) for name in claims.INHERITED}
    return {key: found[row.id] for key, row in passed.items()}


def _left(one: Rebuilt, before: Attempt | None) -> dict[str, int]:
    """What the earlier attempt had, less those since: some may have cost none, so that it is the least.

    Without one nothing can follow: a mark holds no arguments and no inputs, and the next attempt would be another job.
    """
    since = 0 if before is None else one.attempt - before.attempt
    return {"attempts_left": 0 if before is None else max(0, before.attempts_left - since)}


def _row(one: Rebuilt, ce: str, place: int, credential: int | None, now: datetime) -> dict[str, Any]:
    """As submitted: what has become of it meanwhile is the next poll's to find out, in the usual way."""
    over = one.behind is not None
    likely = one.spec.likely
    return dict.fromkeys(claims.INHERITED) | {
        "app": one.app,
        "app_job_id": one.job,
        "attempt": one.attempt,
        "submission_key": one.key,
        "placement_id": place,
        "ce": ce,
        "state": (CeState.LOST if over else CeState.SUBMITTED).value,
        "state_since": now,
        "remote_id": one.remote_id,
        "inputs_sent_at": None if one.commit and not (over or one.unwanted) else now,
        "request": Request.CLEAN.value if one.unwanted and not over else None,
        "request_at": now if one.unwanted and not over else None,
        "released_at": now if over or one.unwanted else None,
        "superseded_by": one.behind,
        "news": not (over or one.unwanted),
        "priority": one.spec.priority,
        "share": one.share,
        "cores_asked": one.spec.cores,
        "proxy_copy": one.spec.proxy_copy,
        "walltime_s": None if likely is None else int(likely.total_seconds()),
        "credential_id": credential,
        "created": made_at(one.key) or now,
        "modified": now,
    }


def _tell(session: Session, ce: str, new: Sequence[Rebuilt], now: datetime) -> None:
    """An event for each."""
    by_key = {one.key: one for one in new}
    for chunk in chunks(sorted(by_key)):
        rows = session.execute(
            select(CeJob.id, CeJob.submission_key, CeJob.state).where(CeJob.submission_key.in_(chunk))
        )
        events = [
            {
                "job_id": row.id,
                "attempt": by_key[row.submission_key].attempt,
                "at": now,
                "from_state": row.state,
                "to_state": row.state,
                "reason": _words(by_key[row.submission_key], ce),
                "actor": ACTOR,
                "ce": ce,
            }
            for row in rows
        ]
        insert_rows(session, CeJobEvent, events)


def _words(one: Rebuilt, ce: str) -> str:
    why = "; its job is over: it is cleaned away" if one.unwanted else ""
    why = f"; a later attempt is known ({one.behind}): it is killed at the second sighting" if one.behind else why
    return f"rebuilt: found on {ce} as {one.remote_id}{why}"


def _pass(session: Session, passed: Mapping[SubmissionKey, Attempt], now: datetime) -> None:
    """Rows of an older copy of the database: they were dead when the later attempt was made."""
    decisions: dict[Attempt, Decision] = {row: _dead(row, key) for key, row in passed.items()}
    settled = claims.settle(session, decisions, now, ACTOR)
    behind = {row.id: key for key, row in passed.items() if row.id in settled.written}
    values = {one: {"superseded_by": key, "released_at": now} for one, key in behind.items()}
    update_rows(session, CeJob, values, versioned=False)


def _dead(row: Attempt, key: SubmissionKey) -> Move:
    ends = {CeState.TOSUBMIT: CeState.CANCELLED, CeState.SUBMITTING: CeState.VOID}
    return Move(ends.get(row.state, CeState.LOST), f"a later attempt was found on a CE: {key}")
