"""A PanDA server of any generation, and clients of it in each dialect: what the contract is tried on."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from pydantic import SecretStr

from act_core.atlas.panda_access import Access, ProxyAccess
from act_core.atlas.panda_server import PandaServer
from act_core.atlas.reports import Update
from act_core.settings.app_model import Panda
from act_core.simulators.faults import FaultRule, Kind
from act_core.simulators.panda import Panda as Server
from act_core.simulators.panda import PandaOptions, build_panda
from act_core.simulators.panda_jobs import JobOrder
from act_core.simulators.panda_methods import Generation
from act_core.simulators.panda_records import Job, Patience
from act_core.simulators.panda_roles import Token
from act_core.simulators.pki import ORGANISATION, TestPki, server_context
from act_core.simulators.serve import Simulator

Dialect = Literal["v1", "legacy"]
ROBOT, PILOT, STRANGER = (f"{ORGANISATION}/CN={name}" for name in ("robot", "pilot", "stranger"))
QUEUE = "TEST_ARC"

# what is served, how the client is configured, what it ends up with
SERVERS: dict[str, tuple[Generation, str, Dialect]] = {
    "v1": ("v1", "v1", "v1"),
    "legacy": ("legacy", "legacy", "legacy"),
    "legacy of both": ("both", "legacy", "legacy"),
    "v1, asked": ("v1", "auto", "v1"),
    "legacy, asked": ("legacy", "auto", "legacy"),
    "both, asked": ("both", "auto", "v1"),
}

# what a call is named in each dialect
PATHS: Mapping[str, Mapping[Dialect, str]] = {
    "alive": {"v1": "system/is_alive", "legacy": "panda/isAlive"},
    "acquire": {"v1": "pilot/acquire_jobs", "legacy": "panda/getJob"},
    "update": {"v1": "pilot/update_jobs_bulk", "legacy": "panda/updateJobsInBulk"},
    "status": {"v1": "pilot/get_job_status", "legacy": "panda/getStatus"},
}


@dataclass
class House:
    """A running server, and how to become its client. `spoken`: the dialect that its clients end up with."""

    simulator: Simulator
    server: Server
    pki: TestPki
    configured: str
    spoken: Dialect
    clients: list[PandaServer] = field(default_factory=list)

    def access(self, name: str = "robot") -> ProxyAccess:
        return ProxyAccess(self.pki.ca_dir, self.pki.proxy(name))

    def client(self, access: Access | None = None, **settings: object) -> PandaServer:
        given = {"server": self.simulator.url, "api": self.configured, "timeout": 20, "schedulerid": "act-t"}
        client = PandaServer(Panda.model_validate(given | settings), access or self.access())
        self.clients.append(client)
        return client

    def make(self, **order: object) -> list[int]:
        return self.server.books.create(JobOrder.model_validate({"queue": QUEUE} | order))

    def book(self, number: int) -> Job:
        self.server.books.tick(self.server.clock.now())
        return self.server.books.jobs[number]

    async def fault(self, kind: Kind, call: str | None = None, **more: object) -> None:
        path = PATHS[call][self.spoken] if call else None
        await self.simulator.faults.add(FaultRule.model_validate({"kind": kind, "path": path} | more))

    def requests(self, call: str, dialect: Dialect | None = None) -> int:
        """How often the server was asked."""
        path = PATHS[call][dialect or self.spoken]
        return sum(sum(n.values()) for name, n in self.simulator.faults._stats.items() if name.endswith(path))


@asynccontextmanager
async def open_contract(pki: TestPki, served: Generation, configured: str, spoken: Dialect) -> AsyncIterator[House]:
    options = PandaOptions(
        Patience(adder=timedelta(0)),
        fqans={ROBOT: ("/atlas/Role=production", "/atlas"), PILOT: ("/atlas/Role=pilot",)},
        tokens=(Token(SecretStr("good"), name="Robot Token"),),
        api=served,
    )
    server = build_panda(options)
    tls = server_context(pki.host, pki.ca_dir)
    async with Simulator(server.app, server.control, tls=tls) as simulator:
        house = House(simulator, server, pki, configured, spoken)
        yield house
        for client in house.clients:
            await client.close()


def update(job: int, status: str = "running", **more: object) -> Update:
    given: dict[str, Any] = {"job_id": job, "job_status": status, "attempt_nr": 1}
    return Update.model_validate(given | more)
