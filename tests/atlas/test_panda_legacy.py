"""The legacy client: servers older than our words, and answers that nobody should believe."""

import asyncio
import pickle
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import pytest
from aiohttp import web

from act_core.atlas.panda_access import ProxyAccess
from act_core.atlas.panda_legacy import PandaLegacy
from act_core.atlas.reports import Outcome, Worker
from act_core.atlas.wire import PandaJob
from act_core.errors import ActError, CredentialError, OutcomeUnknown, ProtocolError, Transient
from act_core.settings.app_model import Panda
from act_core.simulators.pki import TestPki, server_context
from act_core.simulators.serve import Simulator
from tests.atlas.panda_contract import QUEUE, House, open_contract, update

PICKLED = pickle.dumps({"StatusCode": 0, "jobs": []})


@pytest.fixture
async def house(grid_pki: TestPki) -> AsyncIterator[House]:
    async with open_contract(grid_pki, "legacy", "legacy", "legacy") as house:
        yield house


class Scripted:
    """A client, and its server, which answers each method with given words; `asked`: the methods."""

    def __init__(self) -> None:
        self.words: dict[str, bytes | str] = {}
        self.asked: list[str] = []
        self.app = web.Application()
        self.app.router.add_post("/server/panda/{method}", self._answer)

    async def _answer(self, request: web.Request) -> web.Response:
        await request.read()
        self.asked.append(request.match_info["method"])
        words = self.words[self.asked[-1]]
        return web.Response(body=words if isinstance(words, bytes) else words.encode())


@pytest.fixture
async def odd(grid_pki: TestPki) -> AsyncIterator[tuple[Scripted, PandaLegacy]]:
    scripted = Scripted()
    tls = server_context(grid_pki.host, grid_pki.ca_dir)
    async with Simulator(scripted.app, tls=tls) as simulator:
        access = ProxyAccess(grid_pki.ca_dir, grid_pki.proxy("robot"))
        async with PandaLegacy(Panda(server=simulator.url), access) as client:
            yield scripted, client


