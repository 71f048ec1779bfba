"""The demo's last words: where everything is while it stays up, or how to see it again."""

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from act_core.cli.out import err, out
from act_core.settings import Settings, load_settings
from act_core.simulators.scene import Scene


def parting(page: str) -> str:
    """The tower goes down with the demo, and its page with it: no address is named that nobody answers at."""
    return (
        f"  the page was at {page} and went down with this tower.\n"
        "  `act demo --keep` (`make run KEEP=1`) leaves tower, grid and page up, and ends with the page's address and\n"
        "  who gets in; docs/running.md tells how to run a tower of your own"
    )


def stay(scene: Scene, prefect: str, page: Mapping[str, Any]) -> None:
    """Until Ctrl-C."""
    held = load_settings(env=dict(os.environ) | scene.environment).settings
    for line in whereabouts(scene, held, prefect, page):
        out.print(line, soft_wrap=True, highlight=False, markup=False)
    try:
        signal.pause()
    except KeyboardInterrupt:
        err.print("ending …")


def whereabouts(scene: Scene, held: Settings, prefect: str, page: Mapping[str, Any]) -> Iterator[str]:
    """The page comes last: it is what a person wants first."""
    from flows.environment import password_file

    yield ""
    for name, server in scene.servers.items():
        yield f"{name:15} {server.url}   control {server.control}"
    words = " ".join(f"{name}={value}" for name, value in scene.environment.items())
    yield f"commands        env {words} {Path(sys.executable).with_name('act')} status"
    yield f"Prefect UI      {prefect}   (it asks for what stands in {password_file(held)})"
    yield f"the page        {page['url']}   ({page['entrance']})"
    yield "It stays up until Ctrl-C."
