"""Results go to their place: `<directory of the campaign>/<number>`."""

import asyncio
import shutil
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from sqlalchemy import select, true
from sqlalchemy.orm import Session

from act_core.db import wishes
from act_core.db.bulk import update_rows
from act_core.errors import DiskError
from act_core.runtime import Counts, Runtime
from act_core.simple.tables import NAME, Campaign, Job, JobState

BATCH = 200


async def due(rt: Runtime) -> Sequence[str]:
    """Campaigns with results that wait."""
    return await rt.read(_waiting)


def _waiting(session: Session) -> Sequence[str]:
    return session.scalars(select(Job.campaign).where(Job.collect == true()).distinct()).all()


async def collect(rt: Runtime, campaign: str) -> Counts:
    """Move what came home. A move that was made and not written down is seen to have been made."""
    directory, jobs = await rt.read(_picked, campaign)
    moved = {}
    for job in jobs:
        place = directory / str(job.number)
        moved[job] = await asyncio.to_thread(move, Path(job.source or ""), place)
    await rt.write(_settle, moved, rt.now())
    return Counts(collected=len(moved))


def _picked(session: Session, campaign: str) -> tuple[Path, Sequence[Job]]:
    directory = session.scalars(select(Campaign.directory).where(Campaign.name == campaign)).one()
    waiting = select(Job).where(Job.collect == true(), Job.campaign == campaign)
    return Path(directory), session.scalars(waiting.order_by(Job.number).limit(BATCH)).all()


def move(source: Path, place: Path) -> Path | None:
    """Put a directory in its place, instead of what an earlier attempt left there; None: there is nothing.

    Raises DiskError.
    """
    beside = place.with_name(f".{place.name}.old")
    try:
        if not source.is_dir():
            return place if place.is_dir() else None
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(beside, ignore_errors=True)
        if place.exists():
            place.rename(beside)
        shutil.move(source, place)
        shutil.rmtree(beside, ignore_errors=True)
    except OSError as err:
        raise DiskError(f"{place} cannot be written: {err}") from err
    return place


def _settle(session: Session, moved: dict[Job, Path | None], now: datetime) -> None:
    """Only of jobs that still stand where they were: a next attempt may have begun."""
    question = select(Job.id, Job.source).where(Job.id.in_([job.id for job in moved])).with_for_update()
    there = dict(session.execute(question).tuples().all())
    same = {job: place for job, place in moved.items() if there.get(job.id) == job.source}
    written = {job.id: {"collect": False, "outputs": str(place) if place else None} for job, place in same.items()}
    update_rows(session, Job, {one: values | {"modified": now} for one, values in written.items()}, versioned=False)
    # a failed job may be tried once more, by hand: its row stays open
    wishes.release(session, NAME, [job.app_job_id for job in same if job.state == JobState.DONE], now)
