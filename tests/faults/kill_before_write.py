"""A tower that is killed by SIGKILL between the CE's acceptance and the write: `kill_before_write.py SETTINGS.json`."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from act_core.engine import submit
from act_core.runtime import Runtime
from act_core.settings.model import Settings
from act_core.stages import Tower, sweep


async def die(*_: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


async def main(settings: Settings) -> None:
    # the first settle after the intent is the one with the CE's answer
    vars(submit)["settle"] = die
    async with Runtime.open(settings) as rt:
        await sweep(Tower(rt), "submit")


asyncio.run(main(Settings.model_validate(json.loads(Path(sys.argv[1]).read_text()))))
