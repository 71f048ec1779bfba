"""A PanDA job and its queue as a JobSpec: native, or with a true pilot, as the queue and its CEs decide (modes.py)."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self
from urllib.parse import quote

from pydantic import ValidationError

from act_core.atlas.cric import Queue
from act_core.atlas.labels import label_of
from act_core.atlas.logplaces import log_url
from act_core.atlas.modes import Mode, candidates
from act_core.atlas.pilot_arguments import arguments
from act_core.atlas.refusals import refusal_of
from act_core.atlas.rules import Case, case_of, needs_of
from act_core.atlas.wire import PandaJob, encode_for_pilot
from act_core.errors import BadInput
from act_core.jobspec import InputFile, JobSpec, OutputFile, RuntimeEnvironment
from act_core.settings.app_model import AppSettings, JobLog, Translation

WRAPPER = "runpilot2-wrapper.sh"
JOB_FILE = "pandaJobData.out"
HEARTBEAT = "heartbeat.json"
OUTPUT_LIST = "@output.list"  # the pilot writes what goes where
LOG_DIR = "gmlog"
CE_ERRORS = f"{LOG_DIR}/errors"
RERUNS = 2
CRIC_JSONS = "/cvmfs/atlas.cern.ch/repo/sw/local/etc"
UNKNOWN_PRIORITY = 50


@dataclass(frozen=True, slots=True)
class TranslateSettings:
    """What of the configuration goes into a job. `panda`: the server's address and port, for pilots that speak to it;
    `queuedata`: address of a queue's data for native pilots, with {queue}; empty: none.
    """

    schedulerid: str
    wrapper: str
    replicas: str
    panda: tuple[str, str]
    wrapper_rc: str | None = None
    tarball: str | None = None
    tarball_rc: str | None = None
    tarball_dev: str | None = None
    joblog: JobLog = field(default_factory=JobLog)
    queuedata: str = ""
    translation: Translation = field(default_factory=Translation)

    @classmethod
    def of(cls, app: AppSettings) -> Self:
        pilot = app.executable
        return cls(
            schedulerid=app.panda.schedulerid,
            wrapper=pilot.wrapperurl,
            replicas=pilot.replicas,
            panda=_address(app.panda.server),
            wrapper_rc=pilot.wrapperurlrc,
            tarball=pilot.p3tarurl,
            tarball_rc=pilot.p3tarurlrc,
            tarball_dev=pilot.p3tarurldev,
            joblog=app.joblog,
            queuedata=pilot.queuedata,
            translation=app.translation,
        )


@dataclass(frozen=True, slots=True)
class Worker:
    """The harvester worker that stands for the job in PanDA's monitor, where there is one."""

    harvester_id: str
    worker_id: int

    @property
    def environment(self) -> dict[str, str]:
        return {"HARVESTER_ID": self.harvester_id, "HARVESTER_WORKER_ID": str(self.worker_id)}


def translate(
    job: PandaJob, queue: Queue, settings: TranslateSettings, booked: datetime, worker: Worker | None = None
) -> JobSpec:
    """What the CE is asked for. `booked`: when the tower took the job, which names the directory of its logs.

    Raises BadInput with the reason: the job, not the tower, is what has to change.
    """
    case = case_of(job, queue, settings.translation)
    if (why := refusal_of(case)) is not None:
        raise BadInput(f"PanDA job {job.panda_id} cannot run at {queue.name}: {why}")
    try:
        return JobSpec(
            name=(job.name or "pandajob")[:200],
            executable=WRAPPER,
            environment=_environment(case, settings, booked, worker),
            inputs=tuple(_inputs(case, settings)),
            queue=batch_queue(queue),
            **_asked(case, settings),
            **_streams(case),
        )
    except ValidationError as err:
        first = err.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "job"
        why = first["msg"].removeprefix("Value error, ")
        raise BadInput(f"PanDA job {job.panda_id} cannot be translated: {field}: {why}") from err


def pilot_text(job: PandaJob) -> str:
    """The texts of a job's sealed inputs, by name, as JSON: what the pilot reads, with the job's secrets."""
    return json.dumps({JOB_FILE: encode_for_pilot(job.raw, job.secrets)})


def batch_queue(queue: Queue) -> str | None:
    """The batch queue that all CEs of the PanDA queue share; None: each CE's own."""
    names = {endpoint.queue for endpoint in candidates(queue)}
    return names.pop() if len(names) == 1 else None


