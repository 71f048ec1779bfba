"""How strictly PanDA's simulator takes and answers a call of the legacy API."""

import gzip
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest
from aiohttp.test_utils import TestClient, TestServer

from act_core.simulators.panda_http import Door
from act_core.simulators.panda_methods import Desk
from act_core.simulators.panda_roles import Roles
from act_core.simulators.panda_workers import Workers
from tests.simulators.panda_house import NAME, TOKENS, House

PILOT, MEMBER, STRANGER = "/DC=test/CN=Pilot", "/DC=test/CN=Member", "/DC=test/CN=Stranger"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """A server of both generations."""
    house = House()
    fqans = {NAME: ("/atlas/Role=production",), PILOT: ("/atlas/Role=pilot",), MEMBER: ("/atlas/no",)}
    desk = Desk(house.books, Workers(house.books), api="both")
    door = Door(desk, Roles(fqans, TOKENS), house.clock, lambda _: house.name)
    app = door.app()
    async with TestClient(TestServer(app)) as house.client:
        house.desk = desk
        yield house


async def call(house: House, method: str, *, as_json: bool = False, status: int = 200, **form: object) -> str:
    """The body of a legacy call's answer."""
    headers = {"Content-Type": FORM} | ({"Accept": "text/html, application/json;q=1"} if as_json else {})
    answer = await house.raw("POST", f"/server/panda/{method}", headers, data=urlencode(form))
    assert answer.status == status
    return await answer.text()


async def bulk(house: House, *reports: Mapping[str, object]) -> list[object]:
    return json.loads(await call(house, "updateJobsInBulk", jobList=json.dumps(reports), harvester_id="act"))  # type: ignore[no-any-return]


def running(number: int, **more: object) -> dict[str, Any]:
    return {"jobId": str(number), "state": "running", "attemptNr": "1"} | more


async def test_it_is_alive(house: House) -> None:
    assert await call(house, "isAlive") == "alive=yes"


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"jobId": 1, "state": "running", "zzz": 1}, "updateJob() got an unexpected keyword argument 'zzz'"),
        ({"jobId": 1}, "updateJob() missing 1 required positional argument: 'state'"),
        ({}, "updateJob() missing 2 required positional arguments: 'jobId' and 'state'"),
        ({"jobId": 1, "state": "x", "errorCode": 1}, "updateJob() got an unexpected keyword argument 'errorCode'"),
        ({"jobId": "x", "state": "running"}, "invalid literal for int() with base 10: 'x'"),
        ({"jobId": 1, "state": "running", "totRCHAR": "1.5"}, "invalid literal for int() with base 10: '1.5'"),
    ],
    ids=["unknown", "one missing", "two missing", "as the original sent it", "no number", "no whole number"],
)  # fmt: skip
async def test_what_python_cannot_bind_is_a_server_error(house: House, form: dict[str, Any], words: str) -> None:
    assert await call(house, "updateJob", status=500, **form) == words


async def test_one_job_comes_flat_and_many_as_json_in_text(house: House) -> None:
    first, second, third = house.job(), house.job(), house.job()
    flat = parse_qs(await call(house, "getJob", siteName="TEST_ARC"))
    assert (flat["StatusCode"], flat["maxWalltime"]) == (["0"], ["None"])
    (jobs,) = parse_qs(await call(house, "getJob", siteName="TEST_ARC", nJobs=1))["jobs"]
    (listed,) = json.loads(jobs)
    answer = json.loads(await call(house, "getJob", as_json=True, siteName="TEST_ARC", nJobs=5))
    (typed,) = answer["jobs"]
    assert answer["StatusCode"] == 0
    assert {int(flat["PandaID"][0]), listed["PandaID"], typed["PandaID"]} == {first, second, third}
    assert await call(house, "getJob", siteName="TEST_ARC", nJobs=5) == "StatusCode=20"
    empty = json.loads(await call(house, "getJob", as_json=True, siteName="TEST_ARC"))
    assert empty == {"StatusCode": 20, "errorDialog": "no jobs in PanDA"}


