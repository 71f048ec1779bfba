"""A PanDA job and its queue as a JobSpec, for native queues: the CE moves the data, the pilot stays without network."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self
from urllib.parse import quote

from pydantic import ValidationError

from act_core.atlas.cric import Queue
from act_core.atlas.rules import Case, Needs, needs_of, refusal_of
from act_core.atlas.wire import PandaJob, encode_for_pilot
from act_core.errors import BadInput
from act_core.jobspec import InputFile, JobSpec, OutputFile, RuntimeEnvironment
from act_core.settings.model import AppSettings

WRAPPER = "runpilot2-wrapper.sh"
JOB_FILE = "pandaJobData.out"
HEARTBEAT = "heartbeat.json"
OUTPUT_LIST = "@output.list"  # the pilot writes what goes where
LOG_DIR = "gmlog"
CE_ERRORS = f"{LOG_DIR}/errors"
RERUNS = 2
PILOT_VERSION = "3"
CRIC_JSONS = "/cvmfs/atlas.cern.ch/repo/sw/local/etc"

# label → where the pilot's release comes from (a key of TranslateSettings), and the arguments that go with it
_PILOTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "rc_test": ("tarball_rc", ("-d", "-i", "RC")),
    "rc_test2": ("tarball_rc", ("-d", "-i", "RC")),
    "rc_alrb": ("tarball", ("-i", "ALRB")),
    "ptest": ("tarball_dev", ()),
}


@dataclass(frozen=True, slots=True)
class TranslateSettings:
    """What of the configuration goes into a job. `queuedata`: address of a queue's data for the pilot; empty: none."""

    schedulerid: str
    wrapper: str
    replicas: str
    wrapper_rc: str | None = None
    tarball: str | None = None
    tarball_rc: str | None = None
    tarball_dev: str | None = None
    urlprefix: str = ""
    queuedata: str = ""  # with {queue}

    @classmethod
    def of(cls, app: AppSettings, queuedata: str = "") -> Self:
        pilot = app.executable
        return cls(
            schedulerid=app.panda.schedulerid,
            wrapper=pilot.wrapperurl,
            replicas=pilot.replicas,
            wrapper_rc=pilot.wrapperurlrc,
            tarball=pilot.p3tarurl,
            tarball_rc=pilot.p3tarurlrc,
            tarball_dev=pilot.p3tarurldev,
            urlprefix=app.joblog.urlprefix,
            queuedata=queuedata,
        )


def translate(job: PandaJob, queue: Queue, settings: TranslateSettings, booked: datetime) -> JobSpec:
    """What the CE is asked for. `booked`: when the tower took the job, which names the directory of its logs.

    Raises BadInput with the reason: the job, not the tower, is what has to change.
    """
    case = Case(job, queue)
    if (why := refusal_of(case)) is not None:
        raise BadInput(f"PanDA job {job.panda_id} cannot run at {queue.name}: {why}")
    needs = needs_of(case)
    try:
        return JobSpec(
            name=(job.name or "pandajob")[:200],
            executable=WRAPPER,
            arguments=tuple(_arguments(job, queue, needs)),
            environment=_environment(job, queue, settings, booked),
            stdout=job.log_name,
            stderr=job.log_name,
            inputs=tuple(_inputs(job, queue, settings)),
            outputs=(OutputFile(name=HEARTBEAT, optional=True), OutputFile(name=OUTPUT_LIST)),
            log_dir=LOG_DIR,
            cores=needs.cores,
            memory_mb=needs.memory,
            walltime=timedelta(minutes=int(needs.walltime)),
            cputime=None if needs.cputime is None else timedelta(minutes=int(needs.cputime)),
            queue=batch_queue(queue),
            priority=50 if needs.priority is None else needs.priority,
            runtime_environments=tuple(RuntimeEnvironment(name=name) for name in needs.runtime_environments),
            reruns=RERUNS,
            fetch=(f"diagnose={CE_ERRORS}", job.log_name, HEARTBEAT),
        )
    except ValidationError as err:
        first = err.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "job"
        why = first["msg"].removeprefix("Value error, ")
        raise BadInput(f"PanDA job {job.panda_id} cannot be translated: {field}: {why}") from err


def log_url(prefix: str, booked: datetime, queue: str, panda_id: int) -> str | None:
    """Where the pilot's stdout will be published; None: nowhere."""
    return f"{prefix.rstrip('/')}/{booked:%Y-%m-%d}/{queue}/{panda_id}.out" if prefix else None


def batch_queue(queue: Queue) -> str | None:
    """The batch queue that all CEs of the PanDA queue share; None: each CE's own."""
    names = {endpoint.queue for endpoint in queue.endpoints}
    return names.pop() if len(names) == 1 else None


def _arguments(job: PandaJob, queue: Queue, needs: Needs) -> Iterator[str]:
    kind = "user" if job.analysis else "managed"
    yield from ("-q", queue.schedconfig, "-j", job.label, "--pilot-user", "ATLAS")
    yield from ("--harvester-submit-mode", "PUSH", "-w", "generic", "--job-type", kind)
    yield from ("--resource-type", needs.resource_type, "--pilotversion", queue.pilot_version or PILOT_VERSION)
    yield from _PILOTS.get(job.label, ("", ()))[1]
    yield from ("-z", "-t", "--piloturl", "local", "--mute")
    try:
        yield from shlex.split(queue.pilot_args)
    except ValueError as err:
        raise BadInput(f"queue {queue.name}: params.pilot_args {queue.pilot_args[:80]!r}: {err}") from err


def _environment(job: PandaJob, queue: Queue, settings: TranslateSettings, booked: datetime) -> dict[str, str]:
    known = {"PANDA_JSID": settings.schedulerid, "PILOT_NOKILL": "YES"}
    url = log_url(settings.urlprefix, booked, queue.name, job.panda_id)
    return known | ({"GTAG": url} if url else {})


def _inputs(job: PandaJob, queue: Queue, settings: TranslateSettings) -> Iterator[InputFile]:
    release_candidate = job.label.startswith("rc_") and settings.wrapper_rc
    yield InputFile(name=JOB_FILE, content=encode_for_pilot(job.raw))
    yield InputFile(name=WRAPPER, source=release_candidate or settings.wrapper, executable=True)
    if tarball := _tarball(job, queue, settings):
        yield InputFile(name="pilot3.tar.gz", source=tarball, options={"cache": "check"})
    if queue.cricjsons:
        for name in ("cric_pandaqueues.json", "cric_ddmendpoints.json"):
            yield InputFile(name=name, source=f"{CRIC_JSONS}/{name}")
    if settings.queuedata:
        source = settings.queuedata.replace("{queue}", quote(queue.schedconfig))
        yield InputFile(name="queuedata.json", source=source, options={"cache": "check"})
    for file in job.inputs:
        source = settings.replicas.replace("{scope}", quote(file.scope)).replace("{lfn}", quote(file.lfn))
        yield InputFile(name=file.lfn, source=source, size=file.size, checksum=file.checksum)


def _tarball(job: PandaJob, queue: Queue, settings: TranslateSettings) -> str | None:
    wanted = {"tarball_rc": settings.tarball_rc, "tarball_dev": settings.tarball_dev}
    return queue.pilot_url or wanted.get(_PILOTS.get(job.label, ("", ()))[0]) or settings.tarball
