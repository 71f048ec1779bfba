"""A real XRootD storage on loopback: `with Xrootd() as storage` in a test, `python tests/real/xrootd.py start` by hand.

It runs in the chroot of `xrootd_install` as the account xrootd, and exports one directory by root:// and by https://
(WebDAV), with checksums that it computes when it is asked and keeps beside the file.
"""

import contextlib
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, TextIO

from arex_processes import KEPT, end_processes, guard, hold, processes, sweep, tag
from by_hand import command
from chroots import CannotInstall
from xrootd_install import CHROOT, HOW_TO

from act_core.credentials.tls import client_context
from act_core.simulators.pki import TestPki

START_S = 60.0
ACCOUNT = "xrootd"
BY_HAND = "xrootd-hand"
DIRECTORIES = ("etc", "admin", "run", "log", "data")


class Xrootd:
    """Raises CannotInstall unless `xrootd_install` was called before. `pki`: that of another one, to trust both."""

    def __init__(self, name: str = "", pki: TestPki | None = None) -> None:
        if CHROOT.installed() is None:
            raise CannotInstall(f"XRootD is not installed: {HOW_TO}")
        self.name = name or f"{os.getpid()}-{secrets.token_hex(3)}"
        self.root = CHROOT.root
        self.inner = f"/srv/act-{self.name}"
        self.home = self.root / self.inner.removeprefix("/")
        self.data = self.home / "data"
        self.port = self.http_port = self.uid = self.gid = 0
        self.pki = pki
        self._held: TextIO | None = None
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def root_url(self) -> str:
        return f"root://localhost:{self.port}/"

    @property
    def https_url(self) -> str:
        return f"https://localhost:{self.http_port}"

    @property
    def context(self) -> ssl.SSLContext:
        assert self.pki is not None
        return client_context(self.pki.ca_dir, self.pki.proxy("robot"))

    def start(self) -> None:
        """Returns when it answers by both protocols. Raises RuntimeError if it never does."""
        if os.geteuid() != 0:
            raise CannotInstall("needs root: XRootD runs in a chroot, as an account of its own")
        with guard(self.root):
            sweep(self.home.parent, self.name)
            self._held = hold(self.home)
        try:
            self._lay_out()
            self.launch()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End what was started here. Raises RuntimeError if it withstands."""
        self.end()
        if self._held is not None:
            self._held.close()
            self._held = None

    def launch(self) -> None:
        """The server alone, with the data that are there."""
        words = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", tag(self.home)]
        server = ("xrootd", "-R", ACCOUNT, "-c", f"{self.inner}/etc/xrootd.cfg", "-l", f"{self.inner}/log/xrootd.log")
        with (self.home / "out").open("ab") as out:
            self._server = subprocess.Popen(
                ["chroot", str(self.root), *words, *server, "-I", "v4", "-n", "act"],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip
        self._wait()

    def end(self) -> None:
        """The server goes away as if its machine had been switched off."""
        end_processes(self.home)
        if self._server is not None:
            self._server.wait()
            self._server = None

    def freeze(self, frozen: bool) -> None:
        """It hangs, or goes on: connections are taken by the kernel, and nobody answers."""
        for pid in processes(self.home):
            os.kill(pid, signal.SIGSTOP if frozen else signal.SIGCONT)

    def put(self, files: Mapping[str, bytes]) -> None:
        """By hand, as files of the server's account."""
        for name, content in files.items():
            path = self.data / name
            for above in reversed(path.relative_to(self.data).parents[:-1]):
                if not (self.data / above).exists():
                    (self.data / above).mkdir()
                    os.chown(self.data / above, self.uid, self.gid)
            path.write_bytes(content)
            os.chown(path, self.uid, self.gid)

    def keep(self) -> None:
        """It outlives this process."""
        (self.home / KEPT).write_text(json.dumps(self.facts()), encoding="utf-8")

    def facts(self) -> dict[str, Any]:
        assert self.pki is not None
        urls = {"root": self.root_url, "https": self.https_url}
        return urls | {"ca": str(self.pki.ca_dir), "data": str(self.data), "log": str(self.home / "log")}

    def _lay_out(self) -> None:
        line = next(one for one in (self.root / "etc/passwd").read_text().splitlines() if one.startswith(f"{ACCOUNT}:"))
        self.uid, self.gid = (int(word) for word in line.split(":")[2:4])
        self.home.chmod(0o755)
        self.pki = self.pki or TestPki(self.home / "pki")
        for name in DIRECTORIES:
            (self.home / name).mkdir()
        for name, source in (("host.pem", self.pki.host.certificate), ("host.key", self.pki.host.key)):
            shutil.copyfile(source, self.home / "etc" / name)
        (self.home / "etc/host.key").chmod(0o400)
        shutil.copytree(self.pki.ca_dir, self.home / "etc/certificates")
        self.port, self.http_port = _free_ports(2)
        (self.home / "etc/xrootd.cfg").write_text(self._configuration(), encoding="utf-8")
        for path in (self.home / name for name in DIRECTORIES):
            for one in (path, *path.rglob("*")):
                os.chown(one, self.uid, self.gid)

    def _configuration(self) -> str:
        return f"""\
all.adminpath {self.inner}/admin
all.pidpath {self.inner}/run
all.export /
oss.localroot {self.inner}/data
xrd.port {self.port}
xrd.network nodnr
xrd.allow host localhost
xrd.allow host 127.0.0.1
xrd.tls {self.inner}/etc/host.pem {self.inner}/etc/host.key
xrd.tlsca certdir {self.inner}/etc/certificates
xrootd.tls capable none
xrd.protocol XrdHttp:{self.http_port} libXrdHttp.so
http.selfhttps2http no
http.desthttps no
xrootd.chksum max 8 adler32 md5 crc32c
"""

    def _wait(self) -> None:
        end = time.monotonic() + START_S
        while not self._answers():
            if self._server is None or self._server.poll() is not None:
                raise RuntimeError(f"the server ended at once: {self._words()}")
            if time.monotonic() > end:
                raise RuntimeError(f"no answer in {START_S:.0f} s: {self._words()}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
            with contextlib.closing(
                http.client.HTTPSConnection("localhost", self.http_port, timeout=5, context=self.context)
            ) as wire:
                wire.request("HEAD", "/nothing")
                return wire.getresponse().status == 404
        return False

    def _words(self) -> str:
        said = [self.home / "out", *(self.home / "log").rglob("xrootd.log")]
        return " / ".join(path.read_text(errors="replace")[-800:] for path in said if path.exists())


def _free_ports(n: int) -> list[int]:
    """All open at once, so that they differ."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(n)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


if __name__ == "__main__":
    sys.exit(command(lambda: Xrootd(name=BY_HAND), "xrootd", __doc__))
