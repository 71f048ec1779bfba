"""Bugs of the original in its talk with PanDA, by the numbers of docs/bugs.md."""

import ast
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

import act_core
from act_core.atlas.heartbeat import after_report
from act_core.atlas.panda_access import ProxyAccess, TokenAccess
from act_core.atlas.panda_v1 import PandaV1
from act_core.atlas.reports import Update, Worker, read_answer
from act_core.errors import Transient
from act_core.settings.app_model import Panda
from act_core.simulators.faults import Kind
from act_core.simulators.pki import TestPki, server_context
from act_core.simulators.serve import Simulator
from act_core.states import PandaState
from tests.atlas.house import BOOKED, BULK, House
from tests.atlas.test_heartbeat_rules import BEAT, NOW

P = PandaState
GOOD = {"success": True, "message": "", "data": {"StatusCode": 0, "command": "NULL"}}
KILL = {"success": True, "message": "", "data": {"StatusCode": 0, "command": "tobekilled"}}


class Terse:
    """A PanDA that answers every call with the same data."""

    def __init__(self) -> None:
        self.data: Any = None

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        return app

    async def _answer(self, _: web.Request) -> web.Response:
        return web.Response(text=json.dumps({"success": True, "message": "", "data": self.data}))


@pytest.fixture
async def terse(grid_pki: TestPki, tmp_path: Any) -> AsyncIterator[tuple[Terse, PandaV1]]:
    server, token = Terse(), tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text("good\n")
    async with Simulator(server.app(), [], tls=server_context(grid_pki.host, grid_pki.ca_dir)) as simulator:
        settings = Panda.model_validate({"server": simulator.url, "timeout": 20})
        async with PandaV1(settings, TokenAccess(grid_pki.ca_file, token, "atlas.production")) as client:
            yield server, client


@pytest.mark.parametrize("answers", [[KILL], [GOOD, KILL, GOOD], [], {"1": KILL}, None], ids=str)
async def test_bug_07_an_answer_that_is_short_or_long_is_nobodys(terse: tuple[Terse, PandaV1], answers: Any) -> None:
    server, client = terse
    server.data = answers
    with pytest.raises(Transient, match="does not match the 2"):
        await client.update_jobs_bulk([Update(job_id=number, job_status="running") for number in (1, 2)])
    with pytest.raises(Transient, match="does not match the 2"):
        await client.update_workers("act", [Worker(worker_id=n, status="running", queue="Q") for n in (1, 2)])


@pytest.mark.parametrize("command", ["alreadydone", "debug,alreadydone", "debug,tobekilled"])
def test_bug_07_commands_of_a_bulk_answer_are_looked_for(command: str) -> None:
    answer = read_answer({"success": True, "message": "", "data": {"StatusCode": 0, "command": command}})
    assert after_report(BOOKED, answer, NOW, BEAT).to in (P.TOKILL, P.TOREPORT)
    assert answer.kill or answer.already_done


async def test_bug_08_the_final_report_is_kept_until_panda_has_it(queue: House) -> None:
    number = await queue.running()
    await queue.ended(number)
    await queue.run("fetch-validate")
    written = (await queue.row(number)).report
    for kind in (Kind.ERROR, Kind.ACCEPT_HANGUP, Kind.EMPTY):
        await queue.fault(queue.panda, kind, path=BULK)
        assert await queue.run("heartbeat") == {"errors": 1}
        assert (await queue.row(number)).report == written
        await queue.panda.faults.remove()
        queue.later(minutes=6)
    await queue.run("heartbeat")
    assert (await queue.row(number)).state == P.CLOSED.value
    assert (queue.book(number).status, queue.book(number).finals) == ("finished", 1)


def test_bug_30_panda_is_spoken_to_by_verified_tls_of_today_and_nothing_of_it_is_unpickled(tmp_path: Path) -> None:
    """The original pins TLS 1.0 and unpickles what the network says."""
    pki = TestPki(tmp_path)
    context, _ = ProxyAccess(pki.ca_dir, pki.proxy("robot")).present()
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    sources = sorted(Path(act_core.__file__).parent.rglob("*.py"))
    assert [path for path in sources if _imports(path) & {"pickle", "marshal", "shelve"}] == []


def _imports(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    plain = {one.name for node in nodes if isinstance(node, ast.Import) for one in node.names}
    return plain | {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
