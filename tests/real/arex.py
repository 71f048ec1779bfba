"""A real A-REX on loopback: `python tests/real/arex.py start --version 7`, or `with Arex("7") as ce` in a test.

It runs in the chroot of `arex_install`, with the fork batch system, a CA of its own and the users alice and bob, whose
jobs run as nobody. What it starts carries a tag in its environment. `stop` ends whatever carries it, and the start of
any A-REX ends those whose owner died; one started by hand lives until it is stopped by hand.
"""

import argparse
import contextlib
import http.client
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TextIO

from arex_account import give, home_of, inside_as
from arex_config import configuration, lay_out
from arex_install import CannotInstall, how_to, inside, installed, root_of
from arex_processes import KEPT, end_processes, guard, hold, processes, sweep, tag

from act_core.credentials.tls import client_context
from act_core.simulators.pki import TestPki

START_S, REQUEST_S = 90.0, 5.0
PROXY_LIFE = timedelta(hours=72)
USERS = ("alice", "bob")
DAEMONS = {"arex": "arex.log", "arex-ws": "ws.log"}  # and what they write
BY_HAND = "hand"
REMNANT_S = 15.0


class Arex:
    """One CE of ARC "6" or "7". Raises CannotInstall unless `arex_install` was called before.

    `port` 0: a free one, chosen anew at each start. `info_period`: of the information provider, in seconds. Its
    directory, `home`, lives from one start to the next, so that logs can be read after the end. `account`: what it
    runs as; then its directory has the same path inside and outside.
    """

    def __init__(self, version: str, port: int = 0, info_period: int = 5, name: str = "", account: str = "") -> None:
        found = installed(version)
        if found is None:
            raise CannotInstall(f"ARC {version} is not installed: {how_to(version)}")
        self.version, self.release = version, found.release
        self.port, self._wanted_port, self.info_period = port, port, info_period
        self.name = name or f"{os.getpid()}-{secrets.token_hex(3)}"
        self.root = root_of(version)
        self.inner = f"/srv/act-{self.name}"  # the same directory, seen from inside
        self.home = self.root / self.inner.removeprefix("/")
        self.account = account
        if account:
            self.home = home_of(self.name)
            self.inner = str(self.home)
        self.ca_dir = self.home / "pki" / "certificates"
        self.proxies = {user: self.home / f"proxy-{user}.pem" for user in USERS}
        self.control_dir, self.session_dir = self.home / "control", self.home / "session"
        self._held: TextIO | None = None

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}/arex"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Returns when it answers and has its first information document. Raises RuntimeError if it never does."""
        if os.geteuid() != 0:
            raise CannotInstall("needs root: A-REX runs in a chroot and changes to the account of a job")
        with guard(self.root):
            sweep(self.home.parent, self.name)
            self._held = hold(self.home)
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End everything that was started here, jobs too. Raises RuntimeError if a process withstands."""
        end_processes(self.home)
        if self._held is not None:
            self._held.close()
            self._held = None

    def running(self) -> bool:
        """Both daemons live and it answers with its versions."""
        return all(self._lives(daemon) for daemon in DAEMONS) and self._answers()

    def renew_proxies(self) -> None:
        pki = TestPki(self.home / "pki")
        for user, path in self.proxies.items():
            pki.proxy(user, PROXY_LIFE, path=path)

    def sweep_remnants(self) -> None:
        """Remove the states of jobs that have nothing else: A-REX under load writes one after it removed the job."""
        for state in self.control_dir.glob("*/*.status"):
            job = state.name.removeprefix("job.").removesuffix(".status")
            apart = "/".join(("jobs", job[:3], job[3:6], job[6:9], job[9:], "description"))  # as ARC 7 keeps it
            described = [self.control_dir / f"job.{job}.description", self.control_dir / apart]
            with contextlib.suppress(FileNotFoundError):
                old = time.time() - state.stat().st_mtime > REMNANT_S
                if old and not any(file.exists() for file in described):
                    print(f"{self.name}: the state of {job} ({state.read_text()!r}) has no job: removed")
                    state.unlink()

    def keep(self) -> None:
        """It outlives this process; `stop` of another one with the same name ends it."""
        (self.home / KEPT).write_text(json.dumps({"port": self.port}), encoding="utf-8")

    def _start(self) -> None:
        self.port = self._wanted_port or _free_port()
        lay_out(self.root, self.home, self.info_period)
        self.renew_proxies()
        pki = TestPki(self.home / "pki")
        assert pki.host.key.exists()
        (self.home / "subjects").write_text("".join(f'"{pki.user(user).dn}"\n' for user in USERS), encoding="utf-8")
        (self.home / "arc.conf").write_text(configuration(self.inner, self.url), encoding="utf-8")
        # a well-known group instead of minutes of searching primes
        group = ("openssl", "genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe2048")
        made = subprocess.run(inside(self.root, *group), capture_output=True, timeout=60, check=True)
        (self.control_dir / "dhparam.pem").write_bytes(made.stdout)
        if self.account:
            give(self.home, self.account)
        for daemon in DAEMONS:
            self._run_daemon(daemon)
        self._wait()

    def _run_daemon(self, name: str) -> None:
        environment = [
            *("PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", f"TMPDIR={self.inner}/tmp", tag(self.home)),
            *(f"ARC_LOCATION={self.inner}/arc", f"ARC_CONFIG={self.inner}/arc.conf"),
        ]
        words = ("env", "-i", *environment, "bash", f"{self.inner}/run/{name}-start")
        command = inside_as(self.root, self.account, *words) if self.account else inside(self.root, *words)
        with (self.home / "log/start.log").open("ab") as log:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=START_S, check=False
            )
        if done.returncode != 0:
            raise RuntimeError(f"{name} did not start: {self._words('start.log')}")

    def _wait(self) -> None:
        end = time.monotonic() + START_S
        while not (self._answers() and (self.control_dir / "info.xml").exists()):
            for daemon in DAEMONS:
                if not self._lives(daemon):
                    raise RuntimeError(f"{daemon} ended at once: {self._words(DAEMONS[daemon])}")
            if time.monotonic() > end:
                raise RuntimeError(f"no answer from {self.url} in {START_S:.0f} s: {self._words('ws.log')}")
            time.sleep(0.1)

    def _lives(self, daemon: str) -> bool:
        try:
            pid = int((self.home / "run" / f"{daemon}.pid").read_text())
        except (OSError, ValueError):
            return False
        return pid in processes(self.home)

    def _answers(self) -> bool:
        try:
            context = client_context(self.ca_dir, self.proxies["alice"])
            wire = http.client.HTTPSConnection("localhost", self.port, timeout=REQUEST_S, context=context)
            with contextlib.closing(wire):
                wire.request("GET", "/arex/rest", headers={"Accept": "application/json"})
                return b"version" in wire.getresponse().read()
        except (OSError, http.client.HTTPException):
            return False

    def _words(self, log: str) -> str:
        """The end of a log."""
        with contextlib.suppress(OSError):
            return (self.home / "log" / log).read_text(encoding="utf-8", errors="replace")[-800:]
        return "no log"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- for people ------------------------------------------------------------------------------------------------------


def _facts(arex: Arex) -> dict[str, Any]:
    return {
        "running": True, "version": arex.version, "release": arex.release, "url": arex.url,
        "ca_dir": str(arex.ca_dir), "proxies": {user: str(path) for user, path in arex.proxies.items()},
        "control_dir": str(arex.control_dir), "session_dir": str(arex.session_dir), "log_dir": str(arex.home / "log"),
    }  # fmt: skip


def _as_text(facts: dict[str, Any]) -> str:
    """Shell words for `eval`."""
    words = {"AREX_URL": facts["url"], "X509_CERT_DIR": facts["ca_dir"], "X509_USER_PROXY": facts["proxies"]["alice"]}
    words |= {f"AREX_PROXY_{user.upper()}": path for user, path in facts["proxies"].items()}
    return "".join(f"export {name}={value}\n" for name, value in words.items())


def _act(verb: str, arex: Arex) -> dict[str, Any] | None:
    """What there is afterwards; None: nothing runs."""
    if verb == "stop":
        arex.stop()
        shutil.rmtree(arex.home, ignore_errors=True)
        return None
    if verb == "start" and not arex.running():
        arex.start()
        arex.keep()
    if not arex.running():
        return None
    if verb != "status":
        arex.renew_proxies()
    return _facts(arex)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Exit code 0: done; 1: it went wrong, and why; 3: status or env of one that does not run.",
    )
    parser.add_argument("verb", choices=("start", "stop", "status", "env"))
    parser.add_argument("--version", required=True, choices=("6", "7"))
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--info-period", type=int, default=5, metavar="SECONDS", help="of the information provider")
    parser.add_argument("--account", default="", help="that it runs as, such as nobody; default: root")
    parser.add_argument("--json", action="store_true", help="for programs")
    wanted = parser.parse_args()
    try:
        arex = Arex(wanted.version, wanted.port, wanted.info_period, BY_HAND, wanted.account)
        with contextlib.suppress(OSError, ValueError, KeyError):
            arex.port = int(json.loads((arex.home / KEPT).read_text(encoding="utf-8"))["port"])
        facts = _act(wanted.verb, arex)
    except (CannotInstall, RuntimeError) as err:
        sys.stderr.write(f"arex: {err}\n")
        return 1
    if wanted.json:
        sys.stdout.write(json.dumps(facts or {"running": False}) + "\n")
    else:
        sys.stdout.write(_as_text(facts) if facts else "not running\n")
    return 0 if facts or wanted.verb == "stop" else 3


if __name__ == "__main__":
    sys.exit(main())
