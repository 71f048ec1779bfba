"""The files of a local job: how it is made, told, fetched, killed and removed."""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from act_core.ce import folders
from act_core.ce.base import Accepted, Facts, Fetched, FetchPlan, Refused, Seen, SubmissionKey, Traits
from act_core.ce.patterns import diagnosed
from act_core.ce.registry import Place
from act_core.jobspec import InputFile, JobSpec
from act_core.processes import lives
from act_core.states import CeState

CLAIM_PATIENCE = 10  # seconds from the making of `started` until its content must be there


def is_name(name: str) -> bool:
    """Whether this can be the name of a job's directory: nothing that leads elsewhere."""
    return bool(name) and not name.startswith(".") and "/" not in name and "\x00" not in name


def names(root: Path) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(root) if entry.is_dir() and not entry.name.startswith(".")]
    except FileNotFoundError:
        return []


def create(root: Path, key: SubmissionKey, spec: JobSpec, place: Place, two_phase: bool) -> None:
    """Make a job's directory, whole or not at all. The same key again changes nothing.

    A job for which the tower has files to send waits for them, with two phases or without.
    """
    if (root / key).exists():
        return
    fresh = root / f".new-{key}"
    shutil.rmtree(fresh, ignore_errors=True)
    (fresh / "session").mkdir(parents=True, mode=0o700)
    (fresh / "job.json").write_text(json.dumps(rendered(spec, place, root / key / "session")), encoding="utf-8")
    if spec.mark:
        (fresh / "mark").write_text(spec.mark, encoding="ascii")
    if not two_phase and not spec.uploads:
        (fresh / "committed").touch()
    fresh.rename(root / key)