async def test_what_an_older_server_does_not_know_is_left_out(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.server.desk.lacks = frozenset({"grid", "cpu_architecture_level"})
    numbers = house.make(n=150)
    client = house.client()
    reports = [update(number, grid="g", cpu_architecture_level="v3", node="wn7") for number in numbers]
    for _ in range(2):
        answers = await client.update_jobs_bulk(reports)
        assert {answer.outcome for answer in answers.values()} == {Outcome.ACCEPTED}
    assert house.book(numbers[0]).columns["modificationHost"] == "wn7"
    assert sorted(line.split(" does not know ")[1] for line in caplog.messages if "does not know" in line) == [
        "cpu_architecture_level, which is left out of reports",
        "grid, which is left out of reports",
    ]
    assert house.requests("update") <= 8


async def test_a_server_that_does_not_know_the_attempt_gets_no_reports(house: House) -> None:
    house.server.desk.lacks = frozenset({"attemptNr"})
    (number,) = house.make()
    with pytest.raises(ProtocolError, match="unexpected keyword argument 'attemptNr'"):
        await house.client().update_jobs_bulk([update(number)])


async def test_an_acquisition_with_a_word_that_it_does_not_know_reserves_nothing(house: House) -> None:
    house.server.desk.lacks = frozenset({"resourceType"})
    (number,) = house.make()
    with pytest.raises(ProtocolError, match="unexpected keyword argument 'resourceType'"):
        await house.client().acquire_jobs(QUEUE, 1, None, "SCORE")
    assert house.book(number).acquisitions == 0


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        (b"", OutcomeUnknown),
        (b"StatusCode=0", OutcomeUnknown),
        (b"StatusCode=0&jobs=", OutcomeUnknown),
        (b"StatusCode=0&jobs=%5B%7B", OutcomeUnknown),
        (b'{"StatusCode": 0, "jobs": {}}', OutcomeUnknown),
        (b'{"jobs": []}', OutcomeUnknown),
        (b"StatusCode=40", OutcomeUnknown),
        (b"<html>welcome</html>", OutcomeUnknown),
        (PICKLED, OutcomeUnknown),
        (b"\xff\xfe", OutcomeUnknown),
        (b"StatusCode=10", Transient),
        (b"StatusCode=30", Transient),
        (b'{"StatusCode": 60, "errorDialog": "no production/pilot role"}', CredentialError),
        (b"StatusCode=70", CredentialError),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_jobs_that_may_have_been_reserved(
    odd: tuple[Scripted, PandaLegacy], said: bytes, verdict: type[ActError]
) -> None:
    server, client = odd
    server.words["getJob"] = said
    with pytest.raises(verdict) as caught:
        await client.acquire_jobs(QUEUE, 1)
    assert type(caught.value) is verdict


@pytest.mark.parametrize("job", [{"PandaID": 7, "attemptNr": 1, "prodSourceLabel": "managed", "maxWalltime": None}])
async def test_a_flat_job_is_a_job(odd: tuple[Scripted, PandaLegacy], job: dict[str, object]) -> None:
    """A server that does not heed nJobs has reserved it all the same."""
    server, client = odd
    server.words["getJob"] = urlencode({"StatusCode": 0} | job)
    (found,) = await client.acquire_jobs(QUEUE, 5)
    assert isinstance(found, PandaJob)
    assert (found.panda_id, found.attempt_nr, found.walltime_s) == (7, 1, None)


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        (b"[true, []]", Transient),
        (b'[true, ["StatusCode=0&command=NULL"]]', Transient),
        (b"[true, {}]", Transient),
        (b"", ProtocolError),
        (PICKLED, ProtocolError),
        (b'[true, ["StatusCode=60", {"type": "json", "content": "{\\"StatusCode\\": 70}"}]]', CredentialError),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_answers_to_reports_that_are_none(
    odd: tuple[Scripted, PandaLegacy], said: bytes, verdict: type[ActError]
) -> None:
    server, client = odd
    server.words["updateJobsInBulk"] = said
    with pytest.raises(verdict) as caught:
        await client.update_jobs_bulk([update(1), update(2)])
    assert type(caught.value) is verdict


@pytest.mark.parametrize(
    ("status", "outcomes"),
    [
        ("StatusCode=0&status=running%2Bnotfound%2Bcancelled&attemptNr=1%2B0%2B1", "later accepted accepted"),
        ("StatusCode=10", "later later later"),
        ("StatusCode=0&status=notfound&attemptNr=0", "later later later"),
        ("", "later later later"),
    ],
)
async def test_a_success_without_a_word_is_none_but_for_jobs_that_are_over(
    odd: tuple[Scripted, PandaLegacy], status: str, outcomes: str
) -> None:
    server, client = odd
    server.words["updateJobsInBulk"] = '[true, ["StatusCode=0", "StatusCode=0", "StatusCode=0", "StatusCode=10"]]'
    server.words["getStatus"] = status
    answers = await client.update_jobs_bulk([update(number) for number in (1, 2, 3, 4)])
    assert " ".join(answers[number].outcome for number in (1, 2, 3)) == outcomes
    assert all(answers[number].kill == (answers[number].outcome is Outcome.ACCEPTED) for number in answers)
    assert answers[4].outcome is Outcome.LATER
    assert server.asked == ["updateJobsInBulk", "getStatus"]


async def test_one_host_of_many_that_refuses_us_costs_only_its_reports(odd: tuple[Scripted, PandaLegacy]) -> None:
    server, client = odd
    server.words["updateJobsInBulk"] = '[true, ["StatusCode=60", "StatusCode=0&command=NULL"]]'
    answers = await client.update_jobs_bulk([update(1), update(2)])
    assert [answers[number].outcome for number in (1, 2)] == [Outcome.LATER, Outcome.ACCEPTED]
    assert "no production or pilot role" in answers[1].message


async def test_nothing_that_answers_otherwise_is_alive(odd: tuple[Scripted, PandaLegacy]) -> None:
    server, client = odd
    for words, alive in (("alive=yes", True), ("alive=yes\n", True), ("alive=no", False), ("", False)):
        server.words["isAlive"] = words
        assert await client.is_alive() is alive


async def test_nothing_is_unpickled(odd: tuple[Scripted, PandaLegacy], monkeypatch: pytest.MonkeyPatch) -> None:
    server, client = odd
    called: list[object] = []
    monkeypatch.setattr(pickle, "loads", called.append)
    server.words |= dict.fromkeys(
        ("getStatus", "get_job_statistics_per_site_label_resource", "updateWorkers", "getVomsAttr", "updateJob"),
        PICKLED,
    )
    worker = Worker(worker_id=1, status="running", queue=QUEUE)
    asked = (client.get_job_status([1]), client.queue_statistics(), client.attributes())
    results = await asyncio.gather(*asked, client.update_workers("a", [worker]), return_exceptions=True)
    assert all(isinstance(result, ActError) for result in results)
    assert called == []


async def test_attributes_do_not_ask_for_what_sends_secrets_back(odd: tuple[Scripted, PandaLegacy]) -> None:
    server, client = odd
    server.words |= {"getVomsAttr": "", "updateJob": "StatusCode=60"}
    assert not (await client.attributes()).production
    server.words["updateJob"] = "StatusCode=10"
    with pytest.raises(Transient):
        await client.attributes()
    assert set(server.asked) == {"getVomsAttr", "updateJob"}
