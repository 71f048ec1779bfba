"""What a simulated CE runs: the hook, and a payload for when there is no other."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Protocol
from urllib.parse import parse_qsl

PANDA_JOB_FILE = "pandaJobData.out"
_FALSE = re.compile(r"(^|[\s/])false($|[\s;])")
_EXIT = re.compile(r"(?:^|[\s;])exit\s+(\d+)")


@dataclass(frozen=True, slots=True)
class PayloadJob:
    """One execution. An input is its content, or its URL where the CE only pretended to fetch it."""

    name: str
    executable: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    inputs: Mapping[str, bytes | str]
    outputs: Mapping[str, str | None]  # name -> target; None: kept for the client
    stdout: str = ""
    stderr: str = ""
    cores: int = 1
    node: str = "node1.example"
    walltime_s: float = 0  # that it asked for; 0: it named none
    stdin: str = ""
    proxy: bytes = b""  # PEM: certificate, key, chain; empty: it asked for none
    ca_dir: str = ""  # of the authorities that the CE trusts


@dataclass(frozen=True, slots=True)
class PayloadResult:
    """What it left. `wall_s` None: the CE draws a run time; else the job runs so long (also when the hook is quick)."""

    exit_code: int = 0
    files: Mapping[str, bytes] = field(default_factory=dict)
    cpu_s: float = 0.0
    wall_s: float | None = None
    memory_kb: int = 0


class Payload(Protocol):
    """Called once at each execution; what it raises fails the job."""

    async def __call__(self, job: PayloadJob) -> PayloadResult: ...


async def plain_payload(job: PayloadJob) -> PayloadResult:
    """Makes all declared outputs. `echo`, `sleep N`, `false` and `sh -c "exit N"` do what they say."""
    program = PurePosixPath(job.executable).name
    words = " ".join((job.executable, *job.arguments))
    ended = _EXIT.search(words)
    code = int(ended[1]) if ended else int(bool(_FALSE.search(words)))
    said = " ".join(job.arguments) if program == "echo" else f"{job.name} ran on {job.node}"
    wanted = (name for name in job.outputs if name not in (job.stdout, job.stderr) and not name.startswith("@"))
    files = {_file_in(name): f"{name} of {job.name}\n".encode() for name in wanted if name != "/"}
    if job.stdout:
        files[job.stdout] = f"{said}\n".encode()
    if job.stderr:
        files.setdefault(job.stderr, b"")
    return PayloadResult(code, files if code == 0 else _logs(job, files), 0.1, _sleep(program, job.arguments), 1000)


def witness_key(job: PayloadJob) -> str:
    """Under which name an execution is testified: the PanDA id where the job carries one, or the job's name."""
    content = job.inputs.get(PANDA_JOB_FILE)
    if isinstance(content, bytes):
        given = dict(parse_qsl(content.decode("utf-8", "replace").strip()))
        return given.get("PandaID") or job.name
    return job.name


def _file_in(name: str) -> str:
    return f"{name}file" if name.endswith("/") else name


def _logs(job: PayloadJob, files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if name in (job.stdout, job.stderr)}


def _sleep(program: str, arguments: tuple[str, ...]) -> float | None:
    if program != "sleep" or not arguments:
        return None
    return float(arguments[0]) if arguments[0].replace(".", "", 1).isdigit() else None
