"""Install Debian's Chromium on this machine: `python tests/real/chromium_install.py`.

The tests of the page open it without a window. Exit code 0: it is there; 1: it is not, and why.
"""

import os
import shutil
import sys

from chroots import CannotInstall, cache, need_on_host, say

PROGRAM = "chromium"
HOW_TO = "`python tests/real/chromium_install.py` as root installs it"


def main() -> int:
    """Nothing is done where it is there already."""
    if shutil.which(PROGRAM) is None and os.geteuid() != 0:
        say(f"{PROGRAM}: needs root to install it")
        return 1
    cache().mkdir(parents=True, exist_ok=True)
    try:
        need_on_host(PROGRAM, cache() / f"{PROGRAM}.log")
    except CannotInstall as err:
        say(str(err))
        return 1
    sys.stdout.write(f"Chromium: {shutil.which(PROGRAM)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
