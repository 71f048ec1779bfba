"""Jobs on the simulated A-REX: they wait, run, fail, are killed, restarted and forgotten."""

import json
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from act_core.simulators.arc_payload import PayloadJob, PayloadResult
from act_core.simulators.arc_transfers import StagingOptions
from act_core.simulators.pki import TestPki, server_context
from act_core.simulators.serve import Simulator
from act_core.simulators.witness import count
from tests.simulators.arc_client import QUICK, Ce, Opener, adl, gives, many, takes, until


async def test_without_its_inputs_a_job_waits_and_then_fails(ce: Ce, tmp_path: Path) -> None:
    job = await ce.one("patient", takes(".act-commit"), rerun=1)
    await ce.reach(job, "PREPARING")
    assert "/.act-commit" in await ce.diagnose(job, "input")
    assert await ce.diagnose(job, "failed") == "404"
    await ce.control("POST", "/pace", {"stagein_timeout": 0.05})
    await ce.reach(job, "FAILED")
    assert await ce.diagnose(job, "failed") == "User file: /.act-commit - Timeout waiting\n"
    document = (await ce.act("info", job))[0]["info_document"]["ComputingActivity"]
    assert document["Error"] == "User file: /.act-commit - Timeout waiting"
    assert "arcrest:FAILED" in document["State"]
    assert "arcrest:PREPARING" in document["RestartState"]
    await ce.control("POST", "/pace", {"stagein_timeout": 600})
    assert (await ce.act("restart", job))[0]["reason"] == "Queued for restarting"
    await ce.put(job, ".act-commit", b"go")
    await ce.reach(job, "FINISHED")
    assert (await ce.act("restart", job))[0]["reason"] == "Job has not failed"


async def test_kill_and_clean_of_living_jobs(ce: Ce) -> None:
    await ce.control("POST", "/pace", {"run_s": [60, 60], "kill_s": 0.2})
    waiting, running = await ce.one("w", takes("x")), await ce.one("r")
    await ce.reach(waiting, "PREPARING")
    await ce.reach(running, "RUNNING")
    assert {entry["reason"] for entry in await ce.act("clean", running)} == {"Queued for cleaning"}
    assert await ce.state(running) == "RUNNING"
    answers = await ce.act("kill", waiting, running, "nosuchjob")
    assert [entry["status-code"] for entry in answers] == ["202", "202", "404"]
    assert await ce.state(waiting) == "KILLED"
    assert await ce.state(running) == "KILLING"
    assert await ce.listed("?state=KILLED,FAILED") == [{"id": waiting, "state": "FAILED"}]
    assert (await ce.act("kill", waiting))[0]["status-code"] == "202"
    assert await ce.diagnose(waiting, "failed") == "Job is canceled by external request\n"
    await ce.reach(running, "None")
    assert (await ce.control("GET", "/jobs/summary"))["running"] == 0


async def test_the_books_say_when_the_ce_was_through_with_a_job(ce: Ce) -> None:
    await ce.control("POST", "/pace", {"run_s": [60, 60]})
    living, over = await ce.one("living"), await ce.one("over")
    await ce.act("kill", over)
    await ce.reach(over, "KILLED")
    known = {entry["id"]: entry["ended"] for entry in (await ce.control("GET", "/jobs"))["jobs"]}
    assert known[living] is None
    assert datetime.fromisoformat(known[over]).tzinfo is not None
    await ce.act("clean", over)
    gone = {entry["id"]: entry["ended"] for entry in (await ce.control("GET", "/jobs"))["jobs"] if entry["removed"]}
    assert gone == {over: known[over]}


async def test_failures_and_restarts(ce: Ce, tmp_path: Path) -> None:
    bad, none_left = await ce.one("bad", "", "/bin/sh", "-c", "exit 3", rerun=1), await ce.one("b", "", "/bin/false")
    for job in (bad, none_left):
        await ce.reach(job, "FAILED")
    (entry,) = await ce.act("info", bad)
    document = entry["info_document"]["ComputingActivity"]
    assert document["ExitCode"] == "3"
    assert document["Error"] == "LRMS error: (3) Job finished with wrong exit code - 3 != 0"
    assert "EndTime" not in document
    assert (await ce.act("restart", bad))[0]["status-code"] == "202"
    await until(lambda: _executions(ce, bad), "2")
    await ce.reach(bad, "FAILED")
    assert [entry["reason"] for entry in await ce.act("restart", bad, none_left)] == ["No more restarts allowed"] * 2
    assert "exitcode=3\n" in await ce.diagnose(bad, "diag")


