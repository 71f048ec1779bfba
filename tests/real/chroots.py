"""Debian chroots with real servers in them, made once and kept outside the clone.

Of the host only the package debootstrap is asked for. Needs root, Debian (or a relative) and its package mirror, which
apt knows. A call that was interrupted goes on where it ended.
"""

import argparse
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

APT = ("apt-get", "-q", "-y", "-o", "Acquire::Retries=3", "-o", "DPkg::Lock::Timeout=300")
TRIES, PAUSE_S, DEADLINE_S = 4, 10.0, 1200.0
LOCK_S = 2 * DEADLINE_S
BASE = ".act-base"  # debootstrap came to its end
READY = ".act-ready.json"


class CannotInstall(Exception):
    """With the reason, and what to do."""


@dataclass(frozen=True, slots=True)
class Installed:
    """A chroot with a server in it. `release`: of the package, such as 6.17.0-3."""

    version: str
    release: str
    suite: str
    root: str
    packages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Chroot:
    """What is to be there. `probe`: a file of it that the server cannot do without, below the root."""

    title: str  # for people
    version: str
    name: str  # of the directory
    suite: str
    packages: tuple[str, ...]  # the first one's release is told
    probe: str

    @property
    def root(self) -> Path:
        return cache() / self.name

    def installed(self) -> Installed | None:
        """What was installed; None: nothing, or not to the end, or without a package that is wanted by now."""
        try:
            read = json.loads((self.root / READY).read_text(encoding="utf-8"))
            found = Installed(**{**read, "packages": tuple(read["packages"]), "root": str(self.root)})
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return found if found.packages == self.packages and (self.root / self.probe).exists() else None

    def install(self) -> Installed:
        """Make it unless it is there. It appears under its name only when it is complete. Raises CannotInstall."""
        if found := self.installed():
            return found
        if os.geteuid() != 0:
            raise CannotInstall("needs root: a chroot is made and entered")
        if shutil.which("apt-get") is None:
            raise CannotInstall("needs Debian or a relative: there is no apt-get")
        with _locked(self):
            return self.installed() or _install(self)


def cache() -> Path:
    """Where servers are kept: $ACT_REAL_CACHE, else act-flows/real in the user's cache directory."""
    if given := os.environ.get("ACT_REAL_CACHE"):
        return Path(given).absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "act-flows" / "real"


def inside(root: Path, *command: str) -> list[str]:
    """A command in the chroot, with a /proc of its own where the machine allows that."""
    probe = subprocess.run(["unshare", "--mount", "true"], capture_output=True, timeout=30, check=False)
    if probe.returncode != 0:
        return ["chroot", str(root), *command]
    script = 'mount -t proc proc "$0/proc" 2>/dev/null; exec chroot "$0" "$@"'
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, str(root), *command]


def _install(wanted: Chroot) -> Installed:
    root, title = wanted.root, wanted.title
    fresh, log = root.with_name(f"{wanted.name}.new"), cache() / f"{wanted.name}.log"
    log.unlink(missing_ok=True)
    at = root if (root / BASE).exists() else fresh  # a complete one may lack a package
    if not (at / BASE).exists():
        need_on_host("debootstrap", log)
        say(f"{title}: making a {wanted.suite} chroot in {root} (about a minute)")
        _retried("debootstrap", lambda: _bootstrap(wanted, at, log))
    say(f"{title}: installing the packages")
    _add_packages(wanted.packages, at, log)
    release = _release(wanted.packages[0], at)
    made = Installed(wanted.version, release, wanted.suite, str(root), wanted.packages)
    draft = at / f"{READY}.new"
    draft.write_text(json.dumps(asdict(made)), encoding="utf-8")
    draft.replace(at / READY)
    if at != root:
        shutil.rmtree(root, ignore_errors=True)
        at.rename(root)
    return made


def need_on_host(package: str, log: Path) -> None:
    """The package whose program has its name, on this machine itself. Raises CannotInstall."""
    if shutil.which(package) is None:
        say(f"installing {package}")
        _retried("apt-get update", lambda: _run([*APT, "update"], log))
        _retried("apt-get install", lambda: _run([*APT, "install", "--no-install-recommends", package], log))


