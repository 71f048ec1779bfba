"""A job is finished when its outputs are on storage, whole: size and checksum, as the pilot wrote them."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from act_core.atlas import books
from act_core.atlas.books import Booked, Change
from act_core.atlas.final import STAGE_OUT_FAILED
from act_core.atlas.instance import server_of
from act_core.atlas.reports import Update
from act_core.atlas.storages import storage
from act_core.db.panda_models import PandaRow
from act_core.runtime import Counts, Runtime
from act_core.states import PandaState
from act_core.storage.base import Outcome, Verdict, Wanted

BATCH = 300
KEY = "storage"
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=15), timedelta(hours=1)
_BAD = (Outcome.MISMATCH, Outcome.ABSENT)
_LATER = (Outcome.UNREACHABLE, Outcome.FORBIDDEN)
_DOUBTS = (*_BAD, *_LATER)


async def due(rt: Runtime) -> Sequence[str]:
    return [KEY] if await rt.read(_any_due, server_of(rt), rt.now()) else []


def _due(server: str, now: datetime) -> tuple[Any, ...]:
    return (
        PandaRow.state == PandaState.TOVALIDATE.value,
        PandaRow.check_due_at <= now,
        PandaRow.server == server,
    )


def _any_due(session: Session, server: str, now: datetime) -> bool:
    return session.execute(select(PandaRow.id).where(*_due(server, now)).limit(1)).scalar() is not None


def _rows(session: Session, server: str, now: datetime) -> list[Booked]:
    return books.picked(session, *_due(server, now), limit=BATCH, texts=("outputs",))


def wanted_of(row: Booked) -> list[Wanted]:
    """The files that storage is asked for; one without an address cannot be."""
    files = json.loads(row.outputs) if row.outputs else []
    return [Wanted(file["url"], file["size"], file["adler32"]) for file in files if file["url"]]


def after_check(row: Booked, verdicts: Mapping[Wanted, Verdict], now: datetime, tries: int) -> Change:
    """What storage's answers mean for a job. Unverifiable is no reason to fail; unreachable is asked again."""
    said = [(file, verdicts[file]) for file in wanted_of(row)]
    bad = [f"{file.url}: {v.outcome}: {v.words}" for file, v in said if v.outcome in _BAD]
    later = [f"{file.url}: {v.outcome}: {v.words}" for file, v in said if v.outcome in _LATER]
    if bad:
        return _failed(row, f"output not valid on storage: {bad[0]}", now)
    if not later:
        columns = {"heartbeat_due_at": now, "check_due_at": None, "error": None}
        return Change(PandaState.TOREPORT, columns | {"unverified": unverified(row, verdicts)})
    if row.checks + 1 >= tries:
        return _failed(row, f"output could not be checked {tries} times: {later[0]}", now)
    pause = min(FIRST_PAUSE * int(2 ** min(row.checks, 12)), LONGEST_PAUSE)
    return Change(None, {"checks": row.checks + 1, "check_due_at": now + pause, "error": later[0]})


def unverified(row: Booked, verdicts: Mapping[Wanted, Verdict]) -> int:
    """How many outputs of a job nobody could check: storage could not tell, or nobody knows where they are."""
    wanted = wanted_of(row)
    nowhere = len(json.loads(row.outputs) if row.outputs else []) - len(wanted)
    return nowhere + sum(verdicts[file].outcome is Outcome.UNVERIFIABLE for file in wanted)


def _failed(row: Booked, why: str, now: datetime) -> Change:
    """The report that was written for success becomes one of failure; the rest of it stays true."""
    assert row.report is not None
    verdict = {"job_status": "failed", "pilot_error_code": STAGE_OUT_FAILED, "pilot_error_diag": why}
    report = Update.model_validate({**json.loads(row.report), **verdict}).model_dump_json(exclude_none=True)
    return Change(PandaState.TOREPORT, {"report": report, "heartbeat_due_at": now, "check_due_at": None, "error": why})


async def validate(rt: Runtime, _key: str) -> Counts:
    """One round: all files of a batch of jobs, side by side at each storage host."""
    rows = await rt.read(_rows, server_of(rt), rt.now())
    if not rows:
        return Counts()
    verdicts = await storage(rt).check([file for row in rows for file in wanted_of(row)])
    doubtful = {row.id for row in rows if any(verdicts[file].outcome in _DOUBTS for file in wanted_of(row))}
    rows = await rt.read(books.with_reports, rows, doubtful)
    now = rt.now()
    changes = {row: after_check(row, verdicts, now, rt.settings.app.validation.tries) for row in rows}
    settled = await rt.write(books.settle, changes, now)
    told = Counts(verdict.outcome.value for verdict in verdicts.values())
    done = sum(changes[row].to is PandaState.TOREPORT for row in settled.written)
    return Counts({f"files {word}": n for word, n in told.items()}) + settled.counts(validated=done)
