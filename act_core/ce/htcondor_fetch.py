"""Outputs and logs of HTCondor jobs: from the schedd, where they were spooled, and out of the job's archive."""

import asyncio
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from act_core.ce import htcondor_dialect as dialect
from act_core.ce.base import Fetched, FetchPlan, Gone, Refused, RemoteId
from act_core.ce.disk import BadFile, in_thread
from act_core.ce.htcondor_dialect import Ad, Remote
from act_core.ce.htcondor_files import Shelf
from act_core.ce.htcondor_jobs import OUTPUT, STDERR
from act_core.ce.htcondor_queue import Queue
from act_core.ce.patterns import diagnosed
from act_core.errors import DiskError, Transient

Answer = Fetched | Gone | Refused
WHOLE = ".retrieved"
_ITS_OWN = re.compile("receiveJobSandbox:70")  # the schedd answered, and this job's files cannot be had


async def fetch_jobs(
    queue: Queue, carrier: Queue | None, shelf: Shelf, wanted: Mapping[RemoteId, FetchPlan], limit: int
) -> dict[RemoteId, Answer]:
    """What comes home, each for itself. `carrier`: asks for what was spooled; None: nothing was.

    Raises what is not one job's own, if there is no answer at all.
    """
    attributes = () if any(_wants_ad(plan) for plan in wanted.values()) else dialect.IDENTITY
    there = await queue.some(wanted, attributes) if wanted else {}
    answers: dict[RemoteId, Answer] = {}
    for job, plan in wanted.items():
        known = dialect.parsed(job)
        if known is None or (
            job not in there and not await asyncio.to_thread(_kept, shelf, known, carrier is not None)
        ):
            answers[job] = Gone()
            continue
        try:
            answers[job] = await _one(carrier, shelf, known, there.get(job), plan, limit)
        except (Transient, DiskError):
            if not answers:
                raise
            break  # what came home counts; the others are asked for again
    return answers


async def _one(
    carrier: Queue | None, shelf: Shelf, known: Remote, ad: Ad | None, plan: FetchPlan, limit: int
) -> Answer:
    try:
        if carrier is not None and ad is not None and not await asyncio.to_thread(_kept, shelf, known, True):
            await in_thread(partial(shelf.place(known.key).mkdir, parents=True, exist_ok=True))
            await carrier.ask("retrieve", ids=[known.job])
            await in_thread((shelf.place(known.key) / WHOLE).touch)
        if ad is not None and _wants_ad(plan):
            await in_thread(shelf.keep_ad, known.key, dialect.as_text(ad))
        controls = await in_thread(partial(_controls, shelf, known, plan))
        return await in_thread(shelf.bring, known.key, plan, controls, limit)
    except BadFile as err:
        return Refused(str(err), for_good=False)
    except Transient as err:
        if not _ITS_OWN.search(str(err)):
            raise
        return Refused(str(err), for_good=False)


def _wants_ad(plan: FetchPlan) -> bool:
    return any(True for _ in diagnosed(plan.patterns))


def _kept(shelf: Shelf, known: Remote, spooled: bool) -> bool:
    """Whether its outputs are on our side, all of them."""
    place = shelf.place(known.key)
    return any((place / name).is_file() for name in ((WHOLE,) if spooled else (OUTPUT, STDERR)))


def _controls(shelf: Shelf, known: Remote, plan: FetchPlan) -> dict[str, Path]:
    """Which of our files come home under the names of a CE's own."""
    files, place = shelf.controls(known.key), shelf.place(known.key)
    return {home: place / files[name][0] for name, home in diagnosed(plan.patterns) if files.get(name)}
