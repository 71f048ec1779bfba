"""Every kind of fault against a real server, and the ways to run one."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from act_core.simulators.serve import Simulator, run_in_thread
from act_core.simulators.witness import Witness, count

BODY = json.dumps({"numbers": list(range(20))})


class Bench:
    """A server that counts the work that it has done."""

    def __init__(self) -> None:
        self.done = 0
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.work)
        self.simulator = Simulator(app)

    async def work(self, request: web.Request) -> web.Response:
        await request.read()
        self.done += 1
        return web.Response(text=BODY, headers={"Digest": "adler32=0badcafe"})


class Caller:
    """A client of both ports."""

    def __init__(self, bench: Bench, session: aiohttp.ClientSession) -> None:
        self._bench, self._session = bench, session

    async def call(self, method: str = "POST", path: str = "/x", timeout: float = 10) -> tuple[int, str, str | None]:
        url, limit = self._bench.simulator.url + path, aiohttp.ClientTimeout(timeout)
        async with self._session.request(method, url, timeout=limit) as answer:
            return answer.status, await answer.text(), answer.headers.get("Digest")

    async def control(self, method: str, path: str, order: object = None) -> Any:
        async with self._session.request(method, self._bench.simulator.control_url + path, json=order) as answer:
            return await answer.json()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    async with bench.simulator:
        yield bench


@pytest.fixture
async def caller(bench: Bench) -> AsyncIterator[Caller]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        yield Caller(bench, session)


@pytest.mark.parametrize(
    ("kind", "error", "work"),
    [
        ("reset_before", (ConnectionResetError, aiohttp.ClientOSError), 0),
        ("accept_hangup", aiohttp.ServerDisconnectedError, 1),
        ("half_answer", aiohttp.ClientPayloadError, 1),
        ("hang", TimeoutError, 0),
        ("down", aiohttp.ClientConnectorError, 0),
    ],
)
async def test_faults_of_the_connection(bench: Bench, caller: Caller, kind: str, error: Any, work: int) -> None:
    await caller.control("POST", "/faults", {"kind": kind})
    with pytest.raises(error):
        await caller.call(timeout=0.5 if kind == "hang" else 10)
    assert bench.done == work
    await caller.control("DELETE", "/faults")
    assert await caller.call() == (200, BODY, "adler32=0badcafe")


async def test_faults_of_the_answer(bench: Bench, caller: Caller) -> None:
    async def under(**rule: object) -> tuple[int, str, str | None]:
        await caller.control("DELETE", "/faults")
        await caller.control("POST", "/faults", rule)
        return await caller.call("GET")

    assert await under(kind="error", status=500, reason="Out of order") == (500, "", None)
    assert bench.done == 0
    assert await under(kind="empty") == (200, "", "adler32=0badcafe")
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        json.loads((await under(kind="malformed_json"))[1])
    status, body, digest = await under(kind="wrong_checksum")
    assert (status, digest, len(body)) == (200, "adler32=1badcafe", len(BODY))
    assert body != BODY
    assert await under(kind="latency", seconds=0.01) == (200, BODY, "adler32=0badcafe")
    assert bench.done == 4


async def test_rules_match_method_path_and_action_so_many_times(caller: Caller) -> None:
    rule = {"kind": "error", "method": "POST", "path": "^/jobs", "action": "kill|clean", "skip": 1, "times": 2}
    (key,) = (await caller.control("POST", "/faults", rule))["ids"]
    for method, path in (
        ("GET", "/jobs?action=kill"),
        ("POST", "/x/jobs?action=kill"),
        ("POST", "/jobs?action=killed"),
    ):
        assert (await caller.call(method, path))[0] == 200
    assert [(await caller.call("POST", "/jobs?action=kill"))[0] for _ in range(4)] == [200, 503, 503, 200]
    (listed,) = (await caller.control("GET", "/faults"))["faults"]
    assert (listed["id"], listed["hits"], listed["times"]) == (key, 2, 2)
    assert await caller.control("DELETE", f"/faults/{key}") == {"removed": 1}
    assert await caller.control("DELETE", f"/faults/{key}") == {"removed": 0}


async def test_a_bad_rule_is_refused_with_its_reason(caller: Caller) -> None:
    rules: list[object] = [
        {"kind": "sulk"},
        {"kind": "error", "path": "("},
        {"kind": "error", "probability": 2},
        [{}],
        7,
    ]
    for bad in rules:
        assert "error" in await caller.control("POST", "/faults", bad)
    assert (await caller.control("GET", "/faults"))["faults"] == []


async def test_statistics_leave_identifiers_out(caller: Caller) -> None:
    for path in ("/jobs/df127f4a4873/session", "/jobs/df12b30b944a/session", "/jobs?action=new"):
        await caller.call("GET", path)
    stats = (await caller.control("GET", "/stats"))["requests"]
    assert stats == {"GET /jobs/*/session": {"200": 2}, "GET /jobs?action=new": {"200": 1}}
    await caller.control("DELETE", "/stats")
    assert (await caller.control("GET", "/stats"))["requests"] == {}


def test_a_thread_for_callers_without_a_loop() -> None:
    async def opening() -> Simulator:
        return Bench().simulator

    with run_in_thread(opening) as running:
        assert running.url.startswith("http://127.0.0.1:")
        assert running.url != running.control


CHILD = """
import asyncio, pathlib, sys
from aiohttp import web
from act_core.simulators.serve import Simulator, run_forever
async def opening():
    return Simulator(web.Application())
asyncio.run(run_forever(opening, pathlib.Path(sys.argv[1])))
"""
PARENT = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1], sys.argv[2]]).wait()"


async def test_a_process_says_where_it_listens_and_stops_when_told(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", CHILD, str(ready), stdout=-1)
    assert child.stdout is not None
    line = await asyncio.wait_for(child.stdout.readline(), 60)
    assert json.loads(line) == json.loads(await asyncio.to_thread(ready.read_text))
    child.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(child.wait(), 30) == 0
    await child.communicate()


async def test_a_process_does_not_outlive_its_parent(tmp_path: Path) -> None:
    ready = str(tmp_path / "ready")
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, CHILD, ready, stdout=-1)
    assert parent.stdout is not None
    await asyncio.wait_for(parent.stdout.readline(), 60)
    parent.kill()
    rest = await asyncio.wait_for(parent.stdout.read(), 30)  # ends when the grandchild has closed its end too
    assert rest == b""
    await parent.wait()


def test_witnesses_are_counted_by_job(tmp_path: Path) -> None:
    path = tmp_path / "witness"
    assert count(path) == {}
    for key in ("1", "2", "1"):
        Witness(path).append(key, name="act-x", ce="ce1", at=1.5)
    assert count(path) == {"1": 2, "2": 1}
    line = json.loads(path.read_text().splitlines()[0])
    assert line == {"key": "1", "name": "act-x", "ce": "ce1", "at": 1.5, "pid": os.getpid()}