def _bootstrap(wanted: Chroot, at: Path, log: Path) -> None:
    """The base system. Downloads are kept until it is complete, so that another attempt goes on from there."""
    packages = cache() / f"{wanted.name}.packages"
    packages.mkdir(exist_ok=True)
    shutil.rmtree(at, ignore_errors=True)
    options = ("--variant=minbase", "--force-check-gpg", f"--cache-dir={packages}")
    _run(["debootstrap", *options, wanted.suite, str(at), _mirror()], log)
    (at / BASE).touch()
    shutil.rmtree(packages)


def _add_packages(packages: Sequence[str], at: Path, log: Path) -> None:
    policy = at / "usr/sbin/policy-rc.d"  # packages must not start services: we start our own
    policy.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
    policy.chmod(0o755)
    for file in ("hosts", "resolv.conf"):  # the packages' scripts want to resolve this machine's name
        shutil.copyfile(Path("/etc") / file, at / "etc" / file)
    _run(inside(at, "dpkg", "--configure", "-a"), log)  # after an interruption
    _retried("apt-get update", lambda: _run(inside(at, *APT, "update"), log))
    command = (*APT, "install", "--no-install-recommends", *packages)
    _retried("apt-get install", lambda: _run(inside(at, *command), log))
    _run(inside(at, *APT, "clean"), log)


def _mirror() -> str:
    """The package mirror that this machine's apt uses."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)"]
    listed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
    found = [line for line in listed.splitlines() if line.rstrip("/").endswith("/debian")]
    if not found:
        raise CannotInstall("apt knows no Debian mirror: `apt-get update` first, on a Debian system")
    return found[0]


def _release(package: str, root: Path) -> str:
    """The version of the package, from dpkg's own file."""
    lines = iter((root / "var/lib/dpkg/status").read_text(encoding="utf-8", errors="replace").splitlines())
    for line in lines:
        if line == f"Package: {package}":
            return next(line for line in lines if line.startswith("Version: ")).removeprefix("Version: ")
    raise CannotInstall(f"{package} is not there after its installation")


def _run(command: Sequence[str], log: Path) -> None:
    """Raises CannotInstall with the last words of the command."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    with log.open("ab") as out:
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment, timeout=DEADLINE_S,
                check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as err:
            raise CannotInstall(f"{command[0]}: {err}") from err
    if done.returncode != 0:
        words = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
        raise CannotInstall(f"exit code {done.returncode}: {' / '.join(words)} (see {log})")


def command(wanted: Chroot, about: str | None) -> int:
    """What an installer does: the exit code."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only say what is there")
    asked = parser.parse_args()
    try:
        found = wanted.installed() if asked.check else wanted.install()
    except CannotInstall as err:
        say(str(err))
        return 1
    sys.stdout.write(f"{wanted.title}: {f'{found.release} in {found.root}' if found else 'not installed'}\n")
    return 0 if found else 1


def _retried(what: str, act: Callable[[], None]) -> None:
    for attempt in range(1, TRIES):
        try:
            act()
        except CannotInstall as err:
            pause = PAUSE_S * 2 ** (attempt - 1)
            say(f"{what}: {err}; again in {pause:.0f} s ({attempt} of {TRIES} tries)")
            time.sleep(pause)
        else:
            return
    act()


@contextmanager
def _locked(wanted: Chroot) -> Iterator[None]:
    """One installation of it at a time. The lock ends with its holder."""
    cache().mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + LOCK_S
    with (cache() / f".{wanted.name}.lock").open("w") as file:
        told = False
        while not _taken(file.fileno()):
            if not told:
                say(f"{wanted.title}: another installation is under way; waiting for it")
                told = True
            if time.monotonic() > end:
                raise CannotInstall(f"another installation holds {file.name} for too long")
            time.sleep(0.5)
        yield


def _taken(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def say(words: str) -> None:
    sys.stderr.write(f"{Path(sys.argv[0]).stem}: {words}\n")
    sys.stderr.flush()
