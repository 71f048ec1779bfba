"""A client of the simulated A-REX, and the descriptions that it sends."""

import asyncio
import io
import json
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import aiohttp
from yarl import URL

from act_core.simulators.arc import ArcOptions, serve_arc
from act_core.simulators.arc_pace import Pace
from act_core.simulators.arc_wire import Flavour
from act_core.simulators.pki import TestPki, client_context
from act_core.simulators.serve import Simulator

ALICE, BOB = "/DC=org/DC=act-test/CN=alice", "/DC=org/DC=act-test/CN=bob"
QUICK = Pace(run_s=(0.0, 0.0), step_s=0.0, kill_s=0.0, info_period=0.0)
JSON = {"Accept": "application/json"}
HEAD = '<ActivityDescription xmlns="http://www.eu-emi.eu/es/2010/12/adl" xmlns:n="http://www.nordugrid.org/es/2011/12/nordugrid-adl">'


def adl(name: str = "one", staging: str = "", executable: str = "/bin/echo", *arguments: str, rerun: int = 0) -> str:
    given = "".join(f"<Argument>{argument}</Argument>" for argument in arguments)
    return (
        f"{HEAD}<ActivityIdentification><Name>{name}</Name></ActivityIdentification>"
        f"<Application><Executable><Path>{executable}</Path>{given}</Executable>"
        f"<Output>out.txt</Output><Error>err.txt</Error><n:Rerun>{rerun}</n:Rerun></Application>"
        f"<DataStaging>{staging}</DataStaging></ActivityDescription>"
    )


def takes(name: str, url: str = "") -> str:
    source = f"<Source><URI>{url}</URI></Source>" if url else ""
    return f"<InputFile><Name>{name}</Name>{source}</InputFile>"


def gives(name: str, url: str = "") -> str:
    target = f"<Target><URI>{url}</URI></Target>" if url else ""
    return f"<OutputFile><Name>{name}</Name>{target}</OutputFile>"


def many(*single: str) -> str:
    return f"<ActivityDescriptions>{''.join(single)}</ActivityDescriptions>"


class Ce:
    """A client of one CE with one identity."""

    def __init__(self, simulator: Simulator, session: aiohttp.ClientSession, version: str) -> None:
        self.simulator, self._session, self.version = simulator, session, version

    async def call(
        self, method: str, path: str, data: str | bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, str | None, bytes, Any]:
        base = path if path.startswith("/arex") else f"/arex/rest/{self.version}{path}"
        url = URL(self.simulator.url + base, encoded=True)
        body = io.BytesIO(data.encode() if isinstance(data, str) else data) if data else None
        async with self._session.request(method, url, data=body, headers=JSON | (headers or {})) as answer:
            return answer.status, answer.reason, await answer.read(), answer.headers

    async def submit(self, body: str, query: str = "") -> Any:
        return jobs_in((await self.call("POST", f"/jobs?action=new{query}", body))[2])

    async def one(self, *arguments: Any, **more: Any) -> str:
        (entry,) = await self.submit(adl(*arguments, **more))
        return str(entry["id"])

    async def act(self, action: str, *ids: str) -> Any:
        body = json.dumps({"job": [{"id": job_id} for job_id in ids]})
        status, _, content, _ = await self.call(
            "POST", f"/jobs?action={action}", body, {"Content-Type": "application/json"}
        )
        assert status == 201
        return jobs_in(content)

    async def state(self, job_id: str) -> str:
        return str((await self.act("status", job_id))[0]["state"])

    async def reach(self, job_id: str, *states: str) -> str:
        return await until(lambda: self.state(job_id), *states)

    async def listed(self, query: str = "") -> Any:
        return jobs_in((await self.call("GET", f"/jobs{query}"))[2])

    async def diagnose(self, job_id: str, name: str) -> str:
        status, _, content, _ = await self.call("GET", f"/jobs/{job_id}/diagnose/{name}")
        return content.decode() if status == 200 else f"{status}"

    async def put(self, job_id: str, name: str, content: bytes, **headers: str) -> int:
        return (await self.call("PUT", f"/jobs/{job_id}/session/{name}", content, headers))[0]

    async def control(self, method: str, path: str, order: object = None) -> Any:
        async with self._session.request(method, self.simulator.control_url + path, json=order) as answer:
            return await answer.json()


def jobs_in(content: bytes) -> Any:
    """As a tolerant client reads it."""
    found = json.loads(content).get("job", []) if content else []
    return found if isinstance(found, list) else [found]


async def until(ask: Callable[[], Awaitable[str]], *wanted: str) -> str:
    async def asking() -> str:
        while (told := await ask()) not in wanted:  # noqa: ASYNC110 (it is asked over the network)
            await asyncio.sleep(0.01)
        return told

    return await asyncio.wait_for(asking(), 20)


class Opener:
    """Starts simulators and connects clients, until the stack is closed."""

    def __init__(self, pki: TestPki, stack: AsyncExitStack) -> None:
        self._pki, self._stack = pki, stack

    async def __call__(self, flavour: Flavour = Flavour.V7, **options: Any) -> Ce:
        chosen = replace(ArcOptions(self._pki.root, flavour=flavour, pace=QUICK), **options)
        simulator = await self._stack.enter_async_context(await serve_arc(chosen))
        return await self.connect(simulator, flavour)

    async def connect(self, simulator: Simulator, flavour: Flavour = Flavour.V7, user: str = "alice") -> Ce:
        tls = client_context(self._pki.ca_dir, self._pki.proxy(user))
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls))
        await self._stack.enter_async_context(session)
        return Ce(simulator, session, "1.0" if flavour is Flavour.V6 else "1.1")
