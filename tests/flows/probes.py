"""An application that does as it is told, and a window over it; a real tower and real leases, no Prefect."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from act_core.apps import Application, Part
from act_core.errors import Transient
from act_core.going import Going
from act_core.runtime import Counts, Runtime
from act_core.settings.model import ArcSettings, Breaker, Prefect, Settings, Site
from act_core.stages import Tower
from flows.rounds import Group, Window
from flows.tasks import RETRIES, Done

STAGE = "translate"  # the engine has no part in it
Deed = Callable[[str], Awaitable[Counts]]


class Plain:
    """Does what Prefect's tasks do: a retry for trouble that is raised."""

    def __init__(self) -> None:
        self.groups: list[Group] = []
        self.tries: Counter[str] = Counter()

    async def one(self, window: Window, part: Part, key: str) -> Done:
        for number in range(RETRIES + 1):
            self.tries[key] += 1
            try:
                return await window.in_time(part, key, last_try=number == RETRIES)
            except Transient:
                assert number < RETRIES
        raise AssertionError

    async def group(self, window: Window, group: Group) -> Done:
        self.groups.append(group)
        return await group.run()


class Probe:
    """An application with one part: keys that are due, and what a round of a key does."""

    def __init__(self, rt: Runtime) -> None:
        self.rt, self.keys, self.caller = rt, list[str](), Plain()
        self.rounds: Counter[str] = Counter()
        self.deeds: dict[str, Deed] = {}
        self.window: Window
        self.going = Going()  # lasts from window to window

    async def due(self, _rt: Runtime) -> Sequence[str]:
        return self.keys

    async def round(self, _rt: Runtime, key: str) -> Counts:
        self.rounds[key] += 1
        return await self.deeds.get(key, good)(key)

    async def run(
        self, seconds: float = 0, only: Sequence[str] = (), breaker: bool = False, expected: int = 0
    ) -> Window:
        part = Part(STAGE, "probe", self.due, self.round, breaker)
        tower = Tower(self.rt, apps=(Application("probe", parts=(part,)),))
        tower.going = self.going
        self.window = Window(tower, STAGE, seconds, only, self.caller, expected)
        await self.window.run()
        return self.window

    def end(self) -> None:
        """The window is over."""
        self.window.until = 0


async def good(_key: str) -> Counts:
    return Counts(done=1)


def failing(err: Exception, times: int = 99, then: Deed = good) -> Deed:
    left = [err] * times

    async def deed(key: str) -> Counts:
        if left:
            raise left.pop()
        return await then(key)

    return deed


async def hang(_key: str) -> Counts:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.fixture
async def probe(servers: Any, tmp_path: Path) -> AsyncIterator[Probe]:
    db = servers.ready("sqlite", tmp_path / "state")
    arc = ArcSettings(
        db=db,
        sites={"ce": Site(kind="local")},
        breaker=Breaker(failures=1),
        prefect=Prefect(pause=0.01, max_tasks=3),
    )
    async with Runtime.open(Settings(state_dir=tmp_path / "state", arc=arc)) as rt:
        made = Probe(rt)
        yield made
        await made.going.give_up()
