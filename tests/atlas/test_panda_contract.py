"""What the tower may rely on, whichever dialect PanDA speaks: one suite on real servers of each generation."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest

from act_core.atlas import panda_connection
from act_core.atlas.final import Ended, final_update
from act_core.atlas.panda_access import TokenAccess
from act_core.atlas.pilot_word import parse_heartbeat
from act_core.atlas.reports import ActiveJobs, Outcome, Update
from act_core.atlas.wire import MalformedJob, PandaJob, encode_for_pilot
from act_core.errors import ActError, CredentialError
from act_core.simulators import pilot
from act_core.simulators.panda_methods import Generation
from act_core.simulators.pki import TestPki
from tests.atlas.panda_contract import QUEUE, ROBOT, SERVERS, House, open_contract, update

PLAIN = "legacy, url-encoded"
ALL = {**SERVERS, PLAIN: SERVERS["legacy"]}


@pytest.fixture(params=ALL)
async def house(
    request: pytest.FixtureRequest, grid_pki: TestPki, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[House]:
    if request.param == PLAIN:  # of servers that know no JSON there are none left to ask, but by not accepting it
        monkeypatch.setattr(panda_connection, "JSON", "text/plain")
    async with open_contract(grid_pki, *ALL[request.param]) as house:
        yield house


def test_every_generation_is_tried() -> None:
    assert {served for served, _, _ in SERVERS.values()} == set(get_args(Generation))


async def test_a_job_goes_the_whole_way(house: House) -> None:
    (number,) = house.make(inputs=2, cores=8)
    client = house.client()
    assert await client.is_alive()
    (job,) = await client.acquire_jobs(QUEUE, 5, "managed", "MCORE")
    assert isinstance(job, PandaJob)
    assert (job.panda_id, job.attempt_nr, job.cores, len(job.inputs)) == (number, 1, 8, 2)
    assert await client.acquire_jobs(QUEUE, 5, "managed") == []
    assert await client.acquire_jobs("NOWHERE", 1) == []
    for status in ("starting", "running", "transferring", "failed"):
        answers = await client.update_jobs_bulk([update(number, status)])
        assert (answers[number].outcome, answers[number].command) == (Outcome.ACCEPTED, "")
    again = (await client.update_jobs_bulk([update(number, "failed")]))[number]
    assert (again.settled, again.already_done) == (True, True)
    assert house.book(number).columns["schedulerID"] == "act-t"


async def test_what_was_asked_for_is_what_one_gets(house: House) -> None:
    house.make(n=3)
    (user,) = house.make(kind="analysis")
    (large,) = house.make(cores=8)
    client = house.client()

    async def got(*asked: str | None) -> set[int | None]:
        return {job.panda_id for job in await client.acquire_jobs(QUEUE, 2, *asked)}

    assert await got("user") == {user}
    assert await got("managed", "MCORE") == {large}
    assert len(await got()) == 2


async def test_the_job_for_the_pilot_is_the_same_text(house: House) -> None:
    house.make(inputs=2, extra={"jobPars": "--a=b&c d %41 é"})
    (job,) = await house.client().acquire_jobs(QUEUE, 1)
    assert isinstance(job, PandaJob)
    described = house.server.books.describe(house.book(job.panda_id))
    assert pilot.parse_job(encode_for_pilot(job.raw)) == pilot.parse_job(encode_for_pilot(described))


async def test_the_pilots_report_closes_the_job_as_finished(house: House) -> None:
    (number,) = house.make(inputs=1, outputs=3)
    client = house.client()
    (job,) = await client.acquire_jobs(QUEUE, 1)
    assert isinstance(job, PandaJob)
    told = pilot.PilotArguments(queue=QUEUE, storage="https://se.example/store")
    left = pilot.produce(pilot.parse_job(encode_for_pilot(job.raw)), told, pilot.Ran(1.0, 2.0)).files
    heartbeat = parse_heartbeat(left["heartbeat.json"].decode(), number)
    ended = Ended(number, job.attempt_nr, QUEUE, "finished", datetime.now(UTC))
    answers = await client.update_jobs_bulk([final_update(ended, heartbeat, "act-t")])
    assert answers[number].settled
    status = (await client.get_job_status([number]))[number]
    assert (status.status, status.known, status.attempt_nr) == ("finished", True, 1)


async def test_a_report_writes_the_same_columns(house: House) -> None:
    (number,) = house.make()
    fields: dict[str, Any] = {
        "core_count": 8, "n_events": 1000, "cpu_consumption_time": 77, "cpu_conversion_factor": 1.5, "max_rss": 123,
        "avg_rss": 12, "tot_rchar": 4096, "pilot_error_code": 1098, "pilot_error_diag": "no space & ünlücky=%20",
        "trans_exit_code": 65, "start_time": "2026-11-21 00:00:00", "node": "wn7", "job_metrics": "coreCount=8",
        "cpu_architecture_level": "x86-64-v3", "grid": "g", "source_site": "s", "destination_site": "d",
    }  # fmt: skip
    await house.client().update_jobs_bulk([update(number, **fields)])
    columns = house.book(number).columns
    assert columns == {
        "actualCoreCount": 8, "nEvents": 1000, "cpuConsumptionTime": 77, "cpuConversion": 1.5, "maxRSS": 123,
        "avgRSS": 12, "totRCHAR": 4, "pilotErrorCode": 1098, "pilotErrorDiag": "no space & ünlücky=%20",
        "transExitCode": 65, "startTime": "2026-11-21 00:00:00", "modificationHost": "wn7",
        "jobMetrics": "coreCount=8", "cpu_architecture_level": "x86-64-v3", "grid": "g", "sourceSite": "s",
        "destinationSite": "d", "computingElement": None,
    }  # fmt: skip


async def test_kill_orders_arrive(house: House) -> None:
    running, waiting = house.make(n=2)
    client = house.client()
    await client.update_jobs_bulk([update(running)])
    house.server.books.kill([running, waiting], None, house.server.clock.now())
    house.server.books.jobs[running].command = "debug,tobekilled"
    answers = await client.update_jobs_bulk([update(running), update(waiting), update(77)])
    assert all(answer.kill and answer.outcome is Outcome.ACCEPTED for answer in answers.values())
    last = await client.update_jobs_bulk([update(running, "failed", pilot_error_code=1144)])
    assert last[running].settled
    assert [house.book(number).finals for number in (running, waiting)] == [1, 0]


async def test_a_job_that_is_unknown_is_to_be_killed_also_with_metadata(house: House) -> None:
    """The legacy server calls it a success without a word; it would be told of for ever."""
    (known,) = house.make()
    final = {"meta_data": "{}", "job_output_report": "{}"}
    answers = await house.client().update_jobs_bulk([update(77, "finished", **final), update(known)])
    assert (answers[77].kill, answers[77].settled) == (True, True)
    assert (answers[known].outcome, answers[known].kill) == (Outcome.ACCEPTED, False)


async def test_bulk_goes_in_shards_and_every_job_has_its_own_answer(house: House) -> None:
    numbers = house.make(n=250)
    client = house.client()
    taken = await client.acquire_jobs(QUEUE, 250)
    assert {job.panda_id for job in taken} == set(numbers)
    wrong = [update(numbers[7], attempt_nr=9), update(999_999)]
    right = [update(number, "starting") for number in numbers if number != numbers[7]]
    answers = await client.update_jobs_bulk(right + wrong)
    assert len(answers) == 251
    assert {job for job, answer in answers.items() if answer.kill} == {numbers[7], 999_999}
    assert all(answers[one.job_id].outcome is Outcome.ACCEPTED for one in right)
    assert house.requests("update") == 3


class Spoilt(Update):
    """A report with a PandaID that no server can read."""

    def body(self) -> dict[str, object]:
        return super().body() | {"job_id": "six"}


async def test_a_report_that_cannot_be_taken_costs_its_neighbours_nothing(house: House) -> None:
    *good, bad = house.make(n=100)
    spoilt = Spoilt(job_id=bad, job_status="running")
    reports = [update(number, "starting") for number in good]
    answers = await house.client().update_jobs_bulk([*reports[:37], spoilt, *reports[37:]])
    assert {job for job, answer in answers.items() if answer.outcome is not Outcome.ACCEPTED} == {bad}
    assert (answers[bad].outcome, answers[bad].settled) == (Outcome.REFUSED, False)
    assert answers[bad].message
    assert {house.book(number).status for number in good} == {"starting"}
    assert house.book(bad).status == "activated"


async def test_two_reports_of_one_job_are_our_bug(house: House) -> None:
    with pytest.raises(ActError, match="two updates of the same job"):
        await house.client().update_jobs_bulk([update(1), update(1)])


async def test_nothing_to_say_is_nothing_sent(house: House) -> None:
    client = house.client()
    assert (await client.update_jobs_bulk([]), await client.get_job_status([])) == ({}, {})
    assert house.requests("update") + house.requests("status") == 0


async def test_many_statuses_are_asked_in_chunks(house: House) -> None:
    numbers = house.make(n=205, attempt=3)
    statuses = await house.client().get_job_status([*numbers, 77])
    assert set(statuses) == {*numbers, 77}
    assert {(status.status, status.attempt_nr) for status in statuses.values() if status.known} == {("activated", 3)}
    assert (statuses[77].status, statuses[77].known) == ("not found", False)
    assert house.requests("status") == 3


async def test_one_bad_job_does_not_spoil_the_batch(house: House) -> None:
    (bad,) = house.make(extra={"coreCount": "many"}, inputs=1)
    (good,) = house.make()
    jobs = await house.client().acquire_jobs(QUEUE, 2)
    (malformed,) = [job for job in jobs if isinstance(job, MalformedJob)]
    assert (malformed.panda_id, malformed.attempt_nr) == (bad, 1)
    assert "coreCount: 'many' is no number" in str(malformed)
    assert [job.panda_id for job in jobs if isinstance(job, PandaJob)] == [good]


async def test_statistics_of_queues(house: House) -> None:
    client = house.client()
    assert await client.queue_statistics() == {}
    killed, *_ = house.make(n=4, cores=8)
    house.server.books.kill([killed], None, house.server.clock.now())
    assert await client.queue_statistics() == {QUEUE: (ActiveJobs("MCORE", "managed", "activated", 3),)}


async def test_the_server_tells_what_it_thinks_of_us(house: House) -> None:
    attributes = await house.client().attributes()
    assert (attributes.dn, attributes.production) == (ROBOT, True)
    assert attributes.fqans == ("/atlas/Role=production", "/atlas")


async def test_the_pilot_role_is_enough_for_the_legacy_api_only(house: House) -> None:
    house.make()
    client = house.client(house.access("pilot"))
    attributes = await client.attributes()
    assert (attributes.fqans, attributes.production) == (("/atlas/Role=pilot",), house.spoken == "legacy")
    if house.spoken == "legacy":
        assert len(await client.acquire_jobs(QUEUE, 1)) == 1
        return
    with pytest.raises(CredentialError, match="role"):
        await client.acquire_jobs(QUEUE, 1)
    with pytest.raises(CredentialError, match="role"):
        await client.update_jobs_bulk([update(1)])


async def test_without_a_role_nobody_is_served(house: House) -> None:
    (number,) = house.make()
    client = house.client(house.access("stranger"))
    attributes = await client.attributes()
    assert (attributes.fqans, attributes.production) == ((), False)
    with pytest.raises(CredentialError, match="role"):
        await client.acquire_jobs(QUEUE, 1)
    with pytest.raises(CredentialError, match="role"):
        await client.update_jobs_bulk([update(number), update(77)])
    assert house.book(number).status == "activated"


async def test_a_token_with_origin_does_the_same(house: House, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.touch(mode=0o600)
    file.write_text("good\n")
    house.make()
    client = house.client(TokenAccess(house.pki.ca_file, file, "atlas.production"))
    attributes = await client.attributes()
    assert (attributes.production, attributes.fqans) == (True, ("/atlas/Role=production",))
    assert len(await client.acquire_jobs(QUEUE, 1)) == 1
    file.write_text("stale!\n")
    with pytest.raises(CredentialError, match="Token authentication failed"):
        await client.acquire_jobs(QUEUE, 1)


async def test_large_reports_arrive_whole(house: House) -> None:
    (number,) = house.make(outputs=1)
    names = [*house.server.books.describe(house.book(number))["outFiles"].split(",")]  # type: ignore[union-attr]
    report = json.dumps({lfn: {"guid": "G", "fsize": 1, "adler32": "00620062"} for lfn in names})
    metadata = json.dumps({"text": "é&=+%" * 200_000})
    final = update(number, "finished", meta_data=metadata, job_output_report=report)
    assert (await house.client().update_jobs_bulk([final]))[number].settled
    assert house.book(number).status == "finished"
