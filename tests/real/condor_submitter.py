"""A tower that submits until it is killed: `condor_submitter.py SETTINGS.json`."""

import asyncio
import json
import sys
from pathlib import Path

from act_core.db import leases
from act_core.runtime import Runtime
from act_core.settings.model import Settings
from act_core.stages import Tower, sweep


async def main(settings: Settings) -> None:
    async with Runtime.open(settings) as rt:
        await rt.write(leases.end_dead, rt.now())  # of the one that was killed before
        while True:
            await sweep(Tower(rt), "submit")
            await asyncio.sleep(0.05)


asyncio.run(main(Settings.model_validate(json.loads(Path(sys.argv[1]).read_text()))))