async def test_a_killed_job_waits_again_for_its_inputs_when_restarted(ce: Ce) -> None:
    await ce.control("POST", "/pace", {"run_s": [60, 60]})
    job = await ce.one("k", takes("in"), rerun=1)
    await ce.put(job, "in", b"1")
    await ce.reach(job, "RUNNING")
    await ce.act("kill", job)
    await ce.reach(job, "KILLED")
    await ce.control("POST", "/pace", {"run_s": [0, 0]})
    assert (await ce.act("restart", job))[0]["status-code"] == "202"
    await ce.reach(job, "PREPARING")
    await ce.put(job, "in", b"1")
    await ce.reach(job, "FINISHED")
    assert await _executions(ce, job) == "2"


async def _executions(ce: Ce, job_id: str) -> str:
    return str(next(job["executions"] for job in (await ce.control("GET", "/jobs"))["jobs"] if job["id"] == job_id))


async def test_the_state_is_late_where_the_provider_writes_it(opened: Opener) -> None:
    ce = await opened(pace=QUICK.model_copy(update={"info_period": 3600.0}))
    job = await ce.one("late")
    await until(lambda: ce.diagnose(job, "status"), "FINISHED")
    assert await ce.state(job) == "ACCEPTED"
    assert await ce.listed("?state=FINISHED") == [{"id": job, "state": "FINISHED"}]
    document = (await ce.act("info", job))[0]["info_document"]["ComputingActivity"]
    assert (document["Name"], document["State"]) == ("late", "arcrest:ACCEPTED")
    assert "ExitCode" not in document
    assert await ce.control("POST", "/provider") == {"written": 1}
    assert await ce.state(job) == "FINISHED"
    assert (await ce.act("info", job))[0]["info_document"]["ComputingActivity"]["ExitCode"] == "0"


async def test_a_fresh_job_has_no_name_yet_but_a_description(opened: Opener) -> None:
    ce = await opened(pace=QUICK.model_copy(update={"step_s": 3600.0}))
    job = await ce.one("shy")
    document = (await ce.act("info", job))[0]["info_document"]["ComputingActivity"]
    assert document["State"] == "arcrest:ACCEPTING"
    assert "Name" not in document
    assert await ce.diagnose(job, "description") == adl("shy")
    assert "jobname=shy\n" in await ce.diagnose(job, "local")


