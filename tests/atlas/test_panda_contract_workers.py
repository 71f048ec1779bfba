"""What the tower may rely on when PanDA takes not all of it: workers, refusals by name. In each dialect."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from act_core.atlas.reports import Outcome, Update, UpdateAnswer, Worker, as_stamp
from act_core.simulators.faults import Kind
from act_core.simulators.pki import TestPki
from tests.atlas.panda_contract import QUEUE, SERVERS, House, open_contract, update


@pytest.fixture(params=SERVERS)
async def house(request: pytest.FixtureRequest, grid_pki: TestPki) -> AsyncIterator[House]:
    async with open_contract(grid_pki, *SERVERS[request.param]) as house:
        yield house


@pytest.fixture
async def new(grid_pki: TestPki) -> AsyncIterator[House]:
    """A server of the new API, which alone insists on types."""
    async with open_contract(grid_pki, *SERVERS["v1"]) as house:
        yield house


WORKER = Worker(worker_id=4, status="running", queue=QUEUE, ce="arc01", batch_id="b7", problem="é&=")


async def test_workers_are_linked_to_jobs(house: House) -> None:
    (number,) = house.make()
    client = house.client()
    assert await client.update_workers("act-t", [WORKER.model_copy(update={"panda_ids": (number,)})]) == {4: True}
    await client.update_jobs_bulk([update(number)])
    assert house.book(number).columns["computingElement"] == "arc01"
    held = house.server.desk.workers.of_job(number)[4]
    assert (held["status"], held["batchID"], held["diagMessage"]) == ("running", "b7", "é&=")


async def test_every_field_of_a_worker_is_taken(house: House) -> None:
    stamp = as_stamp(datetime(2026, 11, 21, 1, 2, 3, 4, tzinfo=UTC))
    samples: dict[str, Any] = dict.fromkeys(Worker.model_fields, "x")
    samples |= dict.fromkeys(("submitted", "started", "ended"), stamp)
    samples |= {"worker_id": 1, "status": "failed", "cores": 8, "panda_ids": (7,)}
    whole = Worker.model_validate(samples)
    assert set(whole.body()) == {field.serialization_alias or name for name, field in Worker.model_fields.items()}
    assert await house.client().update_workers("act-t", [whole]) == {1: True}
    assert house.server.desk.workers.workers["act-t"][1]["startTime"] == "datetime/2026-11-21 01:02:03.000004"


async def test_workers_are_refused_one_by_one(house: House) -> None:
    house.server.desk.workers.bad.add(150)
    workers = [WORKER.model_copy(update={"worker_id": number}) for number in range(1, 251)]
    taken = await house.client().update_workers("act-t", workers)
    assert [number for number, good in taken.items() if not good] == [150]
    assert len(taken) == len(house.server.desk.workers.told) == 250
    assert await house.client().update_workers("act-t", []) == {}


async def test_a_harvester_instance_is_entered_by_its_first_sign_of_life(house: House) -> None:
    client, data = house.client(), {"sw_version": "1"}
    assert [await client.harvester_alive("act-t", data) for _ in range(2)] == [False, True]


async def test_what_a_server_is_too_old_to_know_is_left_out_of_all_reports(house: House) -> None:
    house.server.desk.lacks = frozenset({"cpu_architecture_level"})
    first, second = house.make(n=2)
    client = house.client()
    for number in (first, second):
        reports = [update(number, cpu_architecture_level="x86-64-v3", node="wn7")]
        answer = (await client.update_jobs_bulk(reports))[number]
        assert answer.outcome is Outcome.ACCEPTED
        assert "cpu_architecture_level" not in house.book(number).columns
        assert house.book(number).columns["modificationHost"] == "wn7"
    assert house.requests("update") == 3


class Wrong(Update):
    """A report in which two values have types that the server does not take."""

    def body(self) -> dict[str, object]:
        return super().body() | {"core_count": "8", "max_rss": "much"}


async def test_a_field_of_the_wrong_type_is_left_out_of_its_report_alone(new: House) -> None:
    first, second = new.make(n=2)
    wrong = Wrong(job_id=first, job_status="running", node="wn7")
    right = Update(job_id=second, job_status="running", core_count=8)
    client = new.client()
    answers = await client.update_jobs_bulk([wrong, right])
    assert answers[first] == UpdateAnswer(Outcome.ACCEPTED, left_out=("core_count", "max_rss"))
    assert answers[second] == UpdateAnswer(Outcome.ACCEPTED)
    taken = [new.book(number).columns for number in (first, second)]
    assert (taken[0]["modificationHost"], taken[1]["actualCoreCount"]) == ("wn7", 8)
    assert "actualCoreCount" not in taken[0]
    assert (await client.update_jobs_bulk([right]))[second].left_out == ()


async def test_a_refusal_stands_while_its_repetition_is_not_answered(new: House) -> None:
    (number,) = new.make()
    await new.fault(Kind.ERROR, "update", skip=1)
    answer = (await new.client().update_jobs_bulk([Wrong(job_id=number, job_status="running")]))[number]
    assert (answer.outcome, answer.settled) == (Outcome.REFUSED, False)
    assert "core_count" in answer.message
