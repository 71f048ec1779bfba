"""Control files at an A-REX: of ended jobs, fresh where a document is late; and the marks in our descriptions."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import datetime

from act_core.ce import arc_adl, arc_dialect
from act_core.ce.arc_http import ArcConnection
from act_core.ce.base import Facts, RemoteId
from act_core.ce.gathering import answered, each
from act_core.errors import ActError, Transient
from act_core.logs import log

logger = log(__name__)
Clock = Callable[[], datetime]


async def fresher(wire: ArcConnection, base: str, late: Mapping[RemoteId, Facts], now: Clock) -> dict[RemoteId, Facts]:
    """Facts of the jobs whose control files can be read within the CE's deadline; of the others none."""
    found: dict[RemoteId, Facts] = {}

    async def ask(job: RemoteId) -> None:
        try:
            found[job] = await _of_one(wire, f"{base}/jobs/{job}", late[job], now)
        except ActError as err:
            logger.warning("%s: what job %s did stays in the dark: %s", wire.endpoint, job, err)

    with suppress(TimeoutError):
        async with asyncio.timeout(wire.seconds):
            await each(late, ask)
    return found


async def _of_one(wire: ArcConnection, path: str, late: Facts, now: Clock) -> Facts:
    """What the control files say, where they tell of an end; else the document stands."""
    said = {name: await _control_file(wire, path, name, now) for name in ("diag", "failed")}
    local = await _control_file(wire, path, "local", now) if said["failed"].strip() else ""
    fresh = arc_dialect.control_files(said["diag"], said["failed"], local)
    return arc_dialect.together(fresh, late) if fresh.complete else late


async def _control_file(wire: ArcConnection, path: str, name: str, now: Clock) -> str:
    answer = await wire.call("GET", f"{path}/diagnose/{name}", now())
    if answer.status >= 500:
        raise Transient(f"diagnose/{name}: the CE answers {answer.status} {answer.reason}")
    return answer.body.decode("utf-8", "replace") if answer.status == 200 else ""


async def marks(wire: ArcConnection, base: str, ids: Collection[RemoteId], now: Clock) -> dict[RemoteId, str]:
    """The marks in the jobs' descriptions, which no document repeats; empty where the description has gone."""

    async def ask(job: RemoteId) -> str:
        return arc_adl.mark_in(await _control_file(wire, f"{base}/jobs/{job}", "description", now))

    return await answered((job for job in ids if arc_dialect.possible(job)), ask)
