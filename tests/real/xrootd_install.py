"""Install a real XRootD once, in a Debian 13 chroot outside the clone: `python tests/real/xrootd_install.py`.

Debian 12 has no XRootD servers, so one runs in a chroot of a newer suite, apart from those of the other servers. Exit
code 0: it is there; 1: it is not, and why; 2: wrong usage.
"""

import sys

from chroots import Chroot, command

CHROOT = Chroot(
    title="XRootD",
    version="xrootd",
    name="xrootd",
    suite="trixie",
    packages=("xrootd-server", "xrootd-server-plugins", "procps"),
    probe="usr/bin/xrootd",
)
HOW_TO = "`python tests/real/xrootd_install.py` as root installs it"


if __name__ == "__main__":
    sys.exit(command(CHROOT, __doc__))