@pytest.mark.parametrize(
    ("who", "code"), [(NAME, "20"), (PILOT, "20"), (MEMBER, "20"), (STRANGER, "60"), (None, "60")], ids=str
)
async def test_a_pilot_role_or_any_of_the_experiment_is_enough(house: House, who: str | None, code: str) -> None:
    house.name = who
    assert await call(house, "getJob", siteName="TEST_ARC") == f"StatusCode={code}"
    said = await call(house, "updateJob", jobId="NULL", state="running")
    assert said == ("StatusCode=60" if code == "60" else "StatusCode=0")
    refused = json.loads(await call(house, "updateJob", as_json=True, jobId="7", state="running"))
    assert refused["StatusCode"] == (60 if code == "60" else 0)
    assert ("errorDialog" in refused) == (code == "60")


async def test_without_a_role_one_gets_ones_own_jobs(house: House) -> None:
    house.name = STRANGER
    house.job(kind="analysis")
    own = house.job(kind="analysis", user=STRANGER)
    flat = parse_qs(await call(house, "getJob", siteName="TEST_ARC", prodSourceLabel="user"))
    assert flat["PandaID"] == [str(own)]
    assert await call(house, "getJob", siteName="TEST_ARC", prodSourceLabel="user") == "StatusCode=20"


async def test_an_invalid_state_is_silently_no_error(house: House) -> None:
    number = house.job()
    assert await call(house, "updateJob", jobId=number, state="cancelled") == "StatusCode=0"
    assert house.books.jobs[number].status == "activated"
    assert house.books.jobs[number].updates[0].refused


async def test_metadata_of_an_unknown_job_is_no_error_either(house: House) -> None:
    assert await call(house, "updateJob", jobId=77, state="finished", metaData="{}") == "StatusCode=0"
    assert await call(house, "updateJob", jobId=77, state="failed", metaData="{}") == "StatusCode=0&command=tobekilled"


async def test_what_a_column_does_not_take_fails_in_the_database(house: House) -> None:
    number = house.job()
    assert await call(house, "updateJob", jobId=number, state="running", cpuConsumptionTime="long") == "StatusCode=30"
    assert (
        await call(house, "updateJob", jobId=number, state="running", transExitCode="x") == "StatusCode=0&command=NULL"
    )
    assert "transExitCode" not in house.books.jobs[number].columns


async def test_a_report_in_text_fills_the_columns(house: House) -> None:
    number = house.job()
    texts = {
        "coreCount": "8", "nEvents": "1000", "maxRSS": "123", "avgRSS": "12.7", "totRCHAR": "2048", "rateRCHAR": "2.5",
        "cpuConversionFactor": "1.5", "node": "n" * 200, "startTime": "2026-11-21 00:00:00", "endTime": "1795000000.0",
        "computingElement": "ce", "cpuConsumptionTime": "7",
    }  # fmt: skip
    assert await call(house, "updateJob", **running(number, **texts)) == "StatusCode=0&command=NULL"
    columns = house.books.jobs[number].columns
    wanted = {
        "actualCoreCount": 8, "nEvents": 1000, "maxRSS": 123, "avgRSS": 12, "totRCHAR": 2, "rateRCHAR": 2,
        "cpuConversion": 1.5, "modificationHost": "n" * 128, "startTime": "2026-11-21 00:00:00",
        "cpuConsumptionTime": 7, "computingElement": None,
    }  # fmt: skip
    assert columns == wanted


async def test_a_bulk_call_ends_at_the_first_report_that_cannot_be_bound(house: House) -> None:
    good, late = house.job(), house.job()
    answer = await bulk(house, running(good), running(good, state="done"), running(good, attemptNr="9"))
    assert answer == [True, ["StatusCode=0&command=NULL", "StatusCode=0", "StatusCode=0&command=tobekilled"]]
    for broken, words in (
        ({"zzz": "1"}, "TypeError updateJob() got an unexpected keyword argument 'zzz'"),
        ({"node": 7}, "TypeError 'int' object is not subscriptable"),
        ({"totRCHAR": "nan"}, "ValueError invalid literal for int() with base 10: 'nan'"),
    ):
        before = len(house.books.jobs[good].updates)
        answer = await bulk(house, running(good), running(late, **broken), running(late))
        assert answer == [False, f"updateJobsInBulk act failed with {words}"]
        assert len(house.books.jobs[good].updates) == before + 1
    assert house.books.jobs[late].status == "activated"
    assert await bulk(house, {"jobId": good}) == [False, "updateJobsInBulk act failed with KeyError 'state'"]
    assert (await bulk(house, 7))[0] is False  # type: ignore[arg-type]
    said = await call(house, "updateJobsInBulk", jobList="{")
    assert said.startswith('[false, "updateJobsInBulk None failed with JSONDecodeError')


