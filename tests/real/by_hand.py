"""A real server that a person starts and stops: `python tests/real/condor.py start`."""

import argparse
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from chroots import CannotInstall


class Server(Protocol):
    home: Path

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def keep(self) -> None: ...

    def facts(self) -> dict[str, Any]: ...


def command(make: Callable[[], Server], name: str, about: str | None) -> int:
    """The exit code. What is started stays until it is stopped."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("start", "stop"))
    wanted = parser.parse_args()
    try:
        server = make()
        if wanted.verb == "start":
            server.start()
            server.keep()
            sys.stdout.write(json.dumps(server.facts(), indent=1) + "\n")
        else:
            server.stop()
            shutil.rmtree(server.home, ignore_errors=True)
    except (CannotInstall, RuntimeError) as err:
        sys.stderr.write(f"{name}: {err}\n")
        return 1
    return 0
