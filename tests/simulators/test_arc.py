"""The simulated A-REX over real TLS: what a client of either generation sees."""

import asyncio
import json
from urllib.parse import urlsplit

import aiohttp
import pytest

from act_core.simulators.pki import TestPki, client_context
from tests.simulators.arc_client import BOB, Ce, Opener, adl, gives, jobs_in, many, takes, until


async def test_the_versions_and_what_is_not_there(ce: Ce) -> None:
    old = ce.version == "1.0"
    assert json.loads((await ce.call("GET", "/arex/rest"))[2]) == {"version": "1.0" if old else ["1.0", "1.1"]}
    expected = {
        ("GET", "/arex/rest/2.0/jobs"): (404, "Version Not Supported"),
        ("GET", "/nothing"): (404, "Functionality Not Supported"),
        ("GET", "/jobs/x"): (404, "Missing job sub-resource"),
        ("GET", "/jobs/x/files"): (404, "Wrong job sub-resource requested"),
        ("GET", "/jobs/x/session"): (404, "OK"),
        ("POST", "/jobs?action=dance"): (501, "Action not implemented"),
        ("DELETE", "/delegations/x"): (501, "Not Implemented"),
        ("PUT", "/jobs"): (501, "Not Implemented"),
    }
    for (method, path), answer in expected.items():
        status, reason, body, _ = await ce.call(method, path)
        assert ((status, reason), body) == (answer, b""), path
    assert (await ce.call("GET", "/arex/rest/1.1/jobs"))[0] == (404 if old else 200)


async def test_who_is_not_known_gets_403(ce: Ce, pki: TestPki, opened: Opener) -> None:
    async with aiohttp.ClientSession() as stranger:
        for headers in ({}, {"Authorization": "Bearer abc"}):
            url = f"{ce.simulator.url}/arex/rest"
            async with stranger.get(url, ssl=client_context(pki.ca_dir), headers=headers) as answer:
                assert (answer.status, answer.reason) == (403, "User can't be assigned configuration")
                assert bool(await answer.read()) == (ce.version == "1.1")
    narrow = await opened(mapped=frozenset({BOB}))
    assert (await narrow.call("GET", "/jobs"))[0] == 403


async def test_a_job_from_submission_to_cleaning(ce: Ce) -> None:
    staging = takes("in.txt") + gives("out.txt") + gives("d/")
    (entry,) = await ce.submit(adl("walk", staging, "/bin/echo", "hi"))
    assert (entry["status-code"], entry["reason"], entry["state"]) == ("201", "Created", "ACCEPTING")
    job = entry["id"]
    assert len(job) == (54 if ce.version == "1.0" else 12)
    await ce.reach(job, "PREPARING")
    assert await ce.put(job, "in.txt", b"input") == 200
    await ce.reach(job, "FINISHED")
    assert (await ce.call("GET", f"/jobs/{job}/session/out.txt"))[2] == b"hi\n"
    listing = json.loads((await ce.call("GET", f"/jobs/{job}/session"))[2])
    single = ce.version == "1.0"
    assert listing == {"file": "out.txt" if single else ["out.txt"], "dir": "d" if single else ["d"]}
    assert await ce.listed("?state=FINISHED,FAILED") == [{"id": job, "state": "FINISHED"}]
    assert (await ce.act("clean", job))[0]["reason"] == "Queued for cleaning"
    for action in ("status", "info", "kill", "clean", "restart", "delegations"):
        (entry,) = await ce.act(action, job)
        assert (entry["status-code"], entry["reason"], entry["id"]) == ("404", "Job not found", job)
    assert await ce.listed() == []


async def test_lists_of_one_and_of_none(ce: Ce) -> None:
    old = ce.version == "1.0"
    assert (await ce.call("GET", "/jobs"))[2] == (b"" if old else b'{"job":[]}')
    body = (await ce.call("POST", "/jobs?action=new", adl()))[2]
    assert isinstance(json.loads(body)["job"], dict if old else list)
    xml = (await ce.call("GET", "/jobs", headers={"Accept": "text/xml;q=0.1, application/json"}))[2]
    assert b"<jobs><job><id>" in xml
    assert (await ce.call("GET", "/jobs", headers={"Accept": "*/*"}))[3]["Content-Type"] == "text/html"


async def test_a_batch_is_answered_one_by_one_in_order(ce: Ce) -> None:
    entries = await ce.submit(many(adl("a"), "<Foo/>", adl("b", takes("../up"))))
    assert [entry["status-code"] for entry in entries] == ["201", "500", "500"]
    assert entries[1] == {"status-code": "500", "reason": "emies:adl parsing error"}
    for body, reason in (
        (b"", "Missing payload"),
        (b"what", "Payload is not recognized"),
        (b" \n", "Payload is empty"),
    ):
        assert (await ce.call("POST", "/jobs?action=new", body))[:2] == (500, reason)
    evil = f'<!DOCTYPE x [<!ENTITY e "boom">]>{adl("&e;")}'
    assert (await ce.submit(evil))[0]["status-code"] == "500"
    assert len(await ce.listed()) == 1


