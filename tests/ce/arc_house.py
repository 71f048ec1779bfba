"""One simulated A-REX, the orders that it takes beside its door, and our clients of it."""

from collections.abc import Callable, Collection
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from act_core.ce.arc_rest import ArcCe
from act_core.ce.base import ComputingElement, RemoteId, SubmissionKey, TowerId
from act_core.ce.registry import open_ce
from act_core.db.attempts import new_key
from act_core.jobspec import COMMIT_FILE, InputFile, JobSpec
from act_core.settings.model import ArcSettings, Settings, Site
from act_core.settings.policy import Voms
from act_core.simulators.arc import ArcOptions, serve_arc
from act_core.simulators.arc_pace import Pace
from act_core.simulators.arc_wire import Flavour
from act_core.simulators.pki import TestPki
from act_core.simulators.serve import Simulator

TOWER = TowerId("tower001")
ALICE, BOB = "/DC=org/DC=act-test/CN=alice", "/DC=org/DC=act-test/CN=bob"
COMMIT = InputFile(name=COMMIT_FILE, content="ok\n")
TRUE = JobSpec(executable="/bin/true")
QUICK = {"run_s": (0.0, 0.0), "step_s": 0.0, "kill_s": 0.0, "info_period": 0.0}
LATE = {"info_period": 3600.0}


def utc() -> datetime:
    return datetime.now(UTC)


def opened(
    url: str, pki: TestPki, state: Path, now: Callable[[], datetime] = utc, proxy: Path | None = None, **site: Any
) -> ArcCe:
    """A client of an A-REX."""
    voms = Voms(proxypath=proxy or pki.root / "proxy.pem", cacertdir=pki.ca_dir)
    settings = Settings(state_dir=state, arc=ArcSettings(voms=voms))
    ce = open_ce(settings, "ce", now, Site(endpoint=url, **site))
    assert isinstance(ce, ArcCe)
    return ce


@dataclass
class House:
    """A CE and what its control port says."""

    simulator: Simulator
    pki: TestPki
    state: Path
    session: aiohttp.ClientSession
    stack: AsyncExitStack = field(repr=False)

    def client(self, now: Callable[[], datetime] = utc, proxy: Path | None = None, **site: Any) -> ArcCe:
        """One more client; all of them have the same state directory."""
        ce = opened(f"{self.simulator.url}/arex", self.pki, self.state, now, proxy, **site)
        self.stack.push_async_callback(ce.close)
        return ce

    async def order(self, path: str, body: object = None) -> Any:
        """A question to the control port, or an order (with a body)."""
        method = "GET" if body is None else "POST"
        async with self.session.request(method, f"{self.simulator.control_url}{path}", json=body) as answer:
            assert answer.status < 300, await answer.text()
            return await answer.json()

    async def fault(self, kind: str, **rule: Any) -> None:
        await self.order("/faults", {"kind": kind, **rule})

    async def mended(self) -> None:
        async with self.session.delete(f"{self.simulator.control_url}/faults") as answer:
            assert answer.status == 200

    async def jobs(self) -> list[Any]:
        return list((await self.order("/jobs"))["jobs"])

    async def asked(self, words: str) -> int:
        """How many requests there were whose method and pattern contain these words."""
        requests = (await self.order("/stats"))["requests"]
        return sum(sum(answers.values()) for name, answers in requests.items() if words in name)


class Builder:
    """Starts CEs that live as long as the test."""

    def __init__(self, pki: TestPki, root: Path, stack: AsyncExitStack) -> None:
        self._pki, self._root, self._stack = pki, root, stack

    async def __call__(self, flavour: Flavour = Flavour.V7, pace: dict[str, Any] | None = None, **more: Any) -> House:
        options = ArcOptions(self._pki.root, flavour=flavour, pace=Pace(**(QUICK | (pace or {}))), **more)
        simulator = await self._stack.enter_async_context(await serve_arc(options))
        session = await self._stack.enter_async_context(aiohttp.ClientSession())
        return House(simulator, self._pki, self._root / "state", session, self._stack)


async def submitted(ce: ComputingElement, *specs: JobSpec, tower: TowerId = TOWER) -> list[RemoteId]:
    """Jobs that wait for their commit."""
    keys: dict[SubmissionKey, JobSpec] = {new_key(tower): spec for spec in specs}
    answers = await ce.submit(keys)
    assert {type(answer) for answer in answers.values()} <= {str}, answers
    return [RemoteId(str(answers[key])) for key in keys]


async def commit(ce: ComputingElement, jobs: Collection[RemoteId]) -> None:
    assert await ce.put_inputs({job: [COMMIT] for job in jobs}) == dict.fromkeys(jobs)
