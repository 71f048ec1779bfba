"""Install a real HTCondor once, in a Debian 13 chroot outside the clone: `python tests/real/condor_install.py`.

Debian 12 has no HTCondor daemons, so they run in a chroot of a newer suite, apart from the one of A-REX 7. Exit code 0:
it is there; 1: it is not, and why; 2: wrong usage.
"""

import sys

from chroots import Chroot, command

CHROOT = Chroot(
    title="HTCondor",
    version="condor",
    name="condor",
    suite="trixie",
    packages=("condor", "procps", "hostname"),
    probe="usr/sbin/condor_master",
)
HOW_TO = "`python tests/real/condor_install.py` as root installs it"


if __name__ == "__main__":
    sys.exit(command(CHROOT, __doc__))