async def test_an_older_server_lacks_parameters(house: House) -> None:
    assert house.desk is not None
    house.desk.lacks = frozenset({"grid"})
    (no, words) = await bulk(house, running(house.job(), grid="g"))
    assert (no, words) == (
        False,
        "updateJobsInBulk act failed with TypeError updateJob() got an unexpected keyword argument 'grid'",
    )


async def test_elements_are_objects_where_json_is_accepted(house: House) -> None:
    said = await call(house, "updateJobsInBulk", as_json=True, jobList=json.dumps([running(house.job())]))
    assert json.loads(said) == [True, [{"type": "json", "content": '{"StatusCode": 0, "command": "NULL"}'}]]


async def test_asking_about_jobs(house: House) -> None:
    active, archived = house.job(), house.job(attempt=3)
    house.books.kill([archived], None, house.clock.now())
    said = await call(house, "getStatus", as_json=True, ids=f"{active} {archived} 77 x")
    assert said == "StatusCode=0&status=activated%2Bcancelled%2Bnotfound%2Bnotfound&attemptNr=1%2B3%2B0%2B0"
    said = await call(house, "checkJobStatus", ids=f"{active},{archived}")
    gone = {"command": "tobekilled", "status": "unknown"}
    assert json.loads(said) == {"StatusCode": 0, "data": [{"command": None, "status": "activated"}, gone]}


async def test_statistics_are_json_with_zeros(house: House) -> None:
    assert await call(house, "get_job_statistics_per_site_label_resource") == "{}"
    house.job(n=3)
    said = json.loads(await call(house, "get_job_statistics_per_site_label_resource", time_window=1))
    zeros = {"assigned": 0, "running": 0, "finished": 0, "failed": 0}
    assert said == {"TEST_ARC": {"managed": {"SCORE": {"activated": 3} | zeros}}}


async def test_workers(house: House) -> None:
    worker = {"workerID": 4, "status": "running", "computingElement": "arc01", "pandaid_list": [house.job()]}
    assert (
        await call(house, "updateWorkers", harvesterID="a", workers=json.dumps([worker, {}])) == "[true, [true, false]]"
    )
    assert await call(house, "updateWorkers", harvesterID="a", workers="{") == '[false, "failed to load JSON"]'
    house.name = None
    said = json.loads(await call(house, "updateWorkers", harvesterID="a", workers="[]"))
    assert said == [False, "SSL secure connection is required"]


async def test_json_bodies_are_compressed(house: House) -> None:
    headers = {"Content-Type": "application/json"}
    body = gzip.compress(json.dumps({"siteName": "TEST_ARC", "background": True}).encode())
    answer = await house.raw("POST", "/server/panda/getJob", headers, data=body)
    assert await answer.text() == "StatusCode=20"
    answer = await house.raw("POST", "/server/panda/getJob", headers, data=b'{"siteName": "TEST_ARC"}')
    assert answer.status == 500


async def test_of_two_values_the_first_one_counts(house: House) -> None:
    number = house.job()
    answer = await house.raw("POST", "/server/panda/getStatus", {"Content-Type": FORM}, data=f"ids={number}&ids=7")
    assert "activated" in await answer.text()


async def test_a_token_shows_the_role_that_it_stands_for(house: House) -> None:
    headers = {"Content-Type": FORM, "Authorization": "Bearer pilots", "Origin": "atlas:pilot"}
    answer = await house.raw("POST", "/server/panda/getVomsAttr", headers, data=b"")
    assert (await answer.text()).endswith(" /atlas/Role=pilot\n")
    answer = await house.raw("POST", "/server/panda/getVomsAttr", headers | {"Authorization": "Bearer bad"}, data=b"")
    assert answer.status == 403


@pytest.mark.parametrize(
    ("api", "new", "old"), [("v1", 200, 403), ("both", 200, 200), ("legacy", 403, 200)], ids=["v1", "both", "legacy"]
)
async def test_what_is_served_can_be_switched(house: House, api: str, new: int, old: int) -> None:
    assert house.desk is not None
    house.desk.api = api  # type: ignore[assignment]
    answer = await house.raw("GET", "/api/v1/system/is_alive", {"Accept": "application/json"})
    assert answer.status == new
    assert await call(house, "isAlive", status=old) == (
        "alive=yes" if old == 200 else "ERROR : method isAlive is forbidden"
    )
    assert await call(house, "getFullJobStatus", status=403) == "ERROR : method getFullJobStatus is forbidden"
