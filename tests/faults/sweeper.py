"""A tower as a process: `sweeper.py SETTINGS.json AHEAD [SIGNAL WRITE]`. Passes over all stages until no job is open.

AHEAD: seconds by which its clock is put forward. With SIGNAL it sends that to itself before its WRITE-th transaction.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy.orm import Session

from act_core.db import listing
from act_core.runtime import Runtime
from act_core.settings.model import Settings
from act_core.stages import Tower, sweep

P = ParamSpec("P")
T = TypeVar("T")
STAGES = ("submit", "sweep-status", "fetch-validate", "clean")
PASSES = 2000


class Marked(Runtime):
    """It meets a signal at one of its writes."""

    ahead = timedelta(0)
    at: tuple[signal.Signals, int] | None = None
    writes = count(1)

    def now(self) -> datetime:
        return super().now() + self.ahead

    async def write(self, fn: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self.at is not None and next(self.writes) == self.at[1]:
            os.kill(os.getpid(), self.at[0])
        return await super().write(fn, *args, **kwargs)


async def main(settings: Settings, ahead: float, at: tuple[signal.Signals, int] | None) -> None:
    async with Marked.open(settings) as rt:
        rt.ahead, rt.at = timedelta(seconds=ahead), at
        tower = Tower(rt)
        for _ in range(PASSES):
            for stage in STAGES:
                await sweep(tower, stage)
            if not await rt.read(listing.unsettled):
                return
            rt.ahead += timedelta(seconds=1)
    sys.exit("jobs are open after all passes")


found = Settings.model_validate(json.loads(Path(sys.argv[1]).read_text()))
met = (signal.Signals[sys.argv[3]], int(sys.argv[4])) if len(sys.argv) > 3 else None
asyncio.run(main(found, float(sys.argv[2]), met))
