"""A stand-in for the ATLAS pilot in native mode. One file, standard library only: it is shipped to worker nodes.

It reads `pandaJobData.out`, checks the inputs that the CE has brought, "computes", and leaves outputs, the log
tarball, `heartbeat.json` (legacy `updateJob` names) and `output.list` (what the CE shall upload, and where to).
"""

import argparse
import gzip
import hashlib
import io
import json
import os
import platform
import shlex
import ssl
import sys
import tarfile
import time
import urllib.request
import uuid
import zlib
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

JOB_FILE = "pandaJobData.out"
STAGE_IN_FAILED, PAYLOAD_FAILED = 1099, 1305  # the pilot's own error codes
UPLOAD_DEADLINE = 60.0  # seconds per file


@dataclass(frozen=True)
class PilotArguments:
    """What the pilot is told on its command line; everything else of the wrapper's options is accepted and ignored."""

    queue: str = ""
    label: str = ""
    storage: str = ""  # base URL of the outputs
    witness: str = ""  # a file that counts executions
    upload: bool = False  # outputs are sent by the pilot itself, not by the CE


@dataclass(frozen=True)
class PayloadOrder:
    """What `jobPars` asks of the payload."""

    sleep: float = 0.0  # seconds
    size: int = 1000  # bytes of each output
    fail: int = 0  # exit code
    silent: bool = False  # dies without a trace: no heartbeat, no outputs, no log


@dataclass(frozen=True)
class Ran:
    """When and where it ran; epoch seconds."""

    start: float
    end: float
    cpu: float = 0.0
    node: str = "localhost"
    problem: str = ""  # why the inputs were no good
    environment: Mapping[str, str] = field(default_factory=dict)


class Produced(NamedTuple):
    """Files by name (outputs, log, heartbeat.json, output.list), the exit code, and the report of heartbeat.json."""

    files: dict[str, bytes]
    exit_code: int
    report: dict[str, object]


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
    parser.add_argument("--storage", default="")
    parser.add_argument("--witness", default="")
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
    """`--sleep 0.5 --size 1000 --fail 0` of jobPars; other words are the business of a real transform.

    Raises ValueError for values that make no sense.
    """
    parser = _parser("jobPars")
    parser.add_argument("--sleep", type=float, default=0.0)
    parser.add_argument("--size", type=int, default=1000)
    parser.add_argument("--fail", type=int, default=0)
    parser.add_argument("--silent", action="store_true")
    return PayloadOrder(**_known(parser, shlex.split(job.get("jobPars", ""))))


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


def produce(job: Mapping[str, str], arguments: PilotArguments, ran: Ran) -> Produced:
    """All that the pilot leaves behind; pure, the same job always gives the same outputs."""
    order = payload_order(job)
    if order.silent:
        return Produced({}, order.fail or 1, {})
    failed = bool(ran.problem or order.fail)
    names = _names(job)
    files = {} if failed else {lfn: _content(job["PandaID"], lfn, order.size) for _, lfn in names.outputs}
    scopes = {} if failed else {lfn: scope for scope, lfn in names.outputs}
    if names.log[1]:
        files[names.log[1]] = _log_tarball(job, arguments, ran)
        scopes[names.log[1]] = names.log[0]
    surls = {lfn: f"{arguments.storage.rstrip('/')}/{scope}/{lfn}" for lfn, scope in scopes.items()}
    listed = {lfn: _listed(job, lfn, files[lfn], surl) for lfn, surl in surls.items()}
    report = _report(job, arguments, ran, order, listed)
    files["heartbeat.json"] = json.dumps(report).encode()
    files["output.list"] = "".join(f"{lfn} {surl}\n" for lfn, surl in surls.items()).encode()
    return Produced(files, 1 if ran.problem else order.fail, report)


def _report(
    job: Mapping[str, str], arguments: PilotArguments, ran: Ran, order: PayloadOrder, listed: Mapping[str, object]
) -> dict[str, object]:
    cores = int(job.get("coreCount") or 1)
    pilot_code = STAGE_IN_FAILED if ran.problem else PAYLOAD_FAILED if order.fail else 0
    diagnosis = ran.problem or (f"payload ended with exit code {order.fail}" if order.fail else "")
    exe_code = 0 if ran.problem else order.fail
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


def testify(path: str, job: Mapping[str, str], where: str) -> None:
    """One line for one execution; a single write in append mode, so that parallel jobs do not mix."""
    line = {"key": job["PandaID"], "name": job.get("jobName", ""), "ce": where, "at": time.time(), "pid": os.getpid()}
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, (json.dumps(line) + "\n").encode())
    finally:
        os.close(handle)


def run_pilot(arguments: Sequence[str], directory: Path) -> int:
    """The whole life of one pilot in the job's directory; returns its exit code."""
    told = parse_arguments(arguments)
    job = parse_job((directory / JOB_FILE).read_text())
    start, node = time.time(), platform.node() or "localhost"

    def read(name: str) -> bytes | None:
        path = directory / name
        return path.read_bytes() if path.is_file() else None

    problem = check_inputs(job, read)
    if not problem:
        if told.witness:
            testify(told.witness, job, told.queue)
        time.sleep(payload_order(job).sleep)
    produced = produce(job, told, Ran(start, time.time(), time.process_time(), node, problem, os.environ))
    for name, content in produced.files.items():
        (directory / name).write_bytes(content)
    if told.upload:
        _upload(produced)
    return produced.exit_code


def _upload(produced: Produced) -> None:
    proxy = os.environ.get("X509_USER_PROXY")
    context = ssl.create_default_context(capath=os.environ.get("X509_CERT_DIR"))
    if proxy:
        context.load_cert_chain(proxy)
    for line in produced.files["output.list"].decode().splitlines():
        lfn, surl = line.split()
        request = urllib.request.Request(surl, produced.files[lfn], method="PUT")  # noqa: S310 (the URL is our own)
        with urllib.request.urlopen(request, timeout=UPLOAD_DEADLINE, context=context):  # noqa: S310
            pass


def main() -> int:
    """Runs in the current directory; what it says on stdout is the CE's stdout of the job."""
    code = run_pilot(sys.argv[1:], Path.cwd())
    sys.stdout.write(f"pilot ended with exit code {code}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
