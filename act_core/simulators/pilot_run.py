"""The simulated pilot at work in a job's directory: native, or true, when it speaks to PanDA and moves its data itself.

Standard library only: it is shipped to worker nodes.
"""

import json
import os
import platform
import signal
import sys
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from act_core.simulators import pilot_ways as ways
from act_core.simulators.pilot import (
    JOB_FILE,
    PilotArguments,
    Ran,
    check_inputs,
    input_names,
    parse_arguments,
    parse_job,
    payload_order,
    produce,
    refused_input,
    way_of,
)
from act_core.simulators.pilot_ways import Produced
from act_core.simulators.pilot_wire import KILL_ORDER, NoWord, Wire, final_report

PANDA_KILL, STAGE_OUT_FAILED, SIGTERM = 1144, 1137, 1201  # the pilot's own error codes
NAP = 60.0  # seconds that a hanging pilot sleeps at a time


class Ended(Exception):
    """The payload is to end now: why, and the pilot's error code for it."""

    def __init__(self, why: str, code: int) -> None:
        super().__init__(why)
        self.code = code


@dataclass(frozen=True)
class Pilot:
    """One pilot with its job. A native one speaks to nobody; `wire` is there for those that need the network."""

    told: PilotArguments
    job: Mapping[str, str]
    way: str  # to die; empty: it lives
    directory: Path
    wire: Wire | None

    def run(self) -> int:
        """Its life, but for deaths before the first word; the exit code. Raises NoWord, OSError."""
        start, code = time.time(), 0
        try:
            self._report("starting")
            if not (problem := self._stage_in()):
                self._report("running")
                self._compute()
        except Ended as end:
            problem, code = str(end), end.code
        if not problem and (left := _sudden(self.way)) is not None:
            return left
        return self._leave(Ran(start, time.time(), time.process_time(), _node(), problem, code, os.environ))

    def _report(self, status: str) -> None:
        """That it starts, runs or stores its outputs. Raises Ended if PanDA wants it dead."""
        if not self.told.true or self.wire is None:
            return
        attempt = int(self.job.get("attemptNr") or 0)
        body = {"job_id": int(self.job["PandaID"]), "job_status": status, "attempt_nr": attempt, "node": _node()}
        try:
            command = self.wire.update(body | {"site_name": self.told.queue})
        except NoWord as problem:
            _say(f"PanDA was not told that it is {status}: {problem}")
            return
        if KILL_ORDER in command and self.way != ways.DEAF:
            raise Ended(f"PanDA says {command}", PANDA_KILL)

    def _stage_in(self) -> str:
        """What is wrong with the inputs, which it fetches itself if it is told from where; empty: nothing."""
        if self.told.true and not self.told.replicas:
            return refused_input(self.way)
        try:
            if self.told.replicas and self.wire is not None:
                for scope, lfn in input_names(self.job):
                    (self.directory / lfn).write_bytes(self.wire.get(self.told.replicas, scope, lfn))
        except NoWord as problem:
            return f"stage-in: {problem}"
        return check_inputs(self.job, self._read) or refused_input(self.way)

    def _read(self, name: str) -> bytes | None:
        path = self.directory / name
        return path.read_bytes() if path.is_file() else None

    def _compute(self) -> None:
        """The payload runs, and says so from time to time."""
        if self.told.witness:
            testify(self.told.witness, self.job, self.told.queue, self.wire)
        if self.way and ways.WAYS[self.way].sudden is not None:
            return
        end = time.monotonic() + payload_order(self.job).sleep
        while (left := end - time.monotonic()) > self.told.heartbeat:
            time.sleep(self.told.heartbeat)
            self._report("running")
        time.sleep(max(0.0, left))

    def _leave(self, ran: Ran) -> int:
        """Outputs, log and reports; the exit code."""
        made = produce(self.job, self.told, ran)
        if not self.told.true:
            self._keep(made, made.files)
            if self.told.upload:
                self._send(made)
            return made.exit_code
        made = self._stored(made, ran)
        self._keep(made, {self.job.get("logFile", "")} & made.files.keys())
        self._over(made.report)
        return ways.exit_code(made.exit_code, self.way)

    def _keep(self, made: Produced, names: Iterable[str]) -> None:
        for name in names:
            (self.directory / name).write_bytes(made.files[name])

    def _stored(self, made: Produced, ran: Ran) -> Produced:
        """What a true pilot made, once it is on storage; or what is left of a job that failed by that."""
        problem, code = "", STAGE_OUT_FAILED
        try:
            if not ran.problem:
                self._report("transferring")
            if self.way != ways.NO_REPORT:
                self._send(made)
        except Ended as end:
            problem, code = str(end), end.code
        except NoWord as trouble:
            problem = f"stage-out: {trouble}"
        if not problem or ran.problem:
            return made
        return produce(self.job, self.told, replace(ran, end=time.time(), problem=problem, code=code))

    def _send(self, made: Produced) -> None:
        """All that the list names; or all but its first file, where that is how it dies. Raises NoWord."""
        assert self.wire is not None
        listed = [line.split() for line in made.files["output.list"].decode().splitlines()]
        lost = listed[: int(self.way == ways.STAGE_OUT)]
        for lfn, surl in listed[len(lost) :]:
            self.wire.put(surl, made.files[lfn])
        if lost:
            raise NoWord(f"{lost[0][0]} did not reach its storage")

    def _over(self, report: dict[str, Any]) -> None:
        """The final report. Raises NoWord."""
        if self.wire is None or self.way in (ways.LOST_FINAL, ways.NO_REPORT):
            return
        body = final_report(ways.lying(report) if self.way == ways.WRONG_CHECKSUM else report)
        if self.way == ways.TRUNCATED:
            body["job_output_report"] = body["job_output_report"][: len(body["job_output_report"]) // 2]
        elif self.way == ways.GARBAGE:
            body["job_output_report"] = "{{{ heartbeat"
        for _ in range(2 if self.way == ways.FINAL_TWICE else 1):
            self.wire.update(body)


def run_pilot(arguments: Sequence[str], directory: Path) -> int:
    """The whole life of one pilot in the job's directory; returns its exit code. Raises ValueError, NoWord, OSError."""
    told = parse_arguments(arguments)
    wire = Wire(told) if told.true or told.upload or told.replicas or told.witness.startswith("https://") else None
    job = _job(told, wire, directory / JOB_FILE)
    if job is None:
        _say(f"PanDA has no job for {told.queue}")
        return 0
    way = way_of(job, told, os.environ)
    if way == ways.BEFORE_WORD:
        return ways.WAYS[way].sudden or 0
    return Pilot(told, job, way, directory, wire).run()


def _job(told: PilotArguments, wire: Wire | None, file: Path) -> dict[str, str] | None:
    """What was pushed, or else what PanDA has for this queue; None: it has nothing."""
    if not file.exists() and told.true and wire is not None:
        given = wire.acquire(told.queue, told.label or "managed", _node())
        if given is None:
            return None
        file.write_text(urlencode(given))
    return parse_job(file.read_text())


def _sudden(way: str) -> int | None:
    """The death of a running payload; where it returns: the exit code of one that leaves nothing, None for others."""
    if way == ways.KILLED:
        os.kill(os.getpid(), signal.SIGKILL)
    while way == ways.HANG:
        time.sleep(NAP)
    if way == ways.OOM:
        sys.stderr.write("oom-kill: the payload was out of memory and has been killed\n")
    return ways.WAYS[way].sudden if way else None


def testify(path: str, job: Mapping[str, str], where: str, wire: Wire | None) -> None:
    """One line for one execution, in a single write in append mode, so that parallel jobs do not mix.

    Below an https address: one file of its own for each.
    """
    line = {"key": job["PandaID"], "name": job.get("jobName", ""), "ce": where, "at": time.time(), "pid": os.getpid()}
    text = (json.dumps(line) + "\n").encode()
    if wire is not None and path.startswith("https://"):
        wire.put(f"{path.rstrip('/')}/{job['PandaID']}/{uuid.uuid4().hex}", text)
        return
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, text)
    finally:
        os.close(handle)


def _node() -> str:
    return platform.node() or "localhost"


def _say(words: str) -> None:
    sys.stdout.write(f"pilot: {words}\n")
    sys.stdout.flush()


def _terminated(_number: int, _frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # one is enough: the last word is not to be interrupted
    raise Ended("the pilot was told to end (SIGTERM)", SIGTERM)


def main(arguments: Sequence[str] | None = None, directory: Path | None = None) -> int:
    """Runs in the current directory; what it says on stdout is the CE's stdout of the job."""
    signal.signal(signal.SIGTERM, _terminated)
    try:
        code = run_pilot(sys.argv[1:] if arguments is None else arguments, directory or Path.cwd())
    except (ValueError, NoWord, OSError, Ended) as err:
        _say(str(err))
        code = 1
    sys.stdout.write(f"pilot ended with exit code {code}\n")
    return code
