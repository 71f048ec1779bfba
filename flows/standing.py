"""What stands is looked at from outside, and taken down."""

import os
import signal
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path

from act_core.processes import lives, standing, up_file
from flows.children import STOP_S


def healthy(url: str) -> bool:
    try:
        urllib.request.urlopen(f"{url}/api/health", timeout=5).close()  # noqa: S310 - our own server
    except urllib.error.HTTPError as err:
        return err.code in (401, 403)  # it answers, and wants the password
    except (OSError, HTTPException):  # of the latter what is cut off, or no HTTP at all
        return False
    return True


def take_down(state_dir: Path) -> bool:
    """End the tower of this state directory; False: none was up. Ends by force what does not go."""
    said = standing(state_dir)
    if said is None:
        return False
    os.kill(said["pid"], signal.SIGTERM)
    end = time.monotonic() + 3 * STOP_S
    while lives(said["pid"], said["start"]) and time.monotonic() < end:
        time.sleep(0.1)
    for pid, start in [*said["children"].values(), (said["pid"], said["start"])]:
        if lives(pid, start):
            os.kill(pid, signal.SIGKILL)
    up_file(state_dir).unlink(missing_ok=True)
    return True
