"""A tower over real HTCondor pools, and witnesses that do not ask the tower."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from base_house import PATIENCE_S, PAUSE_S, BaseHouse
from condor import Condor, open_to_jobs
from condor_config import POOLS

from act_core import manual
from act_core.db import bootstrap
from act_core.db.models import CeJob
from act_core.db.session import Database
from act_core.runtime import Runtime
from act_core.settings.model import ArcSettings, Breaker, Jobs, Settings, Site
from act_core.settings.policy import Clean, Token
from act_core.stages import Tower
from act_core.states import FINAL

LEAVE_S = 120.0


@dataclass(slots=True)
class CondorHouse(BaseHouse):
    """A tower with CEs behind one pair of pools."""

    pair: Condor
    root: Path

    def before_round(self) -> None:
        open_to_jobs(self.root)

    async def until_so(self, said: Callable[[], Awaitable[str]], words: str, stages: tuple[str, ...]) -> None:
        """Let the stages go round until these words are said."""
        end = asyncio.get_running_loop().time() + PATIENCE_S
        while words not in (told := await said()):
            assert asyncio.get_running_loop().time() < end, f"{words!r} is never said, but {told!r}"
            await self.until(lambda _rows: True, stages=stages)
            await asyncio.sleep(PAUSE_S)

    async def to_the_end(self, *names: str) -> dict[str, CeJob]:
        """Until the jobs rest, and HTCondor knows none of them."""

        def over(rows: Mapping[str, CeJob]) -> bool:
            return all(row.state in FINAL and row.ce_clean_at is not None for row in rows.values())

        return await self.until(over, *names)

    def told(self) -> str:
        """What both schedds know of their jobs."""
        asked = ("JobStatus", "GridJobStatus", "GridResourceUnavailableTime", "HoldReason", "LastRejMatchReason")
        said = {pool: self.pair.run(pool, "condor_q", "-allusers", "-af:j", *asked).splitlines() for pool in POOLS}
        return str(said)

    def queued(self, pool: str) -> int:
        """How many jobs of ours the schedd has, asked beside the tower."""
        return len(self.pair.run(pool, "condor_q", "-allusers", "-af", "ActKey").split())

    async def until_empty(self, pool: str) -> None:
        """A removed job leaves the queue when the CE has confirmed it, which takes some seconds."""
        end = asyncio.get_running_loop().time() + LEAVE_S
        while left := self.queued(pool):
            assert asyncio.get_running_loop().time() < end, f"{left} jobs are left in {pool}"
            await asyncio.sleep(PAUSE_S)


@asynccontextmanager
async def open_condor_house(
    pair: Condor, root: Path, sites: Mapping[str, dict[str, Any]], proxy: Path | None = None
) -> AsyncIterator[CondorHouse]:
    """`sites`: options of the back end, by the CE's name. `proxy`: shown beside the token."""
    open_to_jobs(root)
    settings = settings_of(pair, root, sites, proxy)
    db = Database(settings)
    bootstrap.bootstrap(db, datetime.now(UTC))
    db.close()
    try:
        async with Runtime.open(settings) as rt:
            witness = root / "witness"
            yield CondorHouse(Tower(rt, apps=(manual.APP,)), witness, str(witness), pair, root)
    finally:
        await asyncio.to_thread(pair.clear)


def settings_of(pair: Condor, root: Path, sites: Mapping[str, dict[str, Any]], proxy: Path | None = None) -> Settings:
    token = root / "token"
    token.touch(mode=0o600)
    token.write_text(pair.token.read_text())
    common = {"kind": "htcondor", "deadline": "20 s", "batch": 10, "token": "ce"}
    common |= {"credential": "both", "proxy": proxy} if proxy else {"credential": "token"}
    made = {
        name: Site.model_validate(
            common
            | {
                "options": options | {"directory": str(root / "jobs" / name)},  # the state directory is the tower's own
                "endpoint": f"localhost:{pair.ports['ce']}",
            }
        )
        for name, options in sites.items()
    }
    pace = {"checkinterval": "1 s", "checkmintime": "0.5", "senddeadline": "3 s", "fetchbackoff": "1 s"}
    arc = ArcSettings(
        sites=made,
        jobs=Jobs.model_validate(pace | {"spread": "0"}),
        breaker=Breaker(first=timedelta(seconds=1), longest=timedelta(seconds=2)),
        tokens={"ce": Token.model_validate({"file": token})},
        clean=Clean.model_validate({"keepfailed": "0"}),
    )
    return Settings(state_dir=root / "state", arc=arc)
