"""Runs one job of the `local` back end: stage-in, payload, stage-out. Stands alone: standard library only.

`python -I -S local_runner.py DIRECTORY`. The directory holds `job.json`; `started` is made with O_EXCL, so a job
starts once however often a runner is begun. `ended.json` appears, whole, when all is over.
"""

import contextlib
import ctypes
import json
import os
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

CHUNK = 1 << 20
PR_SET_PDEATHSIG = 1
Json = dict[str, Any]


class Killed(Exception):
    """Somebody wants this job to end."""


class StageError(Exception):
    """A file could not be brought in or out."""


def begin(directory: Path) -> bool:
    """Claim the job for this process; False: it was started before."""
    stat = Path("/proc/self/stat").read_text(encoding="ascii")
    start = stat.rpartition(")")[2].split()[19]
    try:
        claim = os.open(directory / "started", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(claim, "w") as file:
        file.write(f"{os.getpid()}:{start}\n")
    return True


def end(directory: Path, result: Json) -> None:
    fresh = directory / "ended.new"
    fresh.write_text(json.dumps(result), encoding="utf-8")
    fresh.rename(directory / "ended.json")


class _StayEncrypted(urllib.request.HTTPRedirectHandler):
    """Who asked a server that proved its name is not sent to one that does not."""

    def redirect_request(self, req: urllib.request.Request, *answer: Any) -> urllib.request.Request | None:
        made = super().redirect_request(req, *answer)
        if made is not None and req.type == "https" and made.type != "https":
            raise OSError(f"redirected to {made.full_url[:200]!r}, which is no https address")
        return made


def opener(job: Json) -> urllib.request.OpenerDirector:
    """Verified TLS, with the job's proxy where it has one."""
    context = ssl.create_default_context(capath=job["ca_dir"]) if job.get("ca_dir") else ssl.create_default_context()
    if job.get("proxy"):
        context.load_cert_chain(job["proxy"])
    handlers = [urllib.request.HTTPSHandler(context=context), urllib.request.ProxyHandler({}), _StayEncrypted()]
    return urllib.request.build_opener(*handlers)


def bring_in(job: Json, session: Path, web: urllib.request.OpenerDirector) -> None:
    for file in job["inputs"]:
        target = session / file["name"]
        if file["source"]:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with web.open(file["source"], timeout=60) as answer, target.open("wb") as out:
                    shutil.copyfileobj(answer, out, CHUNK)
            except (OSError, ValueError) as err:
                raise StageError(f"stage-in of {file['name']} from {file['source']}: {err}") from err
        if file["executable"]:
            target.chmod(0o700)


def outputs(job: Json, session: Path) -> list[tuple[str, str]]:
    """Names and URLs of what goes out: declared ones, and those in the payload's own lists."""
    found = []
    for file in job["outputs"]:
        if file["name"].startswith("@"):
            listed = session / file["name"][1:]
            if listed.is_file():
                lines = listed.read_text(encoding="utf-8", errors="replace").splitlines()
                found += [
                    (name, url.strip()) for name, _, url in (line.strip().partition(" ") for line in lines) if url
                ]
        elif file["target"]:
            found.append((file["name"], file["target"]))
    return found


def take_out(job: Json, session: Path, web: urllib.request.OpenerDirector) -> None:
    for name, url in outputs(job, session):
        source = (session / name).resolve()
        if not source.is_relative_to(session.resolve()) or not source.is_file():
            raise StageError(f"stage-out of {name}: there is no such file")
        try:
            with source.open("rb") as file:
                size = str(source.stat().st_size)
                request = urllib.request.Request(url, file, {"Content-Length": size}, method="PUT")  # noqa: S310 - the job's own
                web.open(request, timeout=60).close()
        except (OSError, ValueError) as err:
            raise StageError(f"stage-out of {name} to {url}: {err}") from err


def limits(job: Json) -> None:
    """In the child: die with the runner, keep within the memory asked for."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if job["memory_bytes"]:
        resource.setrlimit(resource.RLIMIT_AS, (job["memory_bytes"], job["memory_bytes"]))


def start(job: Json, session: Path) -> "subprocess.Popen[bytes]":
    with contextlib.ExitStack() as stack:

        def opened(name: str | None, mode: str) -> Any:
            return stack.enter_context((session / name).open(mode)) if name else subprocess.DEVNULL

        joined = job["stdout"] and job["stdout"] == job["stderr"]
        return subprocess.Popen(  # noqa: S603 - running jobs is what we are for
            job["argv"],
            cwd=session,
            env=job["environment"],
            stdin=opened(job["stdin"], "rb"),
            stdout=opened(job["stdout"], "wb"),
            stderr=subprocess.STDOUT if joined else opened(job["stderr"], "wb"),
            start_new_session=True,
            preexec_fn=lambda: limits(job),
        )


def run(job: Json, session: Path) -> Json:
    """The payload, within its wall time. Times in seconds, memory in kB."""
    began = time.monotonic()
    try:
        child = start(job, session)
    except OSError as err:
        return {"exit_code": 127, "error": f"cannot start {job['argv'][0]}: {err.strerror}", "wall_s": 0}
    error = None
    try:
        child.wait(job["walltime_s"])
    except subprocess.TimeoutExpired:
        error = f"wall time limit of {job['walltime_s']:.0f} s exceeded"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    if error is None and child.returncode != 0:
        error = f"Job finished with wrong exit code - {child.returncode} != 0"
    return {
        "exit_code": child.returncode,
        "error": error,
        "wall_s": round(time.monotonic() - began, 3),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 3),
        "memory_kb": usage.ru_maxrss,
    }


def live(directory: Path, job: Json) -> Json:
    """All phases from `job['from']` on; what is returned becomes `ended.json`."""
    session = directory / "session"
    web = opener(job)
    result: Json = {"exit_code": None, "error": None}
    phase = "stage-in"
    try:
        if job["from"] == "stage-in":
            bring_in(job, session, web)
        phase = "run"
        if job["from"] != "stage-out":
            result |= run(job, session)
        phase = "stage-out"
        (directory / "finishing").touch()
        if result["error"] is None:
            take_out(job, session, web)
            phase = "over"
        else:
            phase = "run"
    except StageError as err:
        result["error"] = str(err)
    except Killed:
        result |= {"error": "Job is canceled by external request", "killed": True}
    return result | {"phase": phase}


def main() -> int:
    directory = Path(sys.argv[1])
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # who reads our claim may kill us at once
    if not begin(directory):
        return 0

    def on_term(_signum: int, _frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # one kill is enough: what it began is not to be interrupted
        raise Killed

    signal.signal(signal.SIGTERM, on_term)
    began = time.time()
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        job = json.loads((directory / "job.json").read_text(encoding="utf-8"))
        result = {"killed": True, "error": "killed", "phase": "stage-in"} if (directory / "kill").exists() else None
        result = result or live(directory, job)
    except Killed:
        result = {"killed": True, "error": "Job is canceled by external request", "phase": "run"}
    except (OSError, ValueError, KeyError) as err:
        result = {"error": f"the runner could not go on: {err!r}", "phase": "run"}
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    end(directory, {"node": socket.gethostname(), "started": began, "ended": time.time(), **result})
    return 0


if __name__ == "__main__":
    sys.exit(main())
