"""An A-REX under an account of its own that is not root, as `arc-internal` wants it, and a test that acts as it.

Its directory lies below the temporary directory, which the chroot sees under the same path: what A-REX writes into its
control files is true on both sides, and its jobs see the directories of the tests.
"""

import contextlib
import ctypes
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from arex_install import CannotInstall

TEMPORARY = Path(tempfile.gettempdir()).resolve()
_BOTH = (
    'mkdir -p "$0$1" && mount --bind "$1" "$0$1" && { mount -t proc proc "$0/proc" 2>/dev/null || true; } && '
    'user=$2 group=$3 root=$0 && shift 3 && exec chroot --userspec="$user:$group" --groups= "$root" "$@"'
)
CAP_DAC_READ_SEARCH = 2
CAPABILITIES_V3 = 0x20080522


def home_of(name: str) -> Path:
    """Where the A-REX of this name has its directory, inside and outside."""
    base = TEMPORARY / "act-arex"
    base.mkdir(exist_ok=True)
    return base / f"act-{name}"


def inside_as(root: Path, account: str, *command: str) -> list[str]:
    """A command in the chroot, as this account. Raises CannotInstall where there are no mount namespaces."""
    probe = subprocess.run(["unshare", "--mount", "true"], capture_output=True, timeout=30, check=False)
    if probe.returncode != 0:
        raise CannotInstall("an A-REX that is not root's needs mount namespaces, which this machine refuses")
    who = pwd.getpwnam(account)
    words = (str(root), str(TEMPORARY), str(who.pw_uid), str(who.pw_gid), *command)
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", _BOTH, *words]


def give(directory: Path, account: str) -> None:
    """Make the account the owner of everything in the directory."""
    who = pwd.getpwnam(account)
    for path in (directory, *directory.rglob("*")):
        os.chown(path, who.pw_uid, who.pw_gid, follow_symlinks=False)


@contextlib.contextmanager
def open_directory() -> Iterator[Path]:
    """A directory for a test that other accounts can reach: those below pytest's own are closed by each new pytest."""
    base = TEMPORARY / "act-arex"
    base.mkdir(exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix="test-", dir=base))
    made.chmod(0o755)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextlib.contextmanager
def acting_as(account: str, directory: Path) -> Iterator[None]:
    """This process acts as the account, to which the directory (see `open_directory`) is given.

    It may read what it could read before: Python itself may lie in root's home.
    """
    give(directory, account)
    who, before = pwd.getpwnam(account), (os.geteuid(), os.getegid())
    os.setegid(who.pw_gid)
    os.seteuid(who.pw_uid)
    try:
        _may_read_all()
        yield
    finally:
        os.seteuid(before[0])
        os.setegid(before[1])


def _may_read_all() -> None:
    """For this thread and those that it starts: the right to read is effective again."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(CAPABILITIES_V3, 0)
    data = (ctypes.c_uint32 * 6)()
    if libc.capget(header, data) == 0:
        data[0] |= 1 << CAP_DAC_READ_SEARCH
        if libc.capset(header, data) == 0:
            return
    raise CannotInstall(f"cannot act as another account: {os.strerror(ctypes.get_errno())}")
