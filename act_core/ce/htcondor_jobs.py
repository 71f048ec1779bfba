"""How a job is described to HTCondor: submit commands for a batch, an item and a script for each job. No call."""

import re
import shlex
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from act_core.ce.base import SubmissionKey
from act_core.ce.htcondor_dialect import quoted
from act_core.errors import BadInput
from act_core.jobspec import COMMIT_FILE, PROXY_ENVIRONMENT, InputFile, JobSpec
from act_core.settings.quantities import FilePath, Seconds

SCRIPT, SESSION, OUTPUT = "act-run.sh", "session", "act-out.tar"
STDOUT, STDERR, LOG = "act.out", "act.err", "job.log"
GUARDS = {"grid": ("Matched", "ActCommitted"), "vanilla": ("ActCommitted",)}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_PLAIN = re.compile(r"[^A-Za-z0-9_.:@/+-]")
_OURS = {"executable", "arguments", "universe", "initialdir", "transfer_input_files", "queue", "hold", "leave_in_queue"}
Value = str | int | float | bool


class Options(BaseModel):
    """The keys of `options` of an HTCondor CE."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    universe: Literal["grid", "vanilla"] = "grid"
    schedd: str | None = Field(default=None, min_length=1)  # its name; default: the local one
    collector: str | None = Field(default=None, pattern=r"^[^\s]+$")  # host:port; default: of the local configuration
    grid_resource: str | None = None  # default: condor <host> <endpoint>
    files: Literal["shared", "spool"] = "shared"  # shared: the schedd sees the directory under the same path
    directory: FilePath | None = None  # of the jobs' files; default: htcondor/<name> in the state directory
    account: int | None = Field(default=None, ge=1)  # uid that owns them, when the tower runs as root
    config: FilePath | None = None  # condor_config; default: as HTCondor's tools find it
    knobs: Mapping[str, str] = Field(default_factory=dict)  # further configuration of the client
    job_token: str | None = None  # the token's path on the schedd's machine, where files are spooled
    attributes: Mapping[str, Value] = Field(default_factory=dict)  # of every job
    commands: Mapping[str, str] = Field(default_factory=dict)  # further submit commands of every job
    queue: str | None = None  # for jobs that name none
    memory_mb: int = Field(default=1000, ge=1)  # for jobs that name none
    disk_mb: int = Field(default=1000, ge=1)  # for jobs that name none
    patience: Seconds = timedelta(minutes=10)  # with a CE that the grid manager cannot reach, until it is named
    leave: Seconds = timedelta(days=10)  # an ended job that nobody cleans stays in the queue
    max_fetch_mb: int = Field(default=2048, ge=1)  # of one job

    @field_validator("attributes", "commands")
    @classmethod
    def _names(cls, given: Mapping[str, Value]) -> Mapping[str, Value]:
        for name, value in given.items():
            if not _NAME.fullmatch(name) or name.lower() in _OURS or not str(value).isprintable():
                raise ValueError(f"{name!r} cannot be set here")
        return given

    @model_validator(mode="after")
    def _local(self) -> "Options":
        if self.collector and not self.schedd:
            raise ValueError("a collector knows many schedds: name one in `schedd`")
        return self


def resource(endpoint: str, options: Options) -> str:
    """The CE's address for the grid manager. Raises BadInput."""
    if options.grid_resource:
        return options.grid_resource
    host, _, port = endpoint.rpartition(":")
    if not host or not port.isdecimal() or "/" in endpoint:
        raise BadInput("an HTCondor-CE's endpoint is host:port, such as ce.example.org:9619")
    return f"condor {host} {endpoint}"


