"""The payload of a PanDA job on this machine: translated as the tower would, run by a `local` CE, told to nobody."""

import asyncio
import contextlib
import json
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from act_core.atlas.cric import Queue
from act_core.atlas.final import STAGE_OUT_FAILED, Ended, final_update
from act_core.atlas.mirror import Home, read_home
from act_core.atlas.modes import Mode, mode_of
from act_core.atlas.reports import Update
from act_core.atlas.translate import HEARTBEAT, OUTPUT_LIST, TranslateSettings, pilot_text, translate
from act_core.atlas.wire import PandaJob
from act_core.ce.base import Accepted, ComputingElement, Facts, Refused, RemoteId, Seen, SubmissionKey
from act_core.ce.registry import open_ce
from act_core.db.panda_models import PandaArchive, PandaRow
from act_core.engine.submit import to_upload
from act_core.errors import BadInput, Transient
from act_core.jobspec import JobSpec
from act_core.settings.model import Settings, Site
from act_core.states import ENDED, CeState

NOWHERE = ("https://127.0.0.1", "9")  # the server of true pilots that are tried: nobody listens on `discard`
LOOK_S = 0.2
CE = "try"
_OVER = ENDED | {CeState.CANCELLED}
_PIECE = 1 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Kept:
    """A PanDA job as the tower has it; `job`: as PanDA sent it, as JSON; `secrets`: sealed, if it has any."""

    server: str
    queue: str
    job: str
    secrets: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Made:
    """An output of the job as it lies here. Size in bytes, adler32 as 8 hexadecimal digits; None: it is not there."""

    lfn: str
    size: int | None
    adler32: str | None
    trouble: str = ""  # the pilot says something else


@dataclass(frozen=True, slots=True)
class Tried:
    """How it went. `report`: what PanDA would be told at the end."""

    seen: Seen
    facts: Facts
    outputs: tuple[Made, ...]
    report: Update

    @property
    def good(self) -> bool:
        return self.report.job_status == "finished"


def kept(session: Session, servers: Sequence[str], panda_id: int) -> list[Kept]:
    """The newest attempt of this number at each server, also of jobs that rest."""
    found: dict[str, Kept] = {}
    for table in (PandaArchive, PandaRow):
        asked = select(table.server, table.queue, table.job, table.secrets).where(
            table.server.in_(servers), table.panda_id == panda_id
        )
        for row in session.execute(asked.order_by(table.attempt_nr)):
            found[row.server] = Kept(row.server, row.queue, row.job, row.secrets)
    return list(found.values())


def prepared(job: PandaJob, queue: Queue, settings: TranslateSettings, now: datetime, *, proxy: bool) -> JobSpec:
    """What the CE is asked for, but: no outputs are sent, and pilots have no PanDA. Raises BadInput.

    A true pilot is shown the proxy only if that is wanted: it could write to storage.
    """
    spec = translate(job, queue, replace(settings, panda=NOWHERE), now).opened(json.loads(pilot_text(job)))
    if mode_of(queue) is Mode.NATIVE:
        return spec.model_copy(update={"outputs": tuple(one for one in spec.outputs if one.name != OUTPUT_LIST)})
    hidden = {} if proxy else {"X509_USER_PROXY": os.devnull}
    arguments = (*spec.arguments, *(() if "-z" in spec.arguments else ("-z",)))
    return spec.model_copy(update={"arguments": arguments, "environment": dict(spec.environment) | hidden})


async def run(
    held: Settings, spec: JobSpec, directory: Path, now: Callable[[], datetime], show: Callable[[str], None]
) -> tuple[Seen, Facts, Path]:
    """The job's life at a CE of its own below `directory`; what it says on stdout is shown as it comes.

    Returns its end and where its files are. Whoever ends this call ends the payload. Raises BadInput, Transient.
    """
    site = Site(kind="local", options={"root": directory / "ce", "slots": 1})
    ce = open_ce(held, CE, now, site)
    job = RemoteId(CE)
    session = directory / "ce" / job / "session"
    try:
        with _follow(session / (spec.stdout or HEARTBEAT), show) as more:
            seen = await _watch(ce, job, spec, more)
        return seen, (await ce.details([job]))[job], session
    finally:
        await ce.close()


