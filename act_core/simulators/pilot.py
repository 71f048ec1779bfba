"""What a stand-in for the ATLAS pilot is told, and what it makes of it: outputs, log, report. No I/O.

It reads `pandaJobData.out`, checks the inputs, "computes", and has outputs, the log tarball, `heartbeat.json` (legacy
`updateJob` names) and `output.list` (what the CE shall upload, and where to). `pilot_run` is the one that runs.
Standard library only: it is shipped to worker nodes.
"""

import argparse
import gzip
import hashlib
import io
import json
import shlex
import tarfile
import time
import uuid
import zlib
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from act_core.simulators import pilot_ways
from act_core.simulators.pilot_ways import Produced, checked, spoiled

JOB_FILE = "pandaJobData.out"
STAGE_IN_FAILED, PAYLOAD_FAILED = 1099, 1305  # the pilot's own error codes
DIE = "ACT_PILOT_DIE"  # environment: a way of `pilot_ways`


@dataclass(frozen=True)
class PilotArguments:
    """What the pilot is told on its command line; everything else of the wrapper's options is accepted and ignored.

    Those of one letter, and `url`, are the true wrapper's; the others stand in a queue's `pilot_args`.
    """

    queue: str = ""
    label: str = ""
    url: str = ""  # PanDA's address without port
    port: str = "443"
    mute: bool = False  # speaks to nobody and moves no data: native
    storage: str = ""  # base URL of the outputs
    replicas: str = ""  # base URL of inputs that it fetches itself; a true pilot without reads none
    witness: str = ""  # a file that counts executions, or an https address below which each leaves a file
    upload: bool = False  # a native pilot sends its outputs itself
    heartbeat: float = 1800.0  # seconds between a true pilot's words
    ca_dir: str = ""  # default: X509_CERT_DIR, or what the system trusts
    token: str = ""  # a file, for PanDA; default: PANDA_AUTH_TOKEN, else the proxy speaks for it
    origin: str = ""  # with the token; default: PANDA_AUTH_ORIGIN
    die: str = ""

    @property
    def true(self) -> bool:
        """Whether it reports to PanDA and moves its data itself."""
        return bool(self.url) and not self.mute


@dataclass(frozen=True)
class PayloadOrder:
    """What `jobPars` asks of the payload."""

    sleep: float = 0.0  # seconds
    size: int = 1000  # bytes of each output
    fail: int = 0  # exit code
    die: str = ""  # a way of `pilot_ways`


@dataclass(frozen=True)
class Ran:
    """When and where it ran; epoch seconds."""

    start: float
    end: float
    cpu: float = 0.0
    node: str = "localhost"
    problem: str = ""  # why it failed, if not by its payload's exit code
    code: int = 0  # the pilot's error code for the problem; 0: of stage-in
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Names:
    outputs: list[tuple[str, str]] = field(default_factory=list)  # scope, lfn
    log: tuple[str, str] = ("", "")


def parse_arguments(arguments: Sequence[str]) -> PilotArguments:
    """The options of the real wrapper that matter here; unknown ones are ignored as the wrapper does.

    An argument that holds several options in one (the queue's `pilot_args` arrive like that) is split first.
    """
    parser = _parser("pilot")
    parser.add_argument("-q", dest="queue", default="")
    parser.add_argument("-j", dest="label", default="")
    parser.add_argument("-p", dest="port", default="443")
    parser.add_argument("-z", dest="mute", action="store_true")
    for name in ("url", "storage", "replicas", "witness", "token", "origin", "die"):
        parser.add_argument(f"--{name}", default="")
    parser.add_argument("--cadir", dest="ca_dir", default="")
    parser.add_argument("--heartbeat", type=float, default=1800.0)
    parser.add_argument("--upload", action="store_true")
    words = [word for argument in arguments for word in _split(argument)]
    return PilotArguments(**_known(parser, words))


def _parser(name: str) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(prog=name, allow_abbrev=False, add_help=False, exit_on_error=False)