def description(
    site: str, grid_resource: str, options: Options, token: str | None, proxy: str | None
) -> dict[str, str]:
    """The submit commands that the jobs of a batch share; `$(act_…)` is of the item."""
    ours = {
        "universe": options.universe,
        "executable": "/bin/sh",
        "transfer_executable": "False",
        "arguments": SCRIPT,
        "initialdir": "$(act_place)",
        "transfer_input_files": "$(act_files)",
        "should_transfer_files": "YES",
        "when_to_transfer_output": "ON_EXIT",
        "output": STDOUT,
        "error": STDERR,
        "log": LOG,
        "priority": "$(act_prio)",
        "request_cpus": "$(act_cpus)",
        "request_memory": "$(act_memory)",
        "request_disk": "$(act_disk)",
        "batch_name": "$(act_title)",
        "leave_in_queue": f"(JobStatus == 3 || JobStatus == 4) && time() - EnteredCurrentStatus < {_s(options.leave)}",
        "My.ActSite": quoted(site),
        "My.ActKey": '"$(act_key)"',
        "My.ActMark": "$(act_mark)",
        "My.ActCommitted": "$(act_go)",
        "My.ActMissing": "$(act_missing)",
        "My.MaxRuntime": "$(act_runtime)",
        "My.maxWallTime": "$(act_minutes)",
        "My.maxMemory": "$(act_memory)",
        "My.xcount": "$(act_cpus)",
        "My.queue": "$(act_batchqueue)",
    }
    ours |= _of_universe(grid_resource, options)
    if options.files == "shared":
        ours["hold"] = "$(act_hold)"
    ours |= {"scitokens_file": token} if token else {}
    ours |= {"x509userproxy": proxy} if proxy else {}
    extra = {f"My.{name}": _value(value) for name, value in options.attributes.items()}
    return ours | extra | dict(options.commands)


def _of_universe(grid_resource: str, options: Options) -> dict[str, str]:
    """Spooling lets a job go by itself: a guard keeps it from running until it is committed."""
    spool, grid = options.files == "spool", options.universe == "grid"
    if grid:
        return {"grid_resource": grid_resource} | ({"My.Matched": "$(act_go)"} if spool else {})
    limit = {"allowed_execute_duration": "$(act_runtime)"}
    return limit | ({"requirements": "My.ActCommitted"} if spool else {})


