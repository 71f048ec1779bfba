"""A job is finished when its outputs are on storage, whole: size and checksum, as the pilot wrote them."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from act_core.atlas import books
from act_core.atlas.books import Booked, Change, app_of
from act_core.atlas.checks import Checks, Looked
from act_core.atlas.final import STAGE_OUT_FAILED
from act_core.atlas.instance import server_of
from act_core.atlas.outputs import Judged, judged
from act_core.atlas.reports import Update
from act_core.atlas.storages import storage
from act_core.db import reruns, wishes
from act_core.db.panda_models import PandaRow
from act_core.db.reruns import Standing
from act_core.runtime import Counts, Runtime
from act_core.settings.app_model import Validation
from act_core.states import CeState, PandaState, Request

BATCH = 300
MOST = 3000  # jobs that are asked about at a time
KEY = "storage"
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=15), timedelta(hours=1)
UNASKED_PAUSE = timedelta(minutes=1)  # the storage rests, or its round was over
CLAIM = timedelta(minutes=1)  # beyond the deadline of a round: then whoever asked is gone


async def due(rt: Runtime) -> Sequence[str]:
    waits = checks(rt).over() or await rt.read(_any_due, server_of(rt), rt.now())
    return [KEY] if waits else []


def checks(rt: Runtime) -> Checks:
    """What this process asks storage at the moment."""
    return rt.kept(Checks, lambda _: Checks())


def _due(server: str, now: datetime) -> tuple[Any, ...]:
    return (
        PandaRow.state == PandaState.TOVALIDATE.value,
        PandaRow.check_due_at <= now,
        PandaRow.server == server,
    )


def _any_due(session: Session, server: str, now: datetime) -> bool:
    return session.execute(select(PandaRow.id).where(*_due(server, now)).limit(1)).scalar() is not None


def _rows(session: Session, server: str, now: datetime) -> list[Booked]:
    return books.picked(session, *_due(server, now), limit=BATCH, texts=("outputs", "job"))


def after_check(row: Booked, said: Judged, now: datetime, rules: Validation, denied: str = "") -> Change:
    """What becomes of a job. `denied`: why it cannot run anew, if it cannot."""
    done = {"check_due_at": None}
    if said.action == "accept":
        return Change(
            PandaState.TOREPORT, done | {"heartbeat_due_at": now, "error": None, "unverified": said.unverified}
        )
    if said.action == "fail":
        return _failed(row, f"output not valid on storage: {said.words}", now)
    if said.action == "rerun" and denied:
        return _failed(row, f"output not valid on storage ({denied}): {said.words}", now)
    if said.action == "rerun":
        nothing = dict.fromkeys(("outputs", "report", "ended_at"))
        return Change(PandaState.STARTING, done | nothing | {"checks": 0, "error": f"it runs anew: {said.words}"})
    return _again(row, said, now, rules)


def _again(row: Booked, said: Judged, now: datetime, rules: Validation) -> Change:
    """Asked in vain; a question that nobody asked counts no try, but the patience with a storage ends."""
    since = row.state_since or now
    if said.asked and row.checks + 1 >= rules.tries:
        return _failed(row, f"output could not be checked {rules.tries} times: {said.words}", now)
    if now - since > rules.patience:
        hours = rules.patience.total_seconds() / 3600
        return _failed(row, f"output could not be checked within {hours:g} h: {said.words}", now)
    pause = min(FIRST_PAUSE * int(2 ** min(row.checks, 12)), LONGEST_PAUSE)
    if not said.asked:
        return Change(None, {"check_due_at": now + max(pause, UNASKED_PAUSE), "error": said.words})
    return Change(None, {"checks": row.checks + 1, "check_due_at": now + pause, "error": said.words})


def _failed(row: Booked, why: str, now: datetime) -> Change:
    """The report that was written for success becomes one of failure; the rest of it stays true."""
    assert row.report is not None
    verdict = {"job_status": "failed", "pilot_error_code": STAGE_OUT_FAILED, "pilot_error_diag": why}
    report = Update.model_validate({**json.loads(row.report), **verdict}).model_dump_json(exclude_none=True)
    return Change(PandaState.TOREPORT, {"report": report, "heartbeat_due_at": now, "check_due_at": None, "error": why})


async def validate(rt: Runtime, _key: str) -> Counts:
    """One round: all files of a batch of jobs, side by side at each storage host.

    A job is settled when its own files are answered. What takes longer than a round goes on beside it, and is settled
    by a later one.
    """
    mine, counts = checks(rt), Counts()
    rows = await rt.read(_rows, server_of(rt), rt.now()) if len(mine) < MOST else []
    begun = mine.begin(storage(rt), mine.not_begun(rows))
    try:
        async for looked in mine.answered(begun, rt.lasting):
            counts += await _settle(rt, looked)
    finally:
        await _claim(rt, mine)
    mine.raise_errors()
    return counts


async def _claim(rt: Runtime, mine: Checks) -> None:
    """Nobody else asks for what is under way, until the round that asks is over."""
    left = mine.unclaimed()
    if not left:
        return
    now = rt.now()
    until = now + rt.settings.app.validation.deadline + CLAIM
    settled = await rt.write(books.settle, {row: Change(None, {"check_due_at": until}) for row in left}, now)
    mine.claimed(settled.written)


async def _settle(rt: Runtime, looked: Sequence[Looked]) -> Counts:
    rules = rt.settings.app.validation
    said = {one.row.id: judged(one.files, one.said, rules) for one in looked}
    doubtful = {row_id for row_id, one in said.items() if one.action != "accept"}
    rows = await rt.read(books.with_reports, [one.row for one in looked], doubtful)  # who is left out is asked for anew
    counts = await rt.write(_write, app_of(rt.settings), rows, said, rules, rt.now())
    return Counts(f"files {verdict.outcome}" for one in looked for verdict in one.verdicts()) + counts


def _write(
    session: Session,
    app: str,
    rows: Sequence[Booked],
    said: Mapping[int, Judged],
    rules: Validation,
    now: datetime,
) -> Counts:
    """The verdicts, and in the same transaction what the engine does about the attempts."""
    books.lock(session, rows)
    stands = reruns.standing(session, app, [row.app_job_id for row in rows])
    changes = {row: after_check(row, said[row.id], now, rules, denied(stands.get(row.app_job_id), now)) for row in rows}
    settled = books.settle(session, changes, now)
    anew = [row for row in settled.written if changes[row].to is PandaState.STARTING]
    over = [row for row in settled.written if changes[row].to is PandaState.TOREPORT]
    wishes.wish_of(session, [stands[row.app_job_id].id for row in anew], Request.RESUBMIT, now)
    ended = [stands[row.app_job_id] for row in over if row.app_job_id in stands]
    wishes.wish_of(session, [one.id for one in ended if not one.clean], Request.CLEAN, now)
    return settled.counts(validated=len(over), run_anew=len(anew))


def denied(attempt: Standing | None, now: datetime) -> str:
    """Why the engine would not make a next attempt, if it would not."""
    if attempt is None:
        return "its attempt is no longer in the tables"
    if attempt.state is not CeState.DONE:
        return "another attempt has taken its place"
    if attempt.attempts_left <= 0:
        return "no attempt is left"
    if attempt.request is not None:
        return f"somebody wants its attempt to be {attempt.request}ed"
    if attempt.released or (attempt.submit_before is not None and attempt.submit_before <= now):
        return "it is too late for another attempt"
    return ""
