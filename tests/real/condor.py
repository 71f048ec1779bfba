"""Two real HTCondor pools on loopback: `with Condor() as pair` in a test, `python tests/real/condor.py start` by hand.

They run in the chroot of `condor_install`, a schedd with its gridmanager (`submit`) and a pool with slots (`ce`); jobs
are those of the account gridjobs. The temporary directory has the same path inside and outside.
"""

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from arex_processes import KEPT, end_processes, guard, hold, processes, sweep, tag
from by_hand import command
from chroots import CannotInstall
from condor_config import ACCOUNT, POOLS, UID, Issuer, configuration, lay_out
from condor_install import CHROOT, HOW_TO

START_S, COMMAND_S = 90.0, 30.0
DOORS = ("condor_shared_p", "condor_collecto", "condor_schedd", "condor_shadow")  # as the kernel cuts names
BY_HAND = "condor-hand"
TEMPORARY = Path(tempfile.gettempdir()).resolve()
_BOTH = (
    'mkdir -p "$0$1" && mount --bind "$1" "$0$1" && { mount -t proc proc "$0/proc" 2>/dev/null || true; } && '
    'root=$0 && shift && exec chroot "$root" "$@"'
)


class Condor:
    """Raises CannotInstall unless `condor_install` was called before."""

    def __init__(self, slots: int = 16, name: str = "") -> None:
        if CHROOT.installed() is None:
            raise CannotInstall(f"HTCondor is not installed: {HOW_TO}")
        self.slots = slots
        self.name = name or f"{os.getpid()}-{secrets.token_hex(3)}"
        self.root = CHROOT.root
        self.inner = f"/srv/act-{self.name}"
        self.home = self.root / self.inner.removeprefix("/")
        self.client = self.home / "client"
        self.ports: dict[str, int] = {}
        self.issuer: Issuer | None = None
        self._held: TextIO | None = None
        self._masters: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def knobs(self) -> dict[str, str]:
        """What a client has to know of HTCondor's configuration."""
        return {
            "SEC_CLIENT_AUTHENTICATION_METHODS": "IDTOKENS",
            "SEC_TOKEN_DIRECTORY": str(self.client / "tokens.d"),
            "SEC_TOKEN_SYSTEM_DIRECTORY": str(self.client / "tokens.d"),
            "NETWORK_INTERFACE": "127.0.0.1",
            "ENABLE_IPV6": "False",
        }

    def vanilla(self) -> dict[str, Any]:
        """Options of the back end, for jobs of the pool with slots."""
        return self._options("ce") | {"universe": "vanilla"}

    def grid(self) -> dict[str, Any]:
        """Options of the back end, for jobs that go to the CE."""
        return self._options("submit") | {"grid_resource": f"condor ce@localhost localhost:{self.ports['ce']}"}

    def _options(self, pool: str) -> dict[str, Any]:
        where = {"schedd": f"{pool}@localhost", "collector": f"127.0.0.1:{self.ports[pool]}"}
        return where | {"knobs": self.knobs, "account": UID, "memory_mb": 100, "disk_mb": 10, "patience": "3 s"}

    @property
    def token(self) -> Path:
        """For grid jobs, at the CE."""
        return self.client / "scitoken"

    def start(self) -> None:
        """Returns when both take jobs. Raises RuntimeError if they never do."""
        if os.geteuid() != 0:
            raise CannotInstall("needs root: HTCondor runs in a chroot and changes to the account of a job")
        with guard(self.root):
            sweep(self.home.parent, self.name)
            self._held = hold(self.home)
            self._account()
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End everything that was started here, jobs too. Raises RuntimeError if a process withstands."""
        end_processes(self.home)
        for master in self._masters.values():
            master.wait()
        self._masters.clear()
        if self._held is not None:
            self._held.close()
            self._held = None

    @contextlib.contextmanager
    def without_doors(self, pool: str) -> Iterator[None]:
        """Nobody is heard of the pool, its schedd dies too; slots and their jobs live on. Then all is started again."""
        mark = self._config(pool).encode()
        of_pool = {pid: _name(pid) for pid in processes(self.home) if mark in _environment(pid)}
        masters = [pid for pid, name in of_pool.items() if name == "condor_master"]
        _signal(masters, signal.SIGSTOP)
        doors = [pid for pid, name in of_pool.items() if name in DOORS]
        _signal(doors, signal.SIGSTOP)  # a schedd that sees its shadows die gives up their jobs
        _signal(doors, signal.SIGKILL)
        try:
            yield
        finally:
            _signal(masters, signal.SIGCONT)

    def run(self, pool: str, *command: str) -> str:
        """What a command of HTCondor says, as root of the pool."""
        words = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", self._config(pool), *command]
        done = subprocess.run(
            ["chroot", str(self.root), *words], capture_output=True, text=True, timeout=COMMAND_S, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"{command[0]} in the pool {pool}: {done.stderr.strip()[-500:]}")
        return done.stdout

    def clear(self) -> None:
        """Both pools forget what a test has left, which would hold the slots and the grid manager for the next one."""
        for _ in range(2):  # what was on its way from one to the other is found the second time
            for pool in (pool for pool in POOLS if self.run(pool, "condor_q", "-allusers", "-af", "ClusterId").strip()):
                for how in ((), ("-forcex",)):
                    with contextlib.suppress(RuntimeError):  # none is left
                        self.run(pool, "condor_rm", *how, "-constraint", "true")

    def keep(self) -> None:
        """It outlives this process."""
        (self.home / KEPT).write_text(json.dumps(self.ports), encoding="utf-8")

    def demo_file(self) -> Path:
        """What `act demo --htcondor` wants; JSON is YAML."""
        site = {"kind": "htcondor", "endpoint": f"localhost:{self.ports['ce']}", "credential": "both", "token": "ce"}
        held = {"sites": {"condor": site | {"options": self.grid()}}, "tokens": {"ce": {"file": str(self.token)}}}
        file = self.client / "demo.yaml"
        file.write_text(json.dumps(held), encoding="utf-8")
        return file

    def facts(self) -> dict[str, Any]:
        return {
            "demo": str(self.demo_file()),
            "ports": self.ports, "knobs": self.knobs, "token": str(self.token), "account": UID,
            "logs": {pool: str(self.home / pool / "log") for pool in POOLS},
        }  # fmt: skip

    def _config(self, pool: str) -> str:
        return f"CONDOR_CONFIG={self.inner}/{pool}/condor_config"

    def _account(self) -> None:
        passwd = (self.root / "etc/passwd").read_text(encoding="utf-8")
        if f"\n{ACCOUNT}:" not in passwd:
            command = ("useradd", "--create-home", "--key", "UID_MAX=70000", "--uid", str(UID), ACCOUNT)
            subprocess.run(["chroot", str(self.root), *command], capture_output=True, timeout=COMMAND_S, check=True)

    def _start(self) -> None:
        line = next(one for one in (self.root / "etc/passwd").read_text().splitlines() if one.startswith("condor:"))
        uid, gid = (int(word) for word in line.split(":")[2:4])
        for directory in (self.home / "session", self.client):
            directory.mkdir(mode=0o755)
        os.chown(self.home / "session", uid, gid)
        self.home.chmod(0o755)
        for pool in POOLS:
            self.ports[pool] = _free_port()
            lay_out(self.home, pool, uid, gid)
            text = configuration(pool, self.inner, self.ports[pool], f"{uid}.{gid}", self.slots)
            (self.home / pool / "condor_config").write_text(text, encoding="utf-8")
        self.issuer = Issuer(self.home, uid, gid)
        self._tokens(self.issuer)
        for pool in reversed(POOLS):
            self._launch(pool)
        for pool in POOLS:
            self._wait(pool)

    def _tokens(self, issuer: Issuer) -> None:
        directory = self.client / "tokens.d"
        directory.mkdir(mode=0o700)
        for pool in POOLS:
            identity = f"{ACCOUNT}@{pool}.act.test"
            text = self.run(pool, "condor_token_create", "-identity", identity, "-key", "POOL")
            _secret(directory / pool, text)
        _secret(self.token, issuer.token())

    def _launch(self, pool: str) -> None:
        words = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", self._config(pool)]
        command = _inside(self.root, *words, tag(self.home), "condor_master", "-f")
        with (self.home / f"{pool}.out").open("ab") as out:
            self._masters[pool] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )

    def _wait(self, pool: str) -> None:
        end = time.monotonic() + START_S
        while not self._answers(pool):
            if self._masters[pool].poll() is not None:
                raise RuntimeError(f"the pool {pool} ended at once: {self._words(pool)}")
            if time.monotonic() > end:
                raise RuntimeError(f"no answer from the pool {pool} in {START_S:.0f} s: {self._words(pool)}")
            time.sleep(0.2)

    def _answers(self, pool: str) -> bool:
        kinds = ["-schedd"] if pool == "submit" else ["-schedd", "-startd"]
        try:
            return all(self.run(pool, "condor_status", kind, "-af", "Name").strip() for kind in kinds)
        except (RuntimeError, subprocess.TimeoutExpired):
            return False

    def _words(self, pool: str) -> str:
        said = [self.home / f"{pool}.out", *sorted((self.home / pool / "log").glob("*Log"))]
        return " / ".join(path.read_text(errors="replace")[-300:] for path in said if path.exists())


def _inside(root: Path, *command: str) -> list[str]:
    """A command in the chroot that sees this machine's temporary directory. Without /proc no job's end is noticed."""
    probe = subprocess.run(["unshare", "--mount", "true"], capture_output=True, timeout=30, check=False)
    if probe.returncode != 0:
        raise CannotInstall("HTCondor's pools need mount namespaces, which this machine refuses")
    words = ("sh", "-c", _BOTH, str(root), str(TEMPORARY), *command)
    return ["unshare", "--mount", "--propagation", "private", *words]


def open_to_jobs(directory: Path) -> None:
    """The account of the jobs may come into this directory, below the temporary one, and write there."""
    directory.chmod(0o777)
    for above in directory.resolve().parents:
        if above.is_relative_to(TEMPORARY) and above != TEMPORARY:
            above.chmod(above.stat().st_mode | 0o011)


def _environment(pid: int) -> list[bytes]:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return []


def _name(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _secret(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(command(lambda: Condor(name=BY_HAND), "condor", __doc__))