async def test_id_lists_need_the_exact_content_type(ce: Ce) -> None:
    job = await ce.one()
    body = json.dumps({"job": {"id": job}})
    for kind, answers in (("application/json", 1), ("application/json; charset=utf-8", 0), ("text/plain", 0)):
        _, _, content, _ = await ce.call("POST", "/jobs?action=status", body, {"Content-Type": kind})
        assert len(jobs_in(content)) == answers, kind
    xml = f"<jobs><job><id>{job}</id></job></jobs>"
    _, _, content, _ = await ce.call("POST", "/jobs?action=status", xml, {"Content-Type": "application/xml"})
    assert [entry["id"] for entry in jobs_in(content)] == [job]
    status, _, content, _ = await ce.call("POST", "/jobs?action=kill", "{", {"Content-Type": "application/json"})
    assert (status, jobs_in(content)) == (201, [])


async def test_a_list_is_cut_at_one_mebibyte(ce: Ce) -> None:
    answers = await ce.act("status", *(f"{number:054d}" for number in range(20_000)))
    assert len(answers) == 15_887
    assert answers[-1]["id"] == f"{15_886:054d}"


async def test_an_input_may_come_in_parts(ce: Ce) -> None:
    job = await ce.one("parts", takes("sub/in") + gives("/"))
    await ce.put(job, "sub/in", b"world!", **{"Content-Range": "bytes 6-11/12"})
    await ce.reach(job, "PREPARING")
    await ce.put(job, "sub/in", b"hello ", **{"Content-Range": "bytes 0-5/12"})
    await ce.reach(job, "FINISHED")
    assert (await ce.call("GET", f"/jobs/{job}/session/sub/in"))[2] == b"hello world!"
    status, _, content, headers = await ce.call("GET", f"/jobs/{job}/session/sub/in", headers={"Range": "bytes=0-4"})
    assert (status, content, headers["Content-Range"]) == (206, b"hello", "bytes 0-4/12")
    assert (await ce.call("HEAD", f"/jobs/{job}/session/sub/in"))[3]["Content-Length"] == "12"
    assert b"<d:getcontentlength>12<" in (await ce.call("PROPFIND", f"/jobs/{job}/session/sub"))[2]
    assert (await ce.call("GET", f"/jobs/{job}/session/none"))[:2] == (404, "Not found")
    assert (await ce.call("GET", f"/jobs/{job}/session/%2e%2e/x"))[0] == 404
    assert (await ce.call("DELETE", f"/jobs/{job}/session/sub"))[0] == 202
    assert (await ce.call("DELETE", f"/jobs/{job}/session/sub"))[:2] == (500, "Failed to delete")


async def test_others_jobs_do_not_exist(opened: Opener) -> None:
    ce = await opened()
    (foreign,) = (await ce.control("POST", "/submit", {"owner": BOB, "name": "theirs"}))["ids"]
    assert await ce.listed() == []
    assert (await ce.act("kill", foreign))[0]["status-code"] == "404"
    assert (await ce.call("GET", f"/jobs/{foreign}/diagnose/status"))[:2] == (404, "OK")
    bob = await opened.connect(ce.simulator, user="bob")
    assert [entry["id"] for entry in await bob.listed()] == [foreign]


async def test_information_of_the_ce(ce: Ce) -> None:
    service = json.loads((await ce.call("GET", "/info"))[2])["Domains"]["AdminDomain"]["Services"]["ComputingService"]
    assert service["ComputingShare"]["Name"] == "fork"
    assert service["ComputingManager"]["TotalSlots"] == "100"
    endpoints = service["ComputingEndpoint"]
    assert isinstance(endpoints, list if ce.version == "1.0" else dict)
    assert (await ce.call("GET", "/info?schema=nordugrid"))[:2] == (501, "Schema not implemented")


async def send_raw(ce: Ce, pki: TestPki, body: str, missing: int) -> None:
    """A submission whose client goes away: `missing` bytes of the body are not sent, no answer is read."""
    host, port = urlsplit(ce.simulator.url).netloc.split(":")
    tls = client_context(pki.ca_dir, pki.proxy("alice"))
    _, writer = await asyncio.open_connection(host, int(port), ssl=tls)
    head = f"POST /arex/rest/1.0/jobs?action=new HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write((head + body[: len(body) - missing]).encode())
    await writer.drain()
    writer.close()
    await writer.wait_closed()


async def test_what_a_vanished_client_leaves(ce: Ce, pki: TestPki) -> None:
    async def names() -> str:
        return " ".join(sorted(job["name"] for job in (await ce.control("GET", "/jobs"))["jobs"]))

    await send_raw(ce, pki, many(adl("a"), adl("b")), 0)
    await until(names, "a b")
    await send_raw(ce, pki, adl("cut"), 10)
    await send_raw(ce, pki, '&(executable="/bin/true")(jobname="xrsl")     (rerun="2")', 12)
    await until(names, "a b xrsl")


async def test_a_hung_up_submission_has_made_its_jobs(ce: Ce) -> None:
    await ce.control("POST", "/faults", {"kind": "accept_hangup", "action": "new", "times": 1})
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await ce.submit(many(adl("a"), adl("b")))
    assert len(await ce.listed()) == 2


async def test_settings_of_one_request(opened: Opener) -> None:
    ce = await opened(queues=("fork", "grid"), max_jobs=4)
    three = await ce.submit(adl("a"), "&instances=3&queue=grid&delegation_id=mine")
    assert len({entry["id"] for entry in three}) == 3
    assert (await ce.act("delegations", three[0]["id"]))[0]["delegation_id"] == "mine"
    (refused,) = await ce.submit(adl("a"), "&queue=nonexist")
    assert refused["reason"] == "Requested queue nonexist is not allowed for this user"
    await ce.one("last")
    assert (await ce.call("POST", "/jobs?action=new", adl()))[:2] == (500, "No more jobs allowed")
