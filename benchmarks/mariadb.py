"""A MariaDB of a benchmark's own: durable commits, nobody else's work in it, its CPU time told by its process."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

UP_S, STOP_S, INSTALL_S = 60.0, 20.0, 120.0
DURABLE = ("--innodb-flush-log-at-trx-commit=1", "--innodb-buffer-pool-size=512M", "--innodb-log-file-size=256M")


class NotThere(Exception):
    """No server of our own can be had, and why."""


def _program(*names: str) -> str:
    for name in (*names, *(f"/usr/sbin/{name}" for name in names)):
        if found := shutil.which(name):
            return found
    raise NotThere(f"no {names[0]} on this machine")


class Server:
    """One that can be ended and begun again, on its port and with its data. Raises NotThere where it cannot be had."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        server, install = _program("mariadbd", "mysqld"), _program("mariadb-install-db", "mysql_install_db")
        temporary = directory / "tmp"  # a server that begins removes what other servers have in theirs
        temporary.mkdir(parents=True)
        common = ["--no-defaults", f"--datadir={directory}/data", f"--tmpdir={temporary}", "--skip-name-resolve"]
        common += ["--user=root"] if os.geteuid() == 0 else []  # root is asked whom it means
        words = [install, *common, "--auth-root-authentication-method=normal", "--skip-test-db"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=INSTALL_S, check=False)  # noqa: S603 - our own words
        if done.returncode:
            raise NotThere(f"{install}: {(done.stdout + done.stderr).strip()[-400:]}")
        self._port = _free_port()
        command = [server, *common, f"--port={self._port}", "--bind-address=127.0.0.1", f"--socket={directory}/s"]
        self._command = [*command, f"--pid-file={directory}/pid", *DURABLE]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mysql://root@127.0.0.1:{self._port}"

    def start(self) -> None:
        """Returns when it answers."""
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)  # noqa: S603 - our own words
        _await(self._process, self._port, self._directory / "log")

    def stop(self, patience_s: float = STOP_S) -> None:
        """In order, and by force if it takes longer; 0: as when the power goes."""
        if self._process is None:
            return
        if patience_s:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(patience_s)
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def own_server(directory: Path) -> Iterator[Server]:
    """One that answers, until the block ends. Raises NotThere."""
    server = Server(directory)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    end = time.monotonic() + UP_S
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None or time.monotonic() > end:
            raise NotThere(f"it does not come up: {log.read_text(errors='replace').strip()[-400:]}")
        time.sleep(0.05)