def _known(parser: argparse.ArgumentParser, words: Sequence[str]) -> dict[str, Any]:
    """The values of known options. Raises ValueError."""
    try:
        return vars(parser.parse_known_args(words)[0])
    except argparse.ArgumentError as error:
        raise ValueError(f"{parser.prog}: {error}") from None


def _split(argument: str) -> list[str]:
    return shlex.split(argument) if argument.startswith("-") and " " in argument else [argument]


def parse_job(text: str) -> dict[str, str]:
    """The flat job of `pandaJobData.out`: url-encoded, all values text, absent ones `None` or `NULL`."""
    pairs = parse_qsl(text.strip(), keep_blank_values=True)
    job = {key: "" if value in ("None", "NULL") else value for key, value in pairs}
    if not job.get("PandaID", "").isdigit():
        raise ValueError(f"{JOB_FILE} holds no PandaID")
    return job


def payload_order(job: Mapping[str, str]) -> PayloadOrder:
    """`--sleep 0.5 --size 1000 --fail 0 --die killed` of jobPars; other words are the business of a real transform.

    Raises ValueError for values that make no sense.
    """
    parser = _parser("jobPars")
    parser.add_argument("--sleep", type=float, default=0.0)
    parser.add_argument("--size", type=int, default=1000)
    parser.add_argument("--fail", type=int, default=0)
    parser.add_argument("--die", default="")
    return PayloadOrder(**_known(parser, shlex.split(job.get("jobPars", ""))))


def input_names(job: Mapping[str, str]) -> list[tuple[str, str]]:
    """Scope and name of each input."""
    return list(zip(_csv(job, "scopeIn"), _csv(job, "inFiles"), strict=True))


def check_inputs(job: Mapping[str, str], read: Callable[[str], bytes | None], unseen: Container[str] = ()) -> str:
    """What is wrong with the inputs; empty when all are there with the announced size and adler32.

    `unseen`: names that are taken for good.
    """
    for name, size, checksum in zip(_csv(job, "inFiles"), _csv(job, "fsize"), _csv(job, "checksum"), strict=False):
        if name in unseen:
            continue
        content = read(name)
        if content is None:
            return f"input {name} is missing"
        if size.isdigit() and len(content) != int(size):
            return f"input {name} has {len(content)} bytes, not {size}"
        if checksum.startswith("ad:") and _adler32(content) != checksum[3:].lower().rjust(8, "0"):
            return f"input {name} has adler32 {_adler32(content)}, not {checksum[3:]}"
    return ""


def way_of(job: Mapping[str, str], told: PilotArguments, environment: Mapping[str, str]) -> str:
    """How it is to die: by its command line, its environment or its job; empty: it is to live. Raises ValueError."""
    return checked(told.die or environment.get(DIE, "") or payload_order(job).die)


def refused_input(way: str) -> str:
    """Why the stage-in fails, if that is how it is to die."""
    return "input cannot be had: no replica answers" if way == pilot_ways.STAGE_IN else ""


def produce(job: Mapping[str, str], arguments: PilotArguments, ran: Ran) -> Produced:
    """All that the pilot leaves behind; pure, the same job always gives the same outputs."""
    order, way = payload_order(job), way_of(job, arguments, ran.environment)
    code = pilot_ways.WAYS[way].sudden if way else None
    if code is not None and (way == pilot_ways.BEFORE_WORD or not ran.problem):
        return Produced({}, order.fail or code, {})
    failed = bool(ran.problem or order.fail or way == pilot_ways.FAILED_BUT_OK)
    names = _names(job)
    files = {} if failed else {lfn: _content(job["PandaID"], lfn, order.size) for _, lfn in names.outputs}
    scopes = {} if failed else {lfn: scope for scope, lfn in names.outputs}
    if names.log[1]:
        files[names.log[1]] = _log_tarball(job, arguments, ran)
        scopes[names.log[1]] = names.log[0]
    surls = {lfn: f"{arguments.storage.rstrip('/')}/{scope}/{lfn}" for lfn, scope in scopes.items()}
    listed = {lfn: _listed(job, lfn, files[lfn], surl) for lfn, surl in surls.items()}
    told = order.fail or int(failed and not ran.problem)
    report = _report(job, arguments, ran, told, listed)
    files["heartbeat.json"] = json.dumps(report).encode()
    files["output.list"] = "".join(f"{lfn} {surl}\n" for lfn, surl in surls.items()).encode()
    honest = Produced(files, 1 if ran.problem else told, report)
    return honest if arguments.true else spoiled(honest, way)


