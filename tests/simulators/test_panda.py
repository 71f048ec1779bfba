"""The simulators as they are used: TLS, proxies, tokens, faults, and one job's whole way between them."""

import json
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import pytest
from pydantic import SecretStr

from act_core.simulators import pilot, pilot_run
from act_core.simulators.contents import adler32
from act_core.simulators.cric import CricOptions, serve_cric
from act_core.simulators.cric_queues import QueueDescription
from act_core.simulators.panda import PandaOptions, serve_panda
from act_core.simulators.panda_records import Patience
from act_core.simulators.panda_roles import Token
from act_core.simulators.pki import TestPki, client_context, server_context
from act_core.simulators.serve import Simulator
from act_core.simulators.storage_server import StorageOptions, serve_storage

HEADERS = {"Accept": "application/json"}
TOKEN = {"Authorization": "Bearer secret", "Origin": "atlas:production"}


@dataclass
class Grid:
    panda: Simulator
    storage: Simulator
    session: aiohttp.ClientSession

    async def call(self, method: str, **arguments: object) -> dict[str, object]:
        return await _json(self.session.post(f"{self.panda.url}/api/v1/{method}", json=arguments, headers=HEADERS))

    async def get(self, url: str, headers: dict[str, str] | None = None) -> dict[str, object]:
        return await _json(self.session.get(url, headers=headers or HEADERS))


async def _json(request: "aiohttp.client._RequestContextManager") -> dict[str, object]:
    async with request as answer:
        assert answer.status == 200
        return json.loads(await answer.read())  # type: ignore[no-any-return]


def session(context: ssl.SSLContext) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context), timeout=aiohttp.ClientTimeout(total=20), raise_for_status=False
    )


@pytest.fixture
async def grid(pki: TestPki) -> AsyncIterator[Grid]:
    tls = server_context(pki.host, pki.ca_dir)
    async with await serve_storage(StorageOptions(tls=tls)) as storage:
        options = PandaOptions(
            Patience(adder=timedelta(0)),
            {"/DC=org/DC=act-test/CN=robot": ("/atlas/Role=production",)},
            (Token(SecretStr("secret")),),
            storage_control=storage.control_url,
            tls=tls,
        )
        async with (
            await serve_panda(options) as panda,
            session(client_context(pki.ca_dir, pki.proxy("robot", depth=2))) as http,
        ):
            yield Grid(panda, storage, http)


async def order(grid: Grid, **order: object) -> int:
    request = grid.session.post(f"{grid.panda.control_url}/jobs", json={"queue": "TEST_ARC"} | order)
    made = await _json(request)
    jobs = made["jobs"]
    assert isinstance(jobs, list)
    return int(jobs[0]["first"])


async def test_a_proxy_has_the_roles_of_its_owner(grid: Grid) -> None:
    answer = await grid.get(f"{grid.panda.url}/api/v1/system/get_user_attributes")
    data = answer["data"]
    assert isinstance(data, dict)
    assert data["user_dn_clean"] == "/DC=org/DC=act-test/CN=robot"
    assert data["user_dn_raw"].startswith("/DC=org/DC=act-test/CN=robot/CN=")
    assert data["is_production_user"] is True


async def test_another_user_has_none_a_token_counts_alone_and_nobody_is_not_secure(grid: Grid, pki: TestPki) -> None:
    async with session(client_context(pki.ca_dir, pki.proxy("jane"))) as other:
        answer = await _json(other.post(f"{grid.panda.url}/api/v1/pilot/acquire_jobs", json={"site_name": "x"}))
        assert answer["message"] == "no production/pilot role in VOMS FQANs or non pilot owner"
    async with session(client_context(pki.ca_dir)) as nobody:
        url = f"{grid.panda.url}/api/v1/system/get_user_attributes"
        answer = await _json(nobody.get(url, headers=HEADERS | TOKEN))
        assert answer["success"] is True
        answer = await _json(nobody.get(url, headers=HEADERS))
        assert answer["message"] == "SSL secure connection is required"


async def stage_in(grid: Grid, job: dict[str, object], directory: Path) -> None:
    """What a CE does before the payload: the job file and the inputs."""
    flat = {key: str(value) for key, value in job.items()}
    for scope, lfn in zip(flat["scopeIn"].split(","), flat["inFiles"].split(","), strict=True):
        async with grid.session.get(f"{grid.storage.url}/replicas/{scope}/{lfn}") as answer:
            (directory / lfn).write_bytes(await answer.read())
    (directory / pilot.JOB_FILE).write_text(urlencode(flat))


