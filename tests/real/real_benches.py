"""Back ends over real servers on the bench of `tests/contract`: for its tests that are marked `real`."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from arex import Arex
from arex_account import acting_as
from arex_install import CannotInstall
from condor import Condor, open_to_jobs

from act_core.ce.base import ComputingElement, TowerId
from act_core.ce.registry import open_ce
from act_core.settings.model import ArcSettings, Settings, Site
from act_core.settings.policy import Voms
from tests.contract.benches import TOWER, Help, Opened
from tests.fixtures.skipped import missing

ACCOUNT = "nobody"
TOWERS = (TOWER, TowerId("tower002"))
STEP_S, LAST_S = 0.2, 60.0


class Servers:
    """Each is started when the first test asks for it, and lives until the last."""

    def __init__(self) -> None:
        self._running: dict[str, Arex] = {}
        self._condor: Condor | None = None
        self._stack = contextlib.ExitStack()

    def arex(self, version: str) -> Arex:
        """One that is not root's."""
        if version not in self._running:
            try:
                made = self._stack.enter_context(Arex(version, info_period=1, account=ACCOUNT))
            except CannotInstall as err:
                missing(f"arex{version}", str(err))
            self._running[version] = made
        return self._running[version]

    def condor(self) -> Condor:
        if self._condor is None:
            try:
                self._condor = self._stack.enter_context(Condor())
            except CannotInstall as err:
                missing("condor", str(err))
        return self._condor

    def close(self) -> None:
        self._stack.close()


async def _breathe() -> None:
    """A real CE goes on by itself, if it is left some of the machine."""
    await asyncio.sleep(STEP_S)


@asynccontextmanager
async def _internal(helps: Help, version: str) -> AsyncIterator[Opened]:
    """The tower's side acts as the account of A-REX, too."""
    arex = helps.servers.arex(version)
    with acting_as(ACCOUNT, helps.root):
        site = Site(kind="arc-internal", options={"arc_config": str(arex.home / "arc.conf"), "grace": 0})
        ce = open_ce(Settings(state_dir=helps.root), "ce", lambda: datetime.now(UTC), site)
        try:
            await leave_nothing(ce, arex)  # a job that was cleaned over REST stays there for a moment
            yield ce, _breathe
        finally:
            await leave_nothing(ce, arex)
            await ce.close()


@asynccontextmanager
async def _rest(helps: Help, version: str) -> AsyncIterator[Opened]:
    """The same A-REX over the network, as alice."""
    arex = helps.servers.arex(version)
    open_to_jobs(helps.root)
    voms = Voms(proxypath=arex.proxies["alice"], cacertdir=arex.ca_dir)
    site = Site(endpoint=arex.url, options={"grace": 0})
    settings = Settings(state_dir=helps.root, arc=ArcSettings(voms=voms))
    ce = open_ce(settings, "ce", lambda: datetime.now(UTC), site)
    try:
        await leave_nothing(ce, arex)  # the tests of `arc-internal` use it, too
        yield ce, _breathe
    finally:
        await leave_nothing(ce, arex)
        await ce.close()


@asynccontextmanager
async def open_pool(pair: Condor, root: Path, files: str) -> AsyncIterator[Opened]:
    """The pool with slots: a job through the CE takes long, and has tests of its own."""
    open_to_jobs(root)
    site = Site(kind="htcondor", options=pair.vanilla() | {"files": files})
    ce = open_ce(Settings(state_dir=root), "ce", lambda: datetime.now(UTC), site)

    async def breathe() -> None:
        open_to_jobs(root)  # another pytest of this machine shuts the directory above when it starts
        await _breathe()

    try:
        yield ce, breathe
    finally:
        await leave_nothing(ce)
        await ce.close()


async def leave_nothing(ce: ComputingElement, arex: Arex | None = None) -> None:
    """The next test finds a CE without jobs of ours; one that is being removed has lost its name first.

    `arex`: whose remnants of jobs go as well.
    """
    end = asyncio.get_running_loop().time() + LAST_S
    while left := [one for tower in TOWERS if (one := await ce.list_mine(tower, set())).mine or one.nameless]:
        assert asyncio.get_running_loop().time() < end, f"the CE does not let go of {left}"
        jobs = {job for one in left for job in one.mine}
        await ce.cancel(jobs)
        await ce.clean(list(await ce.ended(jobs)))
        if arex is not None:
            arex.sweep_remnants()
        await _breathe()


BACK_ENDS: Mapping[str, Callable[[Help], AbstractAsyncContextManager[Opened]]] = {
    "arc-rest 6.17, real": partial(_rest, version="6"),
    "arc-rest 7, real": partial(_rest, version="7"),
    "arc-internal 6.17": partial(_internal, version="6"),
    "arc-internal 7": partial(_internal, version="7"),
    "htcondor": lambda helps: open_pool(helps.servers.condor(), helps.root, files="shared"),
}
