"""What a Harvester gets back of a job that it handed over: the final report, in its access point."""

import asyncio
import json
import os
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from act_core.atlas import books, handed
from act_core.atlas.books import HARVESTER, Booked, Change, app_of
from act_core.atlas.final import KILLED, for_the_books
from act_core.atlas.handed import Link
from act_core.atlas.instance import server_of
from act_core.atlas.panda_legacy_dialect import report as legacy_names
from act_core.atlas.reports import Update
from act_core.db import wishes
from act_core.db.bulk import chunks
from act_core.db.models import CeJob
from act_core.db.panda_models import PandaRow
from act_core.runtime import Counts, Runtime
from act_core.states import CeState, PandaState

REPORT = "jobReport.json"
BATCH = 500
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=10), timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Over:
    """A job that is over: its row with the report, its link, and how its last attempt ended."""

    row: Booked
    link: Link | None
    state: CeState | None


async def due(rt: Runtime) -> Sequence[str]:
    found = await rt.read(_first, server_of(rt), rt.now())
    return [server_of(rt)] if found is not None else []


def _due(server: str, now: datetime) -> tuple[ColumnElement[bool], ...]:
    return PandaRow.heartbeat_due_at <= now, PandaRow.server == server, PandaRow.reporter == HARVESTER


def _first(session: Session, server: str, now: datetime) -> int | None:
    return session.execute(select(PandaRow.id).where(*_due(server, now)).limit(1)).scalar()


def _over(session: Session, app: str, server: str, now: datetime) -> list[Over]:
    rows = books.picked(session, *_due(server, now), limit=BATCH)
    rows = books.with_reports(session, rows, {row.id for row in rows})
    links = handed.links(session, [row.id for row in rows])
    states: dict[str, CeState] = {}
    for chunk in chunks(row.app_job_id for row in rows):
        mine = (CeJob.app == app, CeJob.app_job_id.in_(chunk), CeJob.superseded_by.is_(None))
        states |= {
            name: CeState(word) for name, word in session.execute(select(CeJob.app_job_id, CeJob.state).where(*mine))
        }
    return [Over(row, links.get(row.id), states.get(row.app_job_id)) for row in rows]


def outcome(over: Over, report: Update) -> str:
    """Harvester's word for how a worker ended: of a true pilot the CE knows it, else the report."""
    if report.pilot_error_code == KILLED:
        return "cancelled"
    if over.link is not None and over.link.truepilot:
        return "finished" if over.state is CeState.DONE else "failed"
    return report.job_status


async def hand_back(rt: Runtime, server: str) -> Counts:
    """One round: reports into access points; what cannot be written is tried again, ever more rarely."""
    found = await rt.read(_over, app_of(rt.settings), server, rt.now())
    changes = await asyncio.to_thread(_handed_back, found, rt.now())
    return await rt.write(_write, app_of(rt.settings), changes, rt.now())


def _handed_back(found: Collection[Over], now: datetime) -> dict[Booked, Change]:
    """Here files are touched."""
    changes: dict[Booked, Change] = {}
    for one in found:
        report = Update.model_validate_json(one.row.report or "{}")
        trouble = None
        if one.link is not None and one.link.access_point and not one.link.truepilot:
            trouble = _deliver(Path(one.link.access_point), report)
        changes[one.row] = after_delivery(one.row, report, outcome(one, report), trouble, now)
    return changes


def after_delivery(row: Booked, report: Update, told: str, trouble: OSError | None, now: datetime) -> Change:
    """A directory that is gone will not come back: its Harvester has cleaned it away, and reads the state alone."""
    if trouble is not None and not isinstance(trouble, FileNotFoundError):
        pause = min(FIRST_PAUSE * int(2 ** min(row.refused, 10)), LONGEST_PAUSE)
        words = f"the report cannot be handed back: {trouble}"
        return Change(None, {"refused": row.refused + 1, "heartbeat_due_at": now + pause, "error": words})
    columns = for_the_books({"job_status": told} if told == "finished" else report.body(), over_before=False)
    columns |= {"told": told, "told_at": now, "heartbeat_due_at": None, "refused": 0}
    return Change(PandaState.CLOSED, columns | ({"error": None} if told == "finished" else {}))


def _deliver(directory: Path, report: Update) -> OSError | None:
    """The report under the names that the legacy API has for its fields; a reader sees all of it or nothing."""
    text = json.dumps(legacy_names(report), ensure_ascii=False)
    try:
        handle, name = tempfile.mkstemp(dir=directory, prefix=f".{REPORT}.")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).chmod(0o640)
        Path(name).replace(directory / REPORT)
    except OSError as err:
        return err
    return None


def _write(session: Session, app: str, changes: Mapping[Booked, Change], now: datetime) -> Counts:
    settled = books.settle(session, changes, now)
    closed = [row.app_job_id for row in settled.written if changes[row].to is PandaState.CLOSED]
    if closed:
        wishes.release(session, app, closed, now)
    return settled.counts(handed_back=len(closed), to_hand_again=len(settled.written) - len(closed))