def rendered(spec: JobSpec, place: Place, home: Path) -> dict[str, Any]:
    """What the runner needs to know of a job."""
    executable = spec.executable
    if not executable.startswith("/"):
        executable = f"./{executable}" if "/" not in executable else executable
    own = {"HOME": str(home), "PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
    proxy = str(place.proxy) if place.proxy else None
    ca_dir = str(place.ca_dir) if place.ca_dir.is_dir() else None
    own |= {name: path for name, path in (("X509_USER_PROXY", proxy), ("X509_CERT_DIR", ca_dir)) if path}
    return {
        "argv": [executable, *spec.arguments],
        "environment": own | dict(spec.environment),
        "stdin": spec.stdin,
        "stdout": spec.stdout,
        "stderr": spec.stderr,
        "inputs": [
            {
                "name": file.name,
                "source": file.source if file.by_ce else None,
                "executable": file.executable or file.name == spec.executable,
            }
            for file in spec.inputs
        ],
        "outputs": [{"name": file.name, "target": file.target} for file in spec.outputs],
        "memory_bytes": spec.memory_mb * spec.cores * 1024 * 1024 if spec.memory_mb else None,
        "walltime_s": spec.walltime.total_seconds() if spec.walltime else None,
        "cores": spec.cores,
        "priority": spec.priority,
        "reruns": spec.reruns,
        "ca_dir": ca_dir,
        "proxy": proxy,
        "from": "stage-in",
    }


class JobDir:
    """One job's directory, read at each question: another process may have changed it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def log(self) -> Path:
        return self.path / "runner.log"

    def mark(self) -> str:
        """What the tower reads again of its own; empty: nothing."""
        try:
            return (self.path / "mark").read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):
            return ""

    def over(self) -> bool:
        return (self.path / "ended.json").exists()

    def committed(self) -> bool:
        return (self.path / "committed").exists()

    def started(self) -> bool:
        return (self.path / "started").exists()

    def running(self) -> bool:
        return self.started() and not self.over()

    def turn(self) -> tuple[int, float]:
        """Order in the queue: priority, then time of the commit."""
        return -int(self.read("job.json").get("priority", 50)), (self.path / "committed").stat().st_mtime

    def end(self) -> dict[str, Any]:
        """What was written of its end; empty: it has not ended. Read once: a restart may take it away."""
        try:
            read: dict[str, Any] = json.loads((self.path / "ended.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError):
            return {"error": "what was written of its end cannot be read", "phase": "run"}
        return read

    def read(self, name: str) -> dict[str, Any]:
        try:
            read: dict[str, Any] = json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return read

    def _runner(self) -> tuple[int, str] | None:
        """Pid and start of the runner; None: not started, or not yet written."""
        try:
            pid, _, start = (self.path / "started").read_text(encoding="ascii").strip().partition(":")
        except OSError:
            return None
        return (int(pid), start) if pid.isdigit() else None

    def _runner_died(self) -> bool:
        runner = self._runner()
        if runner is None:
            try:
                return time.time() - (self.path / "started").stat().st_mtime > CLAIM_PATIENCE
            except OSError:
                return False
        return not lives(*runner) and not self.over()

    def finish(self, result: dict[str, Any]) -> None:
        """Write the end of a job that has no runner."""
        fresh = self.path / f"ended.{os.getpid()}"
        fresh.write_text(json.dumps(result | {"ended": time.time()}), encoding="utf-8")
        fresh.rename(self.path / "ended.json")

    def seen(self, now: datetime, traits: Traits) -> Seen:
        if not self.over() and self.started() and self._runner_died():
            words = "its runner died (killed, or the machine was restarted)"
            self.finish({"error": words, "phase": "run", "killed": (self.path / "kill").exists()})
        if not self.over() and not self.committed() and self._age(now) > traits.input_patience:
            self.finish({"error": "Timeout waiting for input files", "phase": "stage-in"})
        if end := self.end():
            if end.get("killed"):
                return Seen(CeState.CANCELLED, "KILLED")
            return Seen(CeState.FAILED, "FAILED") if end.get("error") else Seen(CeState.FINISHED, "FINISHED")
        if (self.path / "finishing").exists():
            return Seen(CeState.FINISHING, "FINISHING")
        if self.started():
            return Seen(CeState.RUNNING, "RUNNING")
        return Seen(CeState.SUBMITTED, "QUEUING" if self.committed() else "PREPARING")

    def _age(self, now: datetime) -> timedelta:
        made = datetime.fromtimestamp((self.path / "job.json").stat().st_mtime, UTC)
        return now - made

    def facts(self) -> Facts:
        end, job = self.end(), self.read("job.json")

        def when(key: str) -> datetime | None:
            return datetime.fromtimestamp(end[key], UTC) if key in end else None

        def whole(key: str) -> int | None:
            return None if end.get(key) is None else round(end[key])

        restartable = end.get("phase") in ("stage-in", "stage-out") and end.get("error")
        return Facts(
            complete=bool(end) or not self.over(),
            exit_code=end.get("exit_code"),
            error=end.get("error"),
            node=end.get("node"),
            wall_s=whole("wall_s") if end.get("wall_s") is not None else (0 if end else None),
            cpu_s=whole("cpu_s"),
            memory_kb=whole("memory_kb"),
            cores=job.get("cores"),
            started=when("started"),
            ended=when("ended"),
            restart_at=end["phase"] if restartable else None,
        )

    def kill(self, locked: Callable[[], AbstractContextManager[None]]) -> Accepted:
        """End the job, whatever it does; an ended one stays as it is."""
        with locked():
            if self.over():
                return Accepted()
            (self.path / "kill").touch()
            if not self.started():
                self.finish({"error": "Job is canceled by external request", "killed": True, "phase": "queue"})
        runner = self._runner()
        if runner and lives(*runner) and not self.over():
            os.kill(runner[0], signal.SIGTERM)
        return Accepted()


def put(job: JobDir, files: Collection[InputFile]) -> Refused | None:
    """Bring the tower's own files; with the last one the job is committed. One that has started keeps what it has."""
    if job.started():
        return None
    for file in files:
        if refused := folders.put(job.path / "session", file):
            return refused
    (job.path / "committed").touch()
    return None


def bring(job: JobDir, plan: FetchPlan) -> Fetched | Refused:
    """Copy what is wanted into the plan's directory, which is made new. Links of the payload are not followed."""
    ours = {"errors": job.log(), "diag": job.path / "ended.json", "failed": job.path / "ended.json"}
    controls = {home: ours[name] for name, home in diagnosed(plan.patterns) if name in ours and ours[name].exists()}
    return folders.bring(job.path / "session", controls, plan)


def restart(job: JobDir) -> Accepted | Refused:
    """Go on from a failed stage-in or stage-out, as often as the description allows."""
    end, description = job.read("ended.json"), job.read("job.json")
    if not end.get("error") or end.get("phase") not in ("stage-in", "stage-out"):
        return Refused("Job has not failed in stage-in or stage-out", for_good=True)
    if description.get("reruns", 0) < 1:
        return Refused("No more restarts allowed", for_good=True)
    description |= {"reruns": description["reruns"] - 1, "from": end["phase"]}
    fresh = job.path / "job.new"
    fresh.write_text(json.dumps(description), encoding="utf-8")
    fresh.rename(job.path / "job.json")
    for name in ("finishing", "started", "ended.json"):
        (job.path / name).unlink(missing_ok=True)
    return Accepted()


def remove(job: JobDir) -> Accepted | Refused:
    """Remove an ended job's directory."""
    if not job.over():
        return Refused("it has not ended: kill it first", for_good=False)
    gone = job.path.with_name(f".gone-{job.path.name}")
    job.path.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)
    return Accepted()