async def _begin(ce: ComputingElement, spec: JobSpec) -> None:
    key = SubmissionKey(CE)
    (answer,) = (await ce.submit({key: spec})).values()
    files = to_upload(spec, ce.traits)
    sent = (await ce.put_inputs({RemoteId(CE): files})).get(RemoteId(CE)) if answer == CE else answer
    if sent is not None:
        raise BadInput(f"the job cannot be started: {sent.why if isinstance(sent, Refused) else sent}")


async def _watch(ce: ComputingElement, job: RemoteId, spec: JobSpec, more: Callable[[], None]) -> Seen:
    """From its beginning until it is over; killed if nobody wants to know any more, however early that is."""
    try:
        await _begin(ce, spec)
        return await _end(ce, job, more)
    except asyncio.CancelledError:
        if isinstance((await ce.cancel([job])).get(job), Accepted):
            await _end(ce, job, more)
        raise


async def _end(ce: ComputingElement, job: RemoteId, more: Callable[[], None]) -> Seen:
    while True:
        seen = (await ce.states([job])).get(job)
        if seen is None:
            raise Transient("the job's directory is gone")
        if seen.state in _OVER:
            return seen
        more()
        await asyncio.sleep(LOOK_S)


@contextlib.contextmanager
def _follow(file: Path, show: Callable[[str], None]) -> Iterator[Callable[[], None]]:
    """Shows what has come to the file since the last call, and the rest at the end."""
    done = 0

    def more() -> None:
        nonlocal done
        with contextlib.suppress(FileNotFoundError), file.open("rb") as content:
            content.seek(done)
            while piece := content.read(_PIECE):
                done += len(piece)
                show(piece.decode("utf-8", "replace"))

    try:
        yield more
    finally:
        more()


def judged(
    held: Settings, job: PandaJob, queue: Queue, seen: Seen, facts: Facts, session: Path, now: datetime
) -> Tried:
    """The outputs as they are, and the final report that follows."""
    home = read_home(session, job.panda_id)
    outputs = tuple(_made(session, file.lfn, home) for file in job.outputs)
    good = seen.state is CeState.FINISHED and home.heartbeat is not None and home.heartbeat.finished
    bad = [f"output {one.lfn}: {one.trouble}" for one in outputs if one.trouble] if good else []
    words = facts.error or home.trouble or ("killed" if seen.state is CeState.CANCELLED else None)
    ended = Ended(
        panda_id=job.panda_id,
        attempt_nr=job.attempt_nr,
        queue=queue.name,
        outcome="finished" if good and not bad else "failed",
        now=now,
        cores=job.cores,
        node=facts.node,
        started=facts.started,
        ended=facts.ended,
        wall_s=facts.wall_s,
        cpu_s=facts.cpu_s,
        error=bad[0] if bad else None if good else words,
        code=STAGE_OUT_FAILED if bad else None,
    )
    report = final_update(ended, home.heartbeat, held.app.panda.schedulerid)
    if bad:
        report = report.model_copy(update={"job_status": "failed"})
    return Tried(seen, facts, outputs, report)


def _made(session: Path, lfn: str, home: Home) -> Made:
    told = {file.lfn: file for file in home.heartbeat.outputs} if home.heartbeat else {}
    file = session / lfn
    if not file.is_file():
        return Made(lfn, None, None, "it is not there")
    size, digits = file.stat().st_size, _adler32(file)
    said = told.get(lfn)
    if said is None:
        return Made(lfn, size, digits, "the pilot does not report it" if told else "")
    if (said.size, said.adler32) != (size, digits):
        return Made(lfn, size, digits, f"the pilot says {said.size} bytes, adler32 {said.adler32}")
    return Made(lfn, size, digits)


def _adler32(file: Path) -> str:
    checksum = 1
    with file.open("rb") as content:
        while piece := content.read(_PIECE):
            checksum = zlib.adler32(piece, checksum)
    return f"{checksum & 0xFFFFFFFF:08x}"
