"""Turns of a pass: what must be done before others begin."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from act_core.apps import Application, Part
from act_core.errors import ProtocolError
from act_core.runtime import Counts, Runtime
from act_core.settings.model import ArcSettings, Prefect, Settings
from act_core.stages import Tower
from flows.rounds import Window
from tests.flows.probes import STAGE, Plain


@pytest.fixture
async def rt(servers: Any, tmp_path: Path) -> AsyncIterator[Runtime]:
    arc = ArcSettings(db=servers.ready("sqlite", tmp_path / "state"), prefect=Prefect(pause=0.01))
    async with Runtime.open(Settings(state_dir=tmp_path / "state", arc=arc)) as opened:
        yield opened


async def test_in_a_pass_an_earlier_turn_comes_first_with_all_of_its_keys(rt: Runtime) -> None:
    order: list[str] = []

    async def deed(_rt: Runtime, key: str) -> Counts:
        for _ in range(0 if key in "xy" else 5):
            await asyncio.sleep(0)
        order.append(key)
        if key == "b":
            raise ProtocolError("no")
        return Counts(done=1)

    async def last(_rt: Runtime) -> Sequence[str]:
        return ["x", "y"]

    async def first(_rt: Runtime) -> Sequence[str]:
        return ["a", "b"]

    parts = (Part(STAGE, "second", last, deed, turn=1), Part(STAGE, "first", first, deed))
    window = Window(Tower(rt, apps=(Application("probe", parts=parts),)), STAGE, 0, (), Plain())
    await window.run()
    assert (set(order[:2]), set(order[2:])) == ({"a", "b"}, {"x", "y"})
    assert window.counts == {"done": 3, "errors": 1}


async def test_another_configuration_may_bring_further_parts(rt: Runtime) -> None:
    """Prefect's tasks know a part by its place: those that are there keep theirs."""

    async def due(_rt: Runtime) -> Sequence[str]:
        return ["k"]

    async def deed(_rt: Runtime, _key: str) -> Counts:
        return Counts()

    late, early = (Application(name, parts=(Part(STAGE, name, due, deed),)) for name in ("late", "early"))
    tower = Tower(rt, apps=(early,))
    window = Window(tower, STAGE, 0, (), Plain())
    tower.apps = (late, early)
    assert {part.verb for part, _ in await window._due()} == {"late", "early"}
    assert [part.verb for part in window.parts] == ["early", "late"]
