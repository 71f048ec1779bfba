"""How strictly PanDA's simulator takes and answers a call."""

import ast
import gzip
import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from tests.simulators.panda_house import JSON_HEADERS, House

CAST = "Type error: 'job_ids' with value 'a' could not be casted to type list from str."


async def test_an_acquired_job_has_the_names_and_types_of_the_real_one(house: House) -> None:
    number = house.job(inputs=2, outputs=2, cores=8)
    answer = await house.post("pilot/acquire_jobs", site_name="TEST_ARC", n_jobs=5, prod_source_label="managed")
    assert (answer["success"], answer["message"]) == (True, "")
    data = answer["data"]
    assert isinstance(data, dict)
    assert data["StatusCode"] == 0
    (job,) = data["jobs"]
    assert (job["PandaID"], job["coreCount"], job["attemptNr"], job["StatusCode"]) == (number, 8, 1, 0)
    assert job["maxWalltime"] is None
    for names in (("inFiles", "scopeIn", "GUID", "fsize", "checksum"), ("realDatasets", "outFiles", "ddmEndPointOut")):
        assert len({len(job[name].split(",")) for name in names}) == 1
    assert job["outFiles"].endswith(job["logFile"])
    assert len(job["scopeOut"].split(",")) == 2


async def test_no_jobs_is_no_success(house: House) -> None:
    for queue in ("TEST_ARC", "NOWHERE"):
        answer = await house.post("pilot/acquire_jobs", site_name=queue)
        assert answer == {"success": False, "message": "No jobs in PanDA", "data": None}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"job_id": "2"}, "Type error: 'job_id' must be of type int, got str."),
        ({"cpu_consumption_time": 1.5}, "Type error: 'cpu_consumption_time' must be of type int, got float."),
        ({"node": 7}, "Type error: 'node' must be of type str, got int."),
        ({"max_rss": "1"}, "Type error: 'max_rss' must be of type int | float, got str."),
        ({"pilot_log": None}, "Type error: 'pilot_log' must be of type str, got NoneType."),
        ({"foo": 1}, "Argument error: got an unexpected keyword argument 'foo'"),
        ({"computing_element": "ce"}, "Argument error: got an unexpected keyword argument 'computing_element'"),
        ({"job_status": "cancelled"}, "Invalid job status: cancelled"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_wrong_update_is_refused_whole(house: House, arguments: dict[str, object], message: str) -> None:
    number = house.job()
    right = {"job_id": number, "job_status": "running", "attempt_nr": 1}
    answer = await house.post("pilot/update_job", **(right | arguments))
    assert (answer["success"], answer["message"]) == (False, message)
    assert house.books.jobs[number].status == "activated"


async def test_nulls_floats_where_allowed_and_unknown_times_are_taken(house: House) -> None:
    number = house.job()
    more = {"node": None, "core_count": None, "max_rss": 1.5, "cpu_conversion_factor": 1, "end_time": "never"}
    answer = await house.post("pilot/update_job", job_id=number, job_status="running", **more)
    assert answer == {"success": True, "message": "", "data": {"StatusCode": 0, "command": "NULL"}}


@pytest.mark.parametrize(
    ("verb", "path", "message"),
    [
        ("GET", "pilot/acquire_jobs?site_name=x", "expecting POST, received GET"),
        ("POST", "system/is_alive", "expecting GET, received POST"),
        ("GET", "pilot/get_job_status", "Argument error: missing a required argument: 'job_ids'"),
        ("GET", "pilot/get_job_status?job_ids=a", CAST),
        ("GET", "job/get_status?job_ids=1&x=2", "Argument error: got an unexpected keyword argument 'x'"),
    ],
)  # fmt: skip
async def test_verbs_and_queries(house: House, verb: str, path: str, message: str) -> None:
    answer = await house.raw(verb, f"/api/v1/{path}", data=b"{}" if verb == "POST" else None)
    assert (answer.status, json.loads(await answer.read())["message"]) == (200, message)


@pytest.mark.parametrize("path", ["/server/panda/getJob", "/api/v1/pilot/getJob", "/api/v2/system/is_alive", "/x"])
async def test_what_the_server_does_not_have_is_forbidden(house: House, path: str) -> None:
    answer = await house.raw("POST", path, data=b"")
    assert (answer.status, answer.headers["Content-Type"]) == (403, "text/plain")
    assert await answer.text() == f"ERROR : method {path.rpartition('/')[2]} is forbidden"


async def test_latest_means_v1(house: House) -> None:
    answer = await house.raw("GET", "/api/latest/system/is_alive")
    assert json.loads(await answer.read())["success"] is True


async def test_another_accept_gets_pythons_own_words(house: House) -> None:
    for accept in ("*/*", "application/json, text/plain"):
        answer = await house.raw("GET", "/api/v1/system/is_alive", {"Accept": accept})
        text = await answer.text()
        assert text.startswith("{'success': True")
        assert ast.literal_eval(text)["data"] is None


async def test_json_under_another_content_type_is_a_form_without_fields(house: House) -> None:
    headers = {"Accept": "application/json", "Content-Type": "application/json; charset=utf-8"}
    answer = await house.raw("POST", "/api/v1/pilot/acquire_jobs", headers, data=b'{"site_name": "x"}')
    assert json.loads(await answer.read())["message"] == "Argument error: missing a required argument: 'site_name'"
    form = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
    answer = await house.raw("POST", "/api/v1/pilot/acquire_jobs", form, data=b"site_name=x&n_jobs=2")
    assert json.loads(await answer.read())["message"] == "Type error: 'n_jobs' must be of type int, got str."


async def test_bad_bodies_are_server_errors(house: House) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b'{"site_name": "x"}'

    path = "/api/v1/pilot/acquire_jobs"
    for body in (b"{", pieces()):
        answer = await house.raw("POST", path, data=body)
        assert answer.status == 500
        assert (await answer.text()).startswith("ERROR : received invalid JSON")
    answer = await house.raw("POST", path, data=b"[]")
    assert answer.status == 500


async def test_a_compressed_body_is_understood(house: House) -> None:
    body = gzip.compress(json.dumps({"site_name": "x"}).encode())
    headers = JSON_HEADERS | {"Content-Encoding": "gzip"}
    answer = await house.raw("POST", "/api/v1/pilot/acquire_jobs", headers, data=body)
    assert json.loads(await answer.read())["message"] == "No jobs in PanDA"


async def test_bulk_updates_are_not_atomic_and_each_has_its_envelope(house: House) -> None:
    good, killed, late = house.job(), house.job(), house.job()
    await house.post("pilot/update_job", job_id=killed, job_status="running")
    assert (await house.post("job/kill", job_ids=[killed, 5]))["data"] == [True, False]

    def running(number: int, **more: object) -> dict[str, object]:
        return {"job_id": number, "job_status": "running", "attempt_nr": 1} | more

    reports = [
        running(good, meta_data={"a": 1}),
        running(good, bogus=1),
        running(killed),
        running(good, job_status="done"),
    ]
    answer = await house.post("pilot/update_jobs_bulk", harvester_id="aCT-1", job_list=reports)
    assert answer == {"success": True, "message": "", "data": [
        {"success": True, "message": "", "data": {"StatusCode": 0, "command": "NULL"}},
        {"success": False, "message": "Argument error: got an unexpected keyword argument 'bogus'", "data": None},
        {"success": True, "message": "", "data": {"StatusCode": 0, "command": "tobekilled"}},
        {"success": False, "message": "Invalid job status: done", "data": {"StatusCode": 50}},
    ]}  # fmt: skip
    assert [bool(update.refused) for update in house.books.jobs[good].updates] == [False, True, True]

    answer = await house.post("pilot/update_jobs_bulk", job_list=[running(late), {"job_id": good}])
    assert answer == {"success": False, "message": "failed with KeyError 'job_status'", "data": []}
    assert house.books.jobs[late].status == "running"
    answer = await house.post("pilot/update_jobs_bulk", job_list=[1])
    assert answer["message"] == "Type error: All elements in 'job_list' must be dict."


async def test_asking_about_jobs(house: House) -> None:
    active, archived = house.job(), house.job()
    await house.post("job/kill", job_ids=[archived])
    answer = await house.get("pilot/get_job_status", f"?job_ids={active}&job_ids={archived}&job_ids=77")
    assert answer["data"] == [
        {"job_id": active, "status": "activated", "attempt_number": 1},
        {"job_id": archived, "status": "cancelled", "attempt_number": 1},
        {"job_id": 77, "status": "not found", "attempt_number": 0},
    ]
    answer = await house.get("job/get_status", f"?job_ids={active}&job_ids={archived}")
    gone = {"status": "unknown", "command": "tobekilled"}
    assert answer["data"] == [{"status": "activated", "command": None}, gone]
    assert (await house.get("job/get_status", f"?job_ids={archived}"))["data"] == [gone]


async def test_statistics_count_active_jobs(house: House) -> None:
    empty = await house.get("statistics/active_job_detailed_stats_by_site")
    assert (empty["success"], str(empty["message"])[:16]) == (False, "Database failure")
    house.job(n=3)
    archived = house.job(cores=8)
    await house.post("pilot/acquire_jobs", site_name="TEST_ARC", resource_type="SCORE")
    await house.post("job/kill", job_ids=[archived])
    answer = await house.get("statistics/active_job_stats_by_site")
    assert answer["data"] == {"TEST_ARC": {"assigned": 0, "activated": 2, "running": 0, "sent": 1}}
    answer = await house.get("statistics/active_job_detailed_stats_by_site")
    assert answer["data"] == {"TEST_ARC": {"SCORE": {"managed": {"activated": 2, "sent": 1}}}}


async def test_harvester_calls(house: House) -> None:
    number = house.job()
    assert (await house.post("harvester/heartbeat", harvester_id="aCT-1", data={}))["success"] is False
    assert (await house.post("harvester/heartbeat", harvester_id="aCT-1"))["success"] is True
    assert (await house.get("harvester/get_current_worker_id", "?harvester_id=aCT-1"))["data"] == 0
    worker = {"workerID": 4, "status": "running", "computingElement": "arc01", "pandaid_list": [number], "unknown": 1}
    answer = await house.post("harvester/update_workers", harvester_id="aCT-1", workers=[worker])
    assert answer["data"] == [True]
    assert (await house.get("harvester/get_current_worker_id", "?harvester_id=aCT-1"))["data"] == 4
    await house.post("pilot/update_job", job_id=number, job_status="running")
    job = house.books.jobs[number]
    assert job.columns["computingElement"] == "arc01"
    ended = worker | {"status": "failed", "syncLevel": 1}
    await house.post("harvester/update_workers", harvester_id="aCT-1", workers=[ended])
    assert (job.status, job.columns["taskBufferErrorCode"]) == ("failed", 300)


async def test_an_unlinked_job_loses_its_computing_element_with_the_first_heartbeat(house: House) -> None:
    number = house.job()
    await house.post("pilot/acquire_jobs", site_name="TEST_ARC", computing_element="arc01")
    assert house.books.jobs[number].columns["computingElement"] == "arc01"
    await house.post("pilot/update_job", job_id=number, job_status="starting")
    assert house.books.jobs[number].columns["computingElement"] is None


async def test_a_lost_heartbeat_with_a_clock_put_forward(house: House) -> None:
    number = house.job()
    await house.post("pilot/update_job", job_id=number, job_status="running")
    house.clock.advance(timedelta(hours=2))
    answer = await house.get("pilot/get_job_status", f"?job_ids={number}")
    assert answer["data"] == [{"job_id": number, "status": "failed", "attempt_number": 1}]
    assert house.books.jobs[number].columns["jobDispatcherErrorCode"] == 100
