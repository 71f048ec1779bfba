"""Towers over simulated ARC CEs, as these tests need them."""

from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from act_core.db.arrivals import NewJob, add_jobs
from act_core.jobspec import JobSpec
from act_core.runtime import Runtime
from act_core.settings.model import Breaker, Jobs, Settings, Site
from act_core.settings.policy import Clean, Voms
from act_core.simulators.arc import ArcOptions, serve_arc
from act_core.simulators.arc_pace import Pace
from act_core.simulators.pki import TestPki
from act_core.simulators.scene import Scene
from act_core.simulators.serve import Simulator
from tests.faults import towers


class Grid:
    """ARC CEs of one PKI, whose jobs run at once and are told at once; the witness counts executions."""

    def __init__(self, root: Path) -> None:
        self.pki = TestPki(root / "pki")
        self.witness = root / "witness.jsonl"
        self.proxy = self.pki.proxy("alice", timedelta(hours=96))
        self.ces: dict[str, Simulator] = {}

    async def add(self, name: str, **pace: Any) -> Simulator:
        quick = Pace(**({"run_s": (0.0, 0.0), "step_s": 0.0, "kill_s": 0.0, "info_period": 0.0} | pace))
        ce = await serve_arc(ArcOptions(self.pki.root, name=name, pace=quick, witness=self.witness))
        await ce.start()
        self.ces[name] = ce
        return ce

    def settings(self, base: Settings, state_dir: Path, **site: Any) -> Settings:
        """A tower's settings: every CE of the grid, no pauses, quick grace."""
        common = {"poll": "0", "deadline": "2 s", "options": {"grace": 0}} | site
        sites = {name: Site(endpoint=f"{ce.url}/arex", **common) for name, ce in self.ces.items()}
        jobs = Jobs(checkinterval="0", checkmintime="0", senddeadline="2 s", grace="0", archiveafter="0")
        voms = Voms(proxypath=self.proxy, cacertdir=self.pki.ca_dir)
        breaker = Breaker(failures=1, first="10 min")
        clean = Clean(keepfailed="0")
        parts = {"sites": sites, "jobs": jobs, "voms": voms, "breaker": breaker, "clean": clean}
        arc = base.arc.model_copy(update=parts)
        return base.model_copy(update={"arc": arc, "state_dir": state_dir})

    async def control(self, name: str, path: str, body: object = None) -> Any:
        """A question to a CE's control port (POST with a body)."""
        method = "GET" if body is None else "POST"
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"{self.ces[name].control_url}{path}", json=body) as answer,
        ):
            assert answer.status < 300, await answer.text()
            return await answer.json()

    async def stop(self) -> None:
        for ce in self.ces.values():
            await ce.stop()


@pytest.fixture
async def grid(tmp_path: Path) -> Any:
    made = Grid(tmp_path / "grid")
    yield made
    await made.stop()


@pytest.fixture
def add() -> Callable[..., Awaitable[list[str]]]:
    """Add n jobs by hand to a tower; returns their ids."""

    async def make(rt: Runtime, n: int, *ces: str) -> list[str]:
        spec = JobSpec(executable="/bin/true")
        jobs = [NewJob("manual", f"job{i}", spec, frozenset(ces), attempts_left=5) for i in range(n)]
        return list(await rt.write(add_jobs, rt.tower, jobs, rt.now()))

    return make


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """Simulators as processes; what was brought up over them is taken down."""
    with Scene(tmp_path / "scene") as made:
        try:
            yield made
        finally:
            towers.act(made, "down")
