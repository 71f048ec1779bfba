"""Logs of jobs for people, in an area that a web server shows: the pilot's output, the CE's errors, our story.

A full disk, or a database that is away for a moment, loses logs and never jobs.
"""

import asyncio
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from act_core.atlas import logfiles
from act_core.atlas.books import Booked, Change, app_of, panda_ids
from act_core.atlas.instance import server_key
from act_core.atlas.logplaces import Kind, Place, address, area, place_of
from act_core.atlas.story import story
from act_core.atlas.translate import CE_ERRORS, HEARTBEAT
from act_core.db.histories import Told, histories
from act_core.db.panda_models import PandaArchive, PandaRow
from act_core.engine.results import cut
from act_core.errors import Transient
from act_core.logs import log
from act_core.runtime import Counts, Runtime
from act_core.settings.model import Settings

logger = log(__name__)
PURGED = 1000  # files at a time
PURGE_EVERY = timedelta(hours=1)
NO_OUTPUT = "The pilot's output did not come home. What the tower knows of the job is in {story}.\n"


def place(settings: Settings, row: Booked) -> Place | None:
    """Of the day on which the job was taken, whatever its attempt."""
    if row.created is None:
        return None
    return place_of(settings.app.joblog, row.created, row.queue, row.panda_id, row.label)


def publish(settings: Settings, row: Booked, directory: Path) -> None:
    """What came home of an attempt: the pilot's output and the CE's errors."""
    if (where := place(settings, row)) is None:
        return
    try:
        for kind, name in ((Kind.LOG, CE_ERRORS), (Kind.OUT, logfiles.only_file(directory, but=HEARTBEAT))):
            content = logfiles.read(directory, name, settings.app.joblog.size) if name else None
            if content is not None:
                logfiles.put(area(settings), where.path(kind), content, private=where.private)
    except OSError as err:
        logger.warning("job %d: its logs are not published: %s", row.panda_id, err)


async def tell(rt: Runtime, rows: Sequence[Booked]) -> None:
    """Write the stories of these jobs, as they stand now; and a word where no output of a pilot came home."""
    rows = [row for row in rows if place(rt.settings, row) is not None]
    if not rows:
        return
    try:
        known = await rt.read(histories, app_of(rt.settings), [row.app_job_id for row in rows])
    except Transient as err:
        logger.warning("the stories of %d jobs are not written: %s", len(rows), err)
        return
    await asyncio.to_thread(_write, rt.settings, rows, known, rt.now())


def _write(settings: Settings, rows: Sequence[Booked], known: Mapping[str, Sequence[Told]], now: datetime) -> None:
    for n, row in enumerate(rows):
        where = place(settings, row)
        assert where is not None
        told = story(row, known.get(row.app_job_id, ()), now).encode()
        page = cut(io.BytesIO(told), len(told), settings.app.joblog.size)
        try:
            logfiles.put(area(settings), where.path(Kind.STORY), page, private=where.private)
            if not (area(settings) / where.path(Kind.OUT)).exists():
                words = NO_OUTPUT.format(story=where.path(Kind.STORY).name).encode()
                logfiles.put(area(settings), where.path(Kind.OUT), words, private=where.private)
        except OSError as err:
            logger.warning("the stories of %d jobs are not written: %s", len(rows) - n, err)
            return


def ended(row: Booked, change: Change | None) -> Booked | None:
    """The job as it stands with this change, if that is its end."""
    if change is None or change.to is None or "report" not in change.columns:
        return None
    columns = {name: change.columns[name] for name in ("report", "error", "node") if name in change.columns}
    return replace(row, state=change.to, **columns)


class _Purged:
    """When this process last found nothing to remove."""

    def __init__(self, _settings: Settings) -> None:
        self.at: datetime | None = None

    async def close(self) -> None:
        self.at = None


async def purge(rt: Runtime) -> Counts:
    """Remove logs that are older than `joblog.keep`, so many at a time."""
    last, now = rt.kept(_Purged, _Purged), rt.now()
    if last.at is not None and now - last.at < PURGE_EVERY:
        return Counts()
    oldest = (now - rt.settings.app.joblog.keep).date()
    gone = await asyncio.to_thread(logfiles.purge, area(rt.settings), oldest, PURGED)
    if gone < PURGED:
        last.at = now
    return Counts({"old logs": gone} if gone else {})


def links(session: Session, settings: Settings, app_job_id: str) -> list[dict[str, Any]]:
    """Which logs of a job are published, and where."""
    ((panda_id, attempt_nr),) = panda_ids([app_job_id])
    found: list[dict[str, Any]] = []
    for table in (PandaRow, PandaArchive):
        asked = (table.panda_id == panda_id, table.attempt_nr == attempt_nr, table.server == server_key(settings))
        for row in session.execute(select(table.created, table.queue, table.label).where(*asked)):
            where = place_of(settings.app.joblog, row.created, row.queue, panda_id, row.label)
            found += _there(settings, where) if where else []
    return found


def _there(settings: Settings, where: Place) -> list[dict[str, Any]]:
    paths = {kind: area(settings) / where.path(kind) for kind in Kind}
    joblog = settings.app.joblog
    return [
        {"log": kind.value, "file": str(path), "url": address(joblog, where, kind)}
        for kind, path in paths.items()
        if path.exists()
    ]