def _asked(case: Case, settings: TranslateSettings) -> dict[str, Any]:
    """What the rules make of PanDA's numbers."""
    needs = needs_of(case)
    pilot = _tarball(case, settings)
    return {
        "arguments": arguments(case, needs, settings.panda, pilot),
        "cores": needs.cores,
        "memory_mb": needs.memory,
        "disk_mb": needs.disk,
        "walltime": timedelta(minutes=int(needs.walltime)),
        "expected": None if needs.expected is None else timedelta(minutes=int(needs.expected)),
        "cputime": None if needs.cputime is None else timedelta(minutes=int(needs.cputime)),
        "priority": UNKNOWN_PRIORITY if needs.priority is None else needs.priority,
        "runtime_environments": tuple(RuntimeEnvironment(name=name) for name in needs.runtime_environments),
    }


def _streams(case: Case) -> dict[str, Any]:
    """Outputs, logs, and what comes home. What a true pilot made it has stored itself."""
    native, name = case.mode is Mode.NATIVE, case.job.log_name
    if name in {WRAPPER, JOB_FILE, HEARTBEAT, OUTPUT_LIST[1:], LOG_DIR, *(file.lfn for file in case.job.inputs)}:
        raise BadInput(f"PanDA job {case.job.panda_id} cannot be translated: logFile: another file is called {name!r}")
    made = (OutputFile(name=HEARTBEAT, optional=True), OutputFile(name=OUTPUT_LIST)) if native else ()
    arc = {"log_dir": LOG_DIR, "reruns": RERUNS} if case.mode is not Mode.HTCONDOR else {}
    home = (f"diagnose={CE_ERRORS}", name, *((HEARTBEAT,) if native else ()))
    return {"stdout": name, "stderr": name, "outputs": made, "fetch": home} | arc


def _environment(case: Case, settings: TranslateSettings, booked: datetime, worker: Worker | None) -> dict[str, str]:
    scheduler = f"harvester-{worker.harvester_id}" if worker else settings.schedulerid
    known = {"PANDA_JSID": scheduler, "PILOT_NOKILL": "YES"}
    url = log_url(settings.joblog, booked, case.queue.name, case.job.panda_id, case.job.label)
    linked = worker.environment if worker and case.mode is not Mode.NATIVE else {}
    return known | ({"GTAG": url} if url else {}) | linked


def _inputs(case: Case, settings: TranslateSettings) -> Iterator[InputFile]:
    release_candidate = settings.wrapper_rc if label_of(case.job.label).wrapper_rc else None
    secret = bool(case.job.secrets)  # then the text is kept apart: `pilot_text`
    yield InputFile(name=JOB_FILE, content=None if secret else encode_for_pilot(case.job.raw), sealed=secret)
    yield InputFile(name=WRAPPER, source=release_candidate or settings.wrapper, executable=True)
    if case.mode is Mode.NATIVE:
        yield from _native_inputs(case, settings)


def _native_inputs(case: Case, settings: TranslateSettings) -> Iterator[InputFile]:
    """All that a pilot without network needs."""
    if tarball := _tarball(case, settings):
        yield InputFile(name="pilot3.tar.gz", source=tarball, options={"cache": "check"})
    if case.queue.cricjsons:
        for name in ("cric_pandaqueues.json", "cric_ddmendpoints.json"):
            yield InputFile(name=name, source=f"{CRIC_JSONS}/{name}")
    if settings.queuedata:
        source = settings.queuedata.replace("{queue}", quote(case.queue.schedconfig))
        yield InputFile(name="queuedata.json", source=source, options={"cache": "check"})
    for file in case.job.inputs:
        source = settings.replicas.replace("{scope}", quote(file.scope)).replace("{lfn}", quote(file.lfn))
        yield InputFile(name=file.lfn, source=source, size=file.size, checksum=file.checksum)


def _tarball(case: Case, settings: TranslateSettings) -> str | None:
    """A label that tries out a pilot wins over the queue's own; a true pilot's wrapper knows where to get any other."""
    tried = {"tarball_rc": settings.tarball_rc, "tarball_dev": settings.tarball_dev}
    named = tried.get(label_of(case.job.label).tarball or "") or case.queue.pilot_url
    return named or (settings.tarball if case.mode is Mode.NATIVE else None)


def _address(server: str) -> tuple[str, str]:
    """`https://host:25443` as the address and the port that the wrapper wants apart."""
    scheme, _, netloc = server.rstrip("/").rpartition("://")
    host, colon, port = netloc.rpartition(":")
    apart = (host, port) if colon and port.isdecimal() else (netloc, "443")
    return f"{scheme or 'https'}://{apart[0]}", apart[1]
