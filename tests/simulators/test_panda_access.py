"""Whom PanDA's simulator lets in, and to what."""

import json

import pytest

from tests.simulators.panda_house import JSON_HEADERS, NAME, House


@pytest.mark.parametrize(
    ("token", "origin", "production", "refused"),
    [
        ("good", "atlas:production", True, ""),
        ("good", "atlas.production", True, ""),
        ("good", "atlas", False, ""),
        ("pilots", "atlas:pilot", False, ""),
        ("pilots", "atlas:production", None, "Not a member of the atlas/production group"),
        ("good", "cms:production", None, "Unknown vo : cms"),
        ("good", None, None, "HTTP_ORIGIN"),
        ("bad", "atlas:production", None, "Signature verification failed"),
    ],
)
async def test_tokens(house: House, token: str, origin: str | None, production: bool | None, refused: str) -> None:
    house.name, number = None, house.job()
    headers = JSON_HEADERS | {"Authorization": f"Bearer {token}"} | ({"Origin": origin} if origin else {})
    answer = await house.raw("GET", "/api/v1/system/get_user_attributes", headers)
    if refused:
        assert answer.status == 403
        assert (await answer.text()).startswith("ERROR : Token authentication failed.")
        assert refused in await answer.text()
        return
    assert json.loads(await answer.read())["data"]["is_production_user"] is production
    report = json.dumps({"job_id": number, "job_status": "running"})
    answer = await house.raw("POST", "/api/v1/pilot/update_job", headers, data=report)
    message = json.loads(await answer.read())["message"]
    assert message == ("" if production else "production or pilot role required")


@pytest.mark.parametrize("name", [None, NAME + "/CN=limited proxy"])
async def test_without_a_good_certificate_only_the_open_methods_answer(house: House, name: str | None) -> None:
    house.name = name
    answer = await house.post("pilot/acquire_jobs", site_name="TEST_ARC")
    assert answer["message"] == "SSL secure connection is required"
    assert (await house.get("system/is_alive"))["success"] is True


async def test_a_banned_user_is_forbidden(house: House) -> None:
    house.name = "/CN=Banned/CN=77"
    assert (await house.raw("GET", "/api/v1/system/get_user_attributes")).status == 403


async def test_without_the_role_one_gets_ones_own_analysis_jobs_only(house: House) -> None:
    house.name = "/CN=Jane/CN=1/CN=2"
    mine, _ = house.job(kind="analysis", user="/CN=Jane"), house.job(kind="analysis")
    answer = await house.post("pilot/acquire_jobs", site_name="TEST_ARC", prod_source_label="managed")
    assert answer["message"] == "no production/pilot role in VOMS FQANs or non pilot owner"
    answer = await house.post("pilot/acquire_jobs", site_name="TEST_ARC", prod_source_label="user", n_jobs=10)
    data = answer["data"]
    assert isinstance(data, dict)
    assert [job["PandaID"] for job in data["jobs"]] == [mine]
    answer = await house.post("pilot/update_job", job_id=mine, job_status="running")
    assert answer["message"] == "production or pilot role required"
