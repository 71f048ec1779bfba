"""The PanDA client against the simulated server: real TLS, real proxies, real faults."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from act_core.atlas.final import Ended, final_update
from act_core.atlas.panda_access import Access, ProxyAccess, TokenAccess
from act_core.atlas.panda_errors import NotSpoken
from act_core.atlas.panda_server import open_panda
from act_core.atlas.panda_v1 import PandaV1
from act_core.atlas.pilot_word import parse_heartbeat
from act_core.atlas.reports import Attributes, Outcome, Update, Worker
from act_core.atlas.wire import PandaJob, encode_for_pilot
from act_core.errors import ConfigError, CredentialError, OutcomeUnknown, ProtocolError, Transient
from act_core.meters import REGISTRY
from act_core.settings.app_model import AppSettings, Panda
from act_core.settings.model import ArcSettings, Settings
from act_core.settings.policy import Voms
from act_core.simulators import pilot
from act_core.simulators.faults import FaultRule, Kind
from act_core.simulators.panda import PandaOptions, build_panda
from act_core.simulators.panda_jobs import JobOrder
from act_core.simulators.panda_records import Patience
from act_core.simulators.panda_roles import Token
from act_core.simulators.pki import ORGANISATION, TestPki, server_context
from act_core.simulators.serve import Simulator

PRODUCTION = f"{ORGANISATION}/CN=robot"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPki:
    return TestPki(tmp_path_factory.mktemp("pki"))


@dataclass
class House:
    """A running server, its books, and a way to become its client."""

    simulator: Simulator
    make: Callable[..., list[int]]
    pki: TestPki
    clients: list[PandaV1]

    def client(self, access: Access | None = None, **settings: object) -> PandaV1:
        access = access or ProxyAccess(self.pki.ca_dir, self.pki.proxy("robot"))
        panda = Panda.model_validate({"server": self.simulator.url, "timeout": 20, "schedulerid": "act-t"} | settings)
        self.clients.append(PandaV1(panda, access))
        return self.clients[-1]

    async def fault(self, kind: Kind, path: str, **more: object) -> None:
        await self.simulator.faults.add(FaultRule.model_validate({"kind": kind, "path": path} | more))


@pytest.fixture
async def house(pki: TestPki) -> AsyncIterator[House]:
    options = PandaOptions(
        Patience(adder=timedelta(0)),
        fqans={PRODUCTION: ("/atlas/Role=production",), f"{ORGANISATION}/CN=pilot": ("/atlas/Role=pilot",)},
        tokens=(Token(SecretStr("good"), name="Robot Token"),),
    )
    panda = build_panda(options)

    def make(**order: object) -> list[int]:
        return list(panda.books.create(JobOrder.model_validate({"queue": "TEST_ARC"} | order)))

    tls = server_context(pki.host, pki.ca_dir)
    async with Simulator(panda.app, panda.control, tls=tls) as simulator:
        house = House(simulator, make, pki, [])
        yield house
        for client in house.clients:
            await client.close()


def update(job: int, status: str = "running", **more: object) -> Update:
    return Update.model_validate({"job_id": job, "job_status": status, "attempt_nr": 1} | more)


async def test_a_job_goes_the_whole_way(house: House) -> None:
    (number,) = house.make(inputs=2)
    client = house.client()
    assert await client.is_alive()
    (job,) = await client.acquire_jobs("TEST_ARC", 5, "managed")
    assert isinstance(job, PandaJob)
    assert (job.panda_id, job.attempt_nr, len(job.inputs)) == (number, 1, 2)
    assert await client.acquire_jobs("TEST_ARC", 5, "managed") == []
    for status in ("starting", "running", "transferring", "failed"):
        answers = await client.update_jobs_bulk([update(number, status)])
        assert (answers[number].outcome, answers[number].kill) == (Outcome.ACCEPTED, False)
    assert (await client.update_jobs_bulk([update(number, "failed")]))[number].settled
    statuses = await client.get_job_status([number, 77])
    assert statuses[number].known
    assert (statuses[77].status, statuses[77].known) == ("not found", False)


async def test_the_pilots_report_closes_the_job_as_finished(house: House) -> None:
    (number,) = house.make(inputs=1, outputs=3)
    client = house.client()
    (job,) = await client.acquire_jobs("TEST_ARC", 1)
    assert isinstance(job, PandaJob)
    told = pilot.PilotArguments(queue="TEST_ARC", storage="https://se.example/store")
    left = pilot.produce(pilot.parse_job(encode_for_pilot(job.raw)), told, pilot.Ran(1.0, 2.0)).files
    heartbeat = parse_heartbeat(left["heartbeat.json"].decode(), number)
    ended = Ended(number, job.attempt_nr, "TEST_ARC", "finished", datetime.now(UTC))
    answers = await client.update_jobs_bulk([final_update(ended, heartbeat, "act-t")])
    assert answers[number].settled
    assert (await client.get_job_status([number]))[number].status == "finished"


async def test_the_server_tells_what_it_thinks_of_us(house: House) -> None:
    assert await house.client().attributes() == Attributes(PRODUCTION, ("/atlas/Role=production",), production=True)


async def test_a_token_with_origin_does_the_same(house: House, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.touch(mode=0o600)
    file.write_text("good\n")
    house.make()
    client = house.client(TokenAccess(house.pki.ca_file, file, "atlas.production"))
    assert (await client.attributes()).production
    assert len(await client.acquire_jobs("TEST_ARC", 1)) == 1
    file.write_text("stale!\n")
    with pytest.raises(CredentialError, match="Token authentication failed"):
        await client.acquire_jobs("TEST_ARC", 1)
    file.write_text("two words")
    with pytest.raises(CredentialError, match="holds no token"):
        await client.is_alive()


async def test_secrets_that_others_can_read_are_not_used(house: House, tmp_path: Path) -> None:
    proxy = house.pki.proxy("robot", path=tmp_path / "proxy")
    proxy.chmod(0o644)
    with pytest.raises(CredentialError, match="chmod 600"):
        await house.client(ProxyAccess(house.pki.ca_dir, proxy)).is_alive()


async def test_a_renewed_proxy_is_taken_up(house: House, tmp_path: Path) -> None:
    proxy = house.pki.proxy("pilot", path=tmp_path / "proxy")
    client = house.client(ProxyAccess(house.pki.ca_dir, proxy))
    with pytest.raises(CredentialError, match="no production/pilot role"):
        await client.acquire_jobs("TEST_ARC", 1)
    house.pki.proxy("robot", path=proxy)
    assert await client.acquire_jobs("TEST_ARC", 1) == []


async def test_an_expired_proxy_is_the_operators_business(house: House, tmp_path: Path) -> None:
    proxy = house.pki.proxy("robot", timedelta(hours=-1), path=tmp_path / "old")
    client = house.client(ProxyAccess(house.pki.ca_dir, proxy))
    with pytest.raises(CredentialError, match="expired at"):
        await client.acquire_jobs("TEST_ARC", 1)


async def test_a_server_of_another_authority_is_not_talked_to(house: House, tmp_path: Path) -> None:
    stranger = TestPki(tmp_path)
    client = house.client(ProxyAccess(stranger.ca_dir, stranger.proxy("robot")))
    with pytest.raises(CredentialError, match="verify failed"):
        await client.acquire_jobs("TEST_ARC", 1)


async def test_bulk_goes_in_shards_and_every_job_has_its_own_answer(house: House) -> None:
    numbers = house.make(n=250)
    client = house.client()
    await client.acquire_jobs("TEST_ARC", 250)
    wrong = [update(numbers[7], attempt_nr=9), update(999_999)]
    right = [update(number, "starting") for number in numbers if number != numbers[7]]
    answers = await client.update_jobs_bulk(right + wrong)
    assert len(answers) == 251
    assert {job for job, answer in answers.items() if answer.kill} == {numbers[7], 999_999}
    assert all(answers[one.job_id].outcome is Outcome.ACCEPTED for one in right)
    requests = house.simulator.faults._stats["POST /api/v1/pilot/update_jobs_bulk"]
    assert sum(requests.values()) == 3


async def test_a_lost_shard_is_for_later_and_the_others_live(house: House) -> None:
    numbers = house.make(n=150)
    client = house.client(threads=1)
    await client.acquire_jobs("TEST_ARC", 150)
    await house.fault(Kind.ACCEPT_HANGUP, "update_jobs_bulk", times=1)
    answers = await client.update_jobs_bulk([update(number, "starting") for number in numbers])
    outcomes = [answers[number].outcome for number in numbers]
    assert outcomes.count(Outcome.LATER) == 100
    assert outcomes.count(Outcome.ACCEPTED) == 50
    again = await client.update_jobs_bulk([update(number, "starting") for number in numbers])
    assert {answer.outcome for answer in again.values()} == {Outcome.ACCEPTED}


@pytest.mark.parametrize(
    ("fault", "verdict"),
    [
        ({"kind": Kind.ACCEPT_HANGUP}, OutcomeUnknown),
        ({"kind": Kind.HALF_ANSWER}, OutcomeUnknown),
        ({"kind": Kind.MALFORMED_JSON}, OutcomeUnknown),
        ({"kind": Kind.EMPTY}, OutcomeUnknown),
        ({"kind": Kind.RESET_BEFORE}, OutcomeUnknown),
        ({"kind": Kind.HANG, "seconds": 5}, OutcomeUnknown),
        ({"kind": Kind.ERROR, "status": 502}, OutcomeUnknown),
        ({"kind": Kind.ERROR, "status": 503}, Transient),
        ({"kind": Kind.ERROR, "status": 403}, CredentialError),
        ({"kind": Kind.ERROR, "status": 404}, NotSpoken),
        ({"kind": Kind.DOWN}, Transient),
    ],
    ids=lambda value: str(value),
)
async def test_a_lost_acquisition_is_told_from_one_that_never_left(
    house: House, fault: dict[str, object], verdict: type[Exception]
) -> None:
    house.make()
    await house.simulator.faults.add(FaultRule.model_validate(fault))
    with pytest.raises(verdict) as caught:
        await house.client(timeout=0.5).acquire_jobs("TEST_ARC", 1)
    assert type(caught.value) is verdict


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [
        (Kind.ACCEPT_HANGUP, Transient),
        (Kind.HALF_ANSWER, Transient),
        (Kind.MALFORMED_JSON, ProtocolError),
        (Kind.DOWN, Transient),
    ],
)
async def test_reports_can_be_sent_again(house: House, kind: Kind, verdict: type[Exception]) -> None:
    (number,) = house.make()
    await house.simulator.faults.add(FaultRule(kind=kind, method="POST"))
    with pytest.raises(verdict) as caught:
        await house.client().update_jobs_bulk([update(number)])
    assert type(caught.value) is verdict


async def test_calls_are_measured_by_method_and_outcome(house: House) -> None:
    whom = {"server": house.simulator.url.removeprefix("https://"), "method": "pilot/acquire_jobs"}

    def counted() -> dict[str, float]:
        """All that this process counted: a server of another test may have had the same port."""
        name = "act_panda_call_seconds_count"
        return {one: REGISTRY.get_sample_value(name, whom | {"outcome": one}) or 0 for one in ("ok", "transient")}

    client, before = house.client(), counted()
    await client.acquire_jobs("TEST_ARC", 1)
    await house.fault(Kind.ERROR, "/acquire_jobs", status=503)
    with pytest.raises(Transient):
        await client.acquire_jobs("TEST_ARC", 1)
    assert counted() == {one: n + 1 for one, n in before.items()}


async def test_workers_are_linked_to_jobs(house: House) -> None:
    numbers = house.make(n=2)
    workers = [
        Worker(worker_id=i, status="running", queue="TEST_ARC", ce="arc01", panda_ids=(number,))
        for i, number in enumerate(numbers, 1)
    ]
    assert await house.client().update_workers("act-t", workers) == {1: True, 2: True}


async def test_many_statuses_are_asked_in_chunks(house: House) -> None:
    numbers = house.make(n=205)
    statuses = await house.client().get_job_status(numbers)
    assert {status.status for status in statuses.values()} == {"activated"}
    assert set(statuses) == set(numbers)


def test_an_identity_is_needed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs an identity"):
        open_panda(Settings(state_dir=tmp_path))


async def test_the_configuration_chooses_proxy_or_token(house: House, tmp_path: Path) -> None:
    voms = Voms(proxypath=house.pki.proxy("robot"), cacertdir=house.pki.ca_dir)
    app = AppSettings(panda=Panda(server=house.simulator.url))
    async with open_panda(Settings(state_dir=tmp_path, arc=ArcSettings(voms=voms), app=app)) as panda:
        assert (await panda.attributes()).dn == PRODUCTION
    token = tmp_path / "token"
    token.touch(0o600)
    token.write_text("good")
    app = AppSettings(panda=Panda(server=house.simulator.url, tokenfile=token))
    async with open_panda(Settings(state_dir=tmp_path, arc=ArcSettings(voms=voms), app=app)) as panda:
        assert (await panda.attributes()).dn == "Robot Token"


async def test_plain_http_is_refused(house: House) -> None:
    with pytest.raises(ConfigError, match="no https address"):
        house.client(server="http://127.0.0.1:1")