def item(
    key: SubmissionKey, spec: JobSpec, place: Path, options: Options, go: bool, missing: str | None
) -> dict[str, str]:
    """What is this job's own. `go`: it waits for nothing of ours; `missing`: what cannot be sent. Raises BadInput."""
    memory = spec.memory_mb * spec.cores if spec.memory_mb else options.memory_mb
    disk = options.disk_mb if spec.disk_mb is None else max(1, spec.disk_mb)
    queue = spec.queue or options.queue
    return {
        "act_key": key,
        "act_mark": quoted(spec.mark) if spec.mark else "undefined",
        "act_place": _path(place),
        "act_files": ", ".join([SCRIPT, SESSION, *(_url(file) for file in spec.inputs if file.by_ce)]),
        "act_title": _PLAIN.sub("_", spec.name),
        "act_prio": str(spec.priority),
        "act_cpus": str(spec.cores),
        "act_memory": str(memory),
        "act_disk": str(disk * 1024),
        "act_runtime": str(_s(spec.walltime)) if spec.walltime else "undefined",
        "act_minutes": str(-(-_s(spec.walltime) // 60)) if spec.walltime else "undefined",
        "act_batchqueue": quoted(_PLAIN.sub("_", queue)) if queue else "undefined",
        "act_missing": quoted(_PLAIN.sub("_", missing)) if missing else "undefined",
        "act_go": str(go or options.files == "shared"),
        "act_hold": str(not go),
    }


def check(spec: JobSpec) -> None:
    """Raises BadInput for what HTCondor cannot do for a job."""
    if away := [out.name for out in spec.outputs if out.target]:
        raise BadInput(f"output {away[0]}: HTCondor brings outputs to the tower and to no URL")
    if other := [one.name for one in spec.runtime_environments if one.name != PROXY_ENVIRONMENT]:
        raise BadInput(f"runtime environment {other[0]}: HTCondor knows none")
    names = [_base(file) for file in spec.inputs if file.by_ce]
    if twice := {name for name in names if names.count(name) > 1} | {SCRIPT, SESSION, OUTPUT}.intersection(names):
        raise BadInput(f"inputs from URLs arrive under their last name, and {min(twice)} is taken")
    for file in spec.inputs:
        _ = _url(file) if file.by_ce else ""


def script(spec: JobSpec) -> str:
    """What runs on the node: the payload in its session directory; then all that is wanted goes into one archive.

    So links stay links, optional outputs may be absent, directories come home whole, and the outputs of a payload that
    failed come too.
    """
    urls = [file for file in spec.inputs if file.by_ce]
    runs = [file.name for file in spec.inputs if file.executable]
    if not spec.executable.startswith("/"):
        runs.append(spec.executable)
    streams = [name for name in (spec.stdout, spec.stderr) if name]
    folders = sorted({str(Path(name).parent) for name in (*streams, *(file.name for file in urls))} - {"."})
    lines = ["#!/bin/sh", f"cd {SESSION} || exit 121"]
    lines += [f"mkdir -p {_here(folder)}" for folder in folders]
    lines += [f"mv ../{shlex.quote(_base(file))} {_here(file.name)} || exit 122" for file in urls]
    lines += [f"chmod +x {_here(name)}" for name in dict.fromkeys(runs)]
    payload = [f"export {name}={shlex.quote(value)}" for name, value in spec.environment.items()]
    program = spec.executable if spec.executable.startswith("/") else f"./{spec.executable}"
    payload.append(f"exec {shlex.join([program, *spec.arguments])}")
    lines += ["(", *payload, f") {_redirections(spec)}", "code=$?", *_packing(spec), "exit $code", ""]
    return "\n".join(lines)


def _redirections(spec: JobSpec) -> str:
    out = _here(spec.stdout) if spec.stdout else "/dev/null"
    err = "&1" if spec.stderr and spec.stderr == spec.stdout else _here(spec.stderr) if spec.stderr else "/dev/null"
    source = _here(spec.stdin) if spec.stdin else "/dev/null"
    return f"< {source} > {out} 2>{err}"


def _packing(spec: JobSpec) -> list[str]:
    wanted = [out.name.rstrip("/") for out in spec.outputs if not out.name.startswith("@")]
    wanted += [name.rstrip("/") for name in spec.fetch if not name.startswith("diagnose=") and name != "/"]
    wanted += [name for name in (spec.stdout, spec.stderr) if name]
    lists = [out.name[1:] for out in spec.outputs if out.name.startswith("@")]
    names = " ".join(shlex.quote(name) for name in dict.fromkeys([*wanted, *lists]))
    everything = "/" in spec.fetch
    inputs = [file.name for file in spec.inputs if file.name not in wanted] if everything else []
    without = "".join(f" --exclude={_here(name)}" for name in [*inputs, COMMIT_FILE])
    lines = (
        ["set --", f'for f in {names}; do if [ -e "./$f" ]; then set -- "$@" "./$f"; fi; done'] if names else ["set --"]
    )
    for name in lists:
        keep = 'case "/$f/" in *"/../"*|//*) ;; *) if [ -e "./$f" ]; then set -- "$@" "./$f"; fi ;; esac'
        lines.append(f"if [ -f {_here(name)} ]; then while read -r f rest; do {keep}; done < {_here(name)}; fi")
    if everything:
        lines.append("set -- .")
    pack = f'tar -cf ../{OUTPUT}{without} -- "$@" || {{ rm -f ../{OUTPUT}; [ $code -ne 0 ] || code=123; }}'
    return [*lines, f"if [ $# -gt 0 ]; then {pack}; fi"]


def _here(name: str) -> str:
    return shlex.quote(f"./{name}")


def _base(file: InputFile) -> str:
    return urlsplit(str(file.source)).path.rstrip("/").rpartition("/")[2]


def _url(file: InputFile) -> str:
    url = str(file.source)
    if not _base(file) or not url.isprintable() or re.search(r"[\s,$\"']", url):
        raise BadInput(f"input {file.name}: HTCondor cannot fetch {url!r}")
    return url


def _path(place: Path) -> str:
    """A path of ours in a submit command."""
    text = str(place)
    if not text.isprintable() or re.search(r"[\s,$\"']", text):
        raise BadInput(f"HTCondor takes no directory named {text!r}")
    return text


def _value(value: Value) -> str:
    if isinstance(value, bool):
        return str(value)
    return quoted(value.replace("$", "$(DOLLAR)")) if isinstance(value, str) else str(value)


def _s(time: timedelta) -> int:
    return int(time.total_seconds())