def _report(
    job: Mapping[str, str], arguments: PilotArguments, ran: Ran, exit_code: int, listed: Mapping[str, object]
) -> dict[str, Any]:
    cores = int(job.get("coreCount") or 1)
    pilot_code = (ran.code or STAGE_IN_FAILED) if ran.problem else PAYLOAD_FAILED if exit_code else 0
    diagnosis = ran.problem or (f"payload ended with exit code {exit_code}" if exit_code else "")
    exe_code = 0 if ran.problem else exit_code
    outputs = [{"subFiles": [{"name": lfn, "nentries": 10}]} for lfn in listed if lfn != job.get("logFile")]
    return {
        "jobId": job["PandaID"], "state": "failed" if pilot_code else "finished",
        "attemptNr": int(job.get("attemptNr") or 0),
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(ran.end)),
        "siteName": arguments.queue, "node": ran.node, "workdir": "./",
        "schedulerID": ran.environment.get("PANDA_JSID", "unknown"),
        "pilotID": f"{ran.environment.get('GTAG', 'unknown')}|SLURM|PR|3.11.5.1",
        "startTime": ran.start, "endTime": ran.end,
        "coreCount": cores, "meanCoreCount": cores, "cpuConsumptionTime": int(ran.cpu),
        "cpuConsumptionUnit": "s+simulated", "cpuConversionFactor": 1.0, "nEvents": 0 if pilot_code else 10,
        "jobMetrics": f"coreCount={cores} nEvents=10",
        "pilotTiming": f"0|0|{int(ran.end - ran.start)}|0|0|0", "maxRSS": 200000, "avgRSS": 150000.5, "maxPSS": 200000,
        "remainingSpace": 100000, "transExitCode": exe_code, "exeErrorCode": exe_code,
        "exeErrorDiag": diagnosis if exe_code else "",
        "pilotErrorCode": pilot_code, "pilotErrorDiag": diagnosis, "pilotLog": "",
        "xml": json.dumps(listed), "metaData": json.dumps({"files": {"output": outputs}}),
    }  # fmt: skip


def _listed(job: Mapping[str, str], lfn: str, content: bytes, surl: str) -> dict[str, object]:
    guid = job.get("logGUID") if lfn == job.get("logFile") else None
    guid = guid or str(uuid.uuid5(uuid.NAMESPACE_URL, f"{job['PandaID']}/{lfn}")).upper()
    return {"guid": guid, "fsize": len(content), "adler32": _adler32(content), "surl": surl}


def _names(job: Mapping[str, str]) -> _Names:
    log = job.get("logFile", "")
    outputs = [lfn for lfn in _csv(job, "outFiles") if lfn != log]
    scopes = _csv(job, "scopeOut")
    return _Names(list(zip(scopes, outputs, strict=True)), (job.get("scopeLog", ""), log))


def _csv(job: Mapping[str, str], key: str) -> list[str]:
    return [item for item in job.get(key, "").split(",") if item]


def _content(panda_id: str, lfn: str, size: int) -> bytes:
    block = hashlib.sha512(f"{panda_id} {lfn}".encode()).digest()
    return (block * (size // len(block) + 1))[:size]


def _adler32(content: bytes) -> str:
    return f"{zlib.adler32(content) & 0xFFFFFFFF:08x}"


def _log_tarball(job: Mapping[str, str], arguments: PilotArguments, ran: Ran) -> bytes:
    text = f"pilot log of job {job['PandaID']} on {arguments.queue}\n{ran.problem}\n".encode()
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tarball:
        entry = tarfile.TarInfo(f"tarball_PandaJob_{job['PandaID']}/pilotlog.txt")
        entry.size = len(text)
        tarball.addfile(entry, io.BytesIO(text))
    return gzip.compress(plain.getvalue(), mtime=0)