async def test_slots_limit_what_runs_and_the_witness_counts(opened: Opener, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    ce = await opened(witness=witness, pace=QUICK.model_copy(update={"slots": 0}))
    jobs = [entry["id"] for entry in await ce.submit(many(*(adl(f"job{number}") for number in range(5))))]
    for job in jobs:
        await ce.reach(job, "QUEUING")
    assert count(witness) == {}
    await ce.control("POST", "/pace", {"slots": 2})
    for job in jobs:
        await ce.reach(job, "FINISHED")
    assert count(witness) == {f"job{number}": 1 for number in range(5)}
    summary = await ce.control("GET", "/jobs/summary")
    assert (summary["executions"], summary["executed_twice"], summary["by_state"]) == (5, 0, {"FINISHED": 5})


async def test_amnesia(opened: Opener) -> None:
    ce = await opened()
    jobs = [await ce.one(name) for name in ("keep", "lose", "lose2")]
    assert await ce.control("POST", "/amnesia", {"name": "^lose"}) == {"forgotten": 2}
    assert [entry["status-code"] for entry in await ce.act("status", *jobs)] == ["200", "404", "404"]
    assert await ce.control("POST", "/amnesia", {}) == {"forgotten": 1}
    assert await ce.listed() == []
    assert "error" in await ce.control("POST", "/amnesia", {"name": "("})
    assert "error" in await ce.control("POST", "/pace", {"slots": -1})


async def test_jobs_whose_states_are_moved(opened: Opener) -> None:
    ce = await opened()
    jobs = [await ce.one(name) for name in ("stays", "moves")]
    assert await ce.control("POST", "/moving", {"ids": [jobs[1]]}) == {"moving": 1}
    assert [entry["id"] for entry in await ce.listed()] == [jobs[0]]
    assert await ce.listed("?state=WIPED") == [{"id": jobs[1], "state": "WIPED"}]
    assert [entry["status-code"] for entry in await ce.act("status", *jobs)] == ["200", "200"]
    assert await ce.control("POST", "/moving", {"ids": []}) == {"moving": 0}
    assert {entry["id"] for entry in await ce.listed()} == set(jobs)
    assert "error" in await ce.control("POST", "/moving", {"job": jobs[0]})


async def test_a_memory_that_comes_back(opened: Opener) -> None:
    ce = await opened()
    jobs = [await ce.one(name) for name in ("keep", "lose")]
    assert await ce.control("POST", "/amnesia", {"name": "^lose", "for_now": True}) == {"forgotten": 1}
    assert [entry["status-code"] for entry in await ce.act("status", *jobs)] == ["200", "404"]
    assert [entry["id"] for entry in await ce.listed()] == [jobs[0]]
    assert await ce.control("POST", "/memory", {}) == {"remembered": 1}
    assert [entry["status-code"] for entry in await ce.act("status", *jobs)] == ["200", "200"]


async def test_an_identity_that_is_another_account(opened: Opener) -> None:
    ce = await opened()
    job = await ce.one("before")
    owner = next(entry["owner"] for entry in (await ce.control("GET", "/jobs"))["jobs"])
    await ce.control("POST", "/mapping", {"owner": owner, "account": "somebody"})
    assert await ce.listed() == []
    after = await ce.one("after")
    assert [entry["id"] for entry in await ce.listed()] == [after]
    await ce.control("POST", "/mapping", {"owner": owner})
    assert [entry["id"] for entry in await ce.listed()] == [job]
    assert "error" in await ce.control("POST", "/mapping", {})


class Storage:
    """A shelf that wants a client certificate."""

    def __init__(self, pki: TestPki) -> None:
        self.files: dict[str, bytes] = {"/in": b"from far"}
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        self.server = Simulator(app, tls=server_context(pki.host, pki.ca_dir))

    async def answer(self, request: web.Request) -> web.Response:
        if request.method == "PUT":
            self.files[request.path] = await request.read()
            return web.Response(status=201)
        content = self.files.get(request.path)
        return web.Response(status=404) if content is None else web.Response(body=content)


async def test_staging_by_the_ce(opened: Opener, pki: TestPki) -> None:
    shelf = Storage(pki)
    async with shelf.server as storage:
        ce = await opened(staging=StagingOptions(really=True, rucio=storage.url))
        host = urlsplit(storage.url).netloc
        sources = takes("a", f"https://{host};cache=check/in") + takes("b", "file:///cvmfs/x")
        targets = gives("res", f"https://{host}/res") + gives("out.txt") + gives("a")
        good = await ce.one("good", sources + targets)
        lost = await ce.one("lost", takes("a", "rucio://rucio.example;x=y/replicas/mc/f"))
        unsent = await ce.one("unsent", gives("res", "https://127.0.0.1:1/res"))
        await ce.reach(good, "FINISHED")
        assert shelf.files["/res"] == b"res of good\n"
        names = json.loads((await ce.call("GET", f"/jobs/{good}/session"))[2])["file"]
        assert sorted(names) == ["a", "out.txt"]
        await ce.reach(lost, "FAILED")
        assert "404" in await ce.diagnose(lost, "failed")
        await ce.reach(unsent, "FAILED")
        assert (await ce.diagnose(unsent, "failed")).startswith("Data upload failed: res")


async def test_a_job_of_panda_runs_the_pilot(opened: Opener, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    ce = await opened(witness=witness)
    job = await ce.one("act-x", takes("pandaJobData.out") + gives("heartbeat.json") + gives("@output.list"))
    fields = "PandaID=4711&outFiles=a,log&logFile=log&scopeOut=s&scopeLog=s&coreCount=1&attemptNr=0"
    await ce.put(job, "pandaJobData.out", fields.encode())
    await ce.reach(job, "FINISHED")
    assert count(witness) == {"4711": 1}
    heartbeat = json.loads((await ce.call("GET", f"/jobs/{job}/session/heartbeat.json"))[2])
    assert (heartbeat["jobId"], heartbeat["state"]) == ("4711", "finished")


async def test_bad_luck(opened: Opener) -> None:
    ce = await opened(pace=QUICK.model_copy(update={"fail_stagein": 1.0}))
    job = await ce.one()
    await ce.reach(job, "FAILED")
    assert await ce.diagnose(job, "failed") == "Data download failed\n"
    await ce.control("POST", "/pace", {"fail_stagein": 0, "fail_run": 1})
    await ce.reach(await ce.one(), "FAILED")


async def test_a_payload_that_breaks_fails_its_job(opened: Opener, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(_: PayloadJob) -> PayloadResult:
        raise RuntimeError("no such thing")

    ce = await opened(payload=broken)
    job = await ce.one()
    await ce.reach(job, "FAILED")
    assert await ce.diagnose(job, "failed") == "RuntimeError: no such thing\n"
    assert "no such thing" in caplog.text
    assert (await ce.control("GET", "/jobs/summary"))["running"] == 0