async def stage_out(grid: Grid, directory: Path) -> None:
    """What a CE does after it: the pilot's list of outputs."""
    for line in (directory / "output.list").read_text().splitlines():
        lfn, surl = line.split()
        async with grid.session.put(surl, data=(directory / lfn).read_bytes()) as answer:
            assert answer.status == 201


async def acquire(grid: Grid) -> dict[str, object]:
    answer = await grid.call("pilot/acquire_jobs", site_name="TEST_ARC")
    data = answer["data"]
    assert isinstance(data, dict)
    (job,) = data["jobs"]
    return job  # type: ignore[no-any-return]


async def test_a_job_from_panda_over_pilot_and_storage_to_finished(grid: Grid, tmp_path: Path) -> None:
    number = await order(grid, inputs=2, outputs=2, run_s=0)
    job = await acquire(grid)
    assert job["PandaID"] == number
    for status in ("starting", "running"):
        await grid.call("pilot/update_job", job_id=number, job_status=status, attempt_nr=1)
    await stage_in(grid, job, tmp_path)
    assert pilot_run.run_pilot(["-q", "TEST_ARC", "--storage", f"{grid.storage.url}/data"], tmp_path) == 0
    await stage_out(grid, tmp_path)
    heartbeat = json.loads((tmp_path / "heartbeat.json").read_text())
    for facts in json.loads(heartbeat["xml"]).values():
        async with grid.session.head(facts["surl"], headers={"Want-Digest": "adler32"}) as answer:
            assert answer.headers["Digest"] == f"adler32={facts['adler32']}"
            assert answer.headers["Content-Length"] == str(facts["fsize"])
    final = {"job_id": number, "job_status": "finished", "attempt_nr": 1, "job_output_report": heartbeat["xml"]}
    assert (await grid.call("pilot/update_job", **final))["data"] == {"StatusCode": 0, "command": "NULL"}
    page = await grid.get(f"{grid.panda.control_url}/books/jobs/{number}")
    assert (page["status"], page["final_reports"], page["acquisitions"]) == ("finished", 1, 1)
    summary = await grid.get(f"{grid.panda.control_url}/books/summary")
    assert (summary["by_status"], summary["finals_twice"]) == ({"finished": 1}, 0)


async def fault(simulator: Simulator, grid: Grid, **rule: object) -> None:
    async with grid.session.post(f"{simulator.control_url}/faults", json=rule) as answer:
        assert answer.status == 201


async def test_an_acquisition_whose_answer_is_lost_has_reserved_its_jobs(grid: Grid) -> None:
    number = await order(grid)
    await fault(grid.panda, grid, kind="accept_hangup", path="acquire_jobs", times=1)
    with pytest.raises(aiohttp.ClientError):
        await grid.call("pilot/acquire_jobs", site_name="TEST_ARC")
    assert (await grid.call("pilot/acquire_jobs", site_name="TEST_ARC"))["message"] == "No jobs in PanDA"
    answer = await grid.get(f"{grid.panda.url}/api/v1/pilot/get_job_status?job_ids={number}")
    assert answer["data"] == [{"job_id": number, "status": "sent", "attempt_number": 1}]


async def test_a_storage_that_lies_about_checksums(grid: Grid) -> None:
    url = f"{grid.storage.url}/data/f"
    async with grid.session.put(url, data=b"content") as answer:
        assert answer.status == 201
    await fault(grid.storage, grid, kind="wrong_checksum", method="HEAD", times=1)
    right = f"adler32={adler32(b'content')}"
    for expected in (False, True):
        async with grid.session.head(url, headers={"Want-Digest": "adler32"}) as answer:
            assert (answer.status, answer.headers["Content-Length"]) == (200, "7")
            assert (answer.headers["Digest"] == right) is expected


async def test_cric_over_tls(pki: TestPki) -> None:
    options = CricOptions((QueueDescription(name="TEST_ARC"),), server_context(pki.host, pki.ca_dir))
    async with await serve_cric(options) as cric, session(client_context(pki.ca_dir)) as http:
        assert list(await _json(http.get(f"{cric.url}/api/atlas/pandaqueue/query/?json"))) == ["TEST_ARC"]
