"""Install a real A-REX once, in a Debian chroot outside the clone: `python tests/real/arex_install.py 6 7`.

6: ARC 6.17 of Debian 12; 7: ARC 7 of Debian 13. What it needs of the host: `chroots`.

Exit code 0: it is there; 1: it is not, and why; 2: wrong usage.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from chroots import CannotInstall, Chroot, Installed, inside, say

__all__ = ["SUITES", "CannotInstall", "how_to", "inside", "install", "installed", "root_of"]

SUITES = {"6": "bookworm", "7": "trixie"}
# time: with it, and without cgroups, a job's usage is measured
PACKAGES = ("nordugrid-arc-arex", "openssl", "procps", "hostname", "time")
# what makes proxies with VOMS attributes: arcproxy, and a voms-proxy-init that works (Debian 12's writes none)
PROGRAMS = {"6": ("nordugrid-arc-client",), "7": ("voms-clients",)}


def _chroot(version: str) -> Chroot:
    suite = SUITES[version]
    packages = (*PACKAGES, *PROGRAMS[version])
    return Chroot(f"ARC {version}", version, suite, suite, packages, probe="usr/share/arc/arc-arex-start")


def root_of(version: str) -> Path:
    return _chroot(version).root


def installed(version: str) -> Installed | None:
    """What was installed; None: nothing, or not to the end, or without a package that is wanted by now."""
    return _chroot(version).installed()


def how_to(version: str) -> str:
    return f"`python tests/real/arex_install.py {version}` as root installs it"


def install(version: str) -> Installed:
    """Make the chroot unless it is there. Raises CannotInstall."""
    return _chroot(version).install()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("versions", nargs="+", choices=sorted(SUITES), metavar="VERSION", help="6 or 7")
    parser.add_argument("--check", action="store_true", help="only say what is there")
    parser.add_argument("--json", action="store_true", help="for programs")
    wanted = parser.parse_args()
    found: dict[str, Installed | None] = {}
    for version in wanted.versions:
        try:
            found[version] = installed(version) if wanted.check else install(version)
        except CannotInstall as err:
            found[version] = None
            say(f"ARC {version}: {err}")
    if wanted.json:
        told = {version: asdict(one) if one else None for version, one in found.items()}
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        for version, one in found.items():
            sys.stdout.write(f"ARC {version}: {f'{one.release} in {one.root}' if one else 'not installed'}\n")
    return 0 if all(found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
