"""What a simulated CE runs when its jobs shall really run: a process of this machine, with no sandbox around it."""

import asyncio
import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path, PurePosixPath

from act_core.credentials.private import write_private
from act_core.simulators.arc_payload import PayloadJob, PayloadResult

LONGEST_S = 86_400.0  # of a job that names no wall time
MOST_BYTES = 256 * 1024 * 1024  # that a job may leave: the CE keeps them in memory
NOT_STARTED, OVER_TIME = 127, 137  # exit codes, as a shell tells them
MEMORY_KB = 1000
PROXY = "user.proxy"  # as ENV/PROXY calls it
_PATH = "/usr/local/bin:/usr/bin:/bin"


async def real_payload(job: PayloadJob) -> PayloadResult:
    """The job's program in a directory of its own; the plain files that it leaves are its files on the CE.

    The environment is the job's own and little more. At the end, or when nobody waits any more, its whole process group
    is killed. Raises ValueError for names that lead out of the directory, and for too many bytes.
    """
    with tempfile.TemporaryDirectory(prefix="act-session-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        _lay_out(home, job)
        code = await _run(home, job)
        return PayloadResult(code, await asyncio.to_thread(_gathered, home), wall_s=0.0, memory_kb=MEMORY_KB)


def _lay_out(home: Path, job: PayloadJob) -> None:
    for name, content in job.inputs.items():
        _inside(home, name).write_bytes(content if isinstance(content, bytes) else content.encode())
    if job.proxy:
        write_private(home / PROXY, job.proxy)
    if not job.executable.startswith("/"):
        with contextlib.suppress(FileNotFoundError):
            _inside(home, job.executable).chmod(0o700)


def _inside(home: Path, name: str) -> Path:
    """The place of a file of the session directory, with the directories above it."""
    if ".." in PurePosixPath(name).parts:
        raise ValueError(f"{name!r} leads out of the session directory")
    place = home / name.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


async def _run(home: Path, job: PayloadJob) -> int:
    try:
        process = _started(home, job)
    except OSError as err:
        if job.stderr:
            _inside(home, job.stderr).write_text(f"{job.executable}: {err.strerror}\n")
        return NOT_STARTED
    try:
        async with asyncio.timeout(job.walltime_s or LONGEST_S), _end_of(process) as ended:
            await ended.wait()
    except TimeoutError:
        return OVER_TIME
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
    return code if code >= 0 else 128 - code


@contextlib.asynccontextmanager
async def _end_of(process: "subprocess.Popen[bytes]") -> AsyncIterator[asyncio.Event]:
    """Set when the process has ended; no thread waits for it, so that any number of them can run."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    handle = os.pidfd_open(process.pid)
    loop.add_reader(handle, ended.set)
    try:
        yield ended
    finally:
        loop.remove_reader(handle)
        os.close(handle)


def _started(home: Path, job: PayloadJob) -> "subprocess.Popen[bytes]":
    program = job.executable if job.executable.startswith("/") else f"./{job.executable}"
    with contextlib.ExitStack() as files:
        given = files.enter_context((_inside(home, job.stdin) if job.stdin else Path(os.devnull)).open("rb"))
        out = files.enter_context((_inside(home, job.stdout) if job.stdout else Path(os.devnull)).open("wb"))
        err = out
        if job.stderr != job.stdout:
            err = files.enter_context((_inside(home, job.stderr) if job.stderr else Path(os.devnull)).open("wb"))
        return subprocess.Popen(  # noqa: S603 - to run it is what was asked for
            [program, *job.arguments],
            cwd=home,
            env=_environment(home, job),
            stdin=given,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )


def _environment(home: Path, job: PayloadJob) -> dict[str, str]:
    shown = {"X509_USER_PROXY": str(home / PROXY), "X509_CERT_DIR": job.ca_dir} if job.proxy else {}
    return {"PATH": _PATH, "HOME": str(home), "TMPDIR": str(home), "LANG": "C.UTF-8", **shown, **job.environment}


def _gathered(home: Path) -> dict[str, bytes]:
    """Its plain files, but for its proxy. Raises ValueError."""
    (home / PROXY).unlink(missing_ok=True)
    plain = [path for path in home.rglob("*") if path.is_file() and not path.is_symlink()]
    if (size := sum(path.stat().st_size for path in plain)) > MOST_BYTES:
        raise ValueError(f"the job leaves {size} bytes, more than {MOST_BYTES}")
    return {str(path.relative_to(home)): path.read_bytes() for path in plain}
