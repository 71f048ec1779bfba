"""The connection to an A-REX: what trouble is called, and when the request may have left."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from act_core.ce import arc_http
from act_core.ce.arc_http import XML, ArcConnection
from act_core.ce.registry import open_ce
from act_core.errors import ActError, ConfigError, CredentialError, OutcomeUnknown, ProtocolError, Transient
from act_core.meters import REGISTRY
from act_core.settings.model import Settings, Site
from act_core.simulators.pki import TestPki
from tests.ce.arc_house import COMMIT, TOWER, TRUE, Builder, House, commit, opened, submitted

FAULTS = [
    pytest.param({"kind": "down"}, Transient, "Connect", id="nobody listens"),
    pytest.param({"kind": "reset_before"}, Transient, "reset|disconnected", id="reset"),
    pytest.param({"kind": "accept_hangup"}, Transient, "disconnected", id="closed before the answer"),
    pytest.param({"kind": "half_answer"}, Transient, "Payload", id="half an answer"),
    pytest.param({"kind": "malformed_json"}, ProtocolError, "is not JSON", id="not JSON"),
    pytest.param({"kind": "error", "status": 500, "reason": "Oops"}, Transient, "500 Oops", id="500"),
    pytest.param({"kind": "error", "status": 503, "reason": "Busy"}, Transient, "503 Busy", id="503"),
    pytest.param({"kind": "error", "status": 429, "reason": "Slow"}, Transient, "429 Slow", id="429"),
    pytest.param({"kind": "error", "status": 400, "reason": "Hm"}, ProtocolError, "400 Hm, not 201", id="400"),
    pytest.param({"kind": "error", "status": 403, "reason": "No"}, CredentialError, "CN=alice: No", id="403"),
]


@pytest.mark.parametrize(("fault", "verdict", "words"), FAULTS)
async def test_trouble_has_a_name_and_passes(
    build: Builder, fault: dict[str, Any], verdict: type[Exception], words: str
) -> None:
    house = await build()
    ce = house.client()
    (job,) = await submitted(ce, TRUE)
    await house.fault(**fault)
    with pytest.raises(verdict, match=words):
        await ce.states([job])
    await house.mended()
    assert set(await ce.states([job])) == {job}


@pytest.mark.parametrize("call", ["states", "ended", "details", "cancel", "clean"])
async def test_a_hanging_ce_ends_no_call_later_than_its_deadline(build: Builder, call: str) -> None:
    house = await build()
    ce = house.client(deadline="1 s")
    (job,) = await submitted(ce, TRUE)
    await house.fault("hang")
    with pytest.raises(Transient, match="no answer in time"):
        await asyncio.wait_for(getattr(ce, call)([job]), 15)


async def test_without_an_accepted_name_there_is_no_entry(build: Builder) -> None:
    house = await build(mapped=frozenset({"/DC=org/DC=act-test/CN=bob"}))
    with pytest.raises(CredentialError, match=r"refuses .*CN=alice: User can't be assigned configuration"):
        await house.client().capacity()


async def test_a_certificate_of_an_unknown_authority(build: Builder, tmp_path: Path) -> None:
    house = await build()
    stranger = TestPki(tmp_path / "other")
    # with TLS 1.3 the server's alert comes after the handshake, and may be overtaken by the end of the connection
    with pytest.raises((CredentialError, Transient), match=r"does not accept the certificates of|disconnected"):
        await house.client(proxy=stranger.proxy("mallory")).capacity()
    assert not await house.asked("GET")


async def test_a_server_of_an_unknown_authority(build: Builder, tmp_path: Path) -> None:
    house = await build()
    stranger = TestPki(tmp_path / "other")
    stranger.proxy("mallory", path=stranger.root / "proxy.pem")
    ce = opened(f"{house.simulator.url}/arex", stranger, tmp_path)
    with pytest.raises(CredentialError, match="its certificate is not accepted"):
        await ce.capacity()
    assert not await house.asked("GET")
    await ce.close()


async def test_without_a_usable_proxy_nothing_is_asked(build: Builder, pki: TestPki, tmp_path: Path) -> None:
    house = await build()
    expired = pki.proxy("carol", timedelta(hours=-1), path=tmp_path / "expired.pem")
    shared = pki.proxy("carol", path=tmp_path / "shared.pem")
    shared.chmod(0o644)
    for proxy, words in ((expired, "expired"), (shared, "chmod 600"), (tmp_path / "absent.pem", "cannot be read")):
        with pytest.raises(CredentialError, match=words):
            await house.client(proxy=proxy).capacity()
    assert not await house.asked("GET")


async def test_a_proxy_that_expires_while_we_are_connected(build: Builder) -> None:
    house = await build()
    clock = [datetime.now(UTC)]
    ce = house.client(lambda: clock[0])
    await ce.capacity()
    clock[0] += timedelta(hours=13)
    asked = await house.asked("GET")
    with pytest.raises(CredentialError, match="has expired: renew it"):
        await ce.capacity()
    assert await house.asked("GET") == asked


async def test_a_new_proxy_file_is_used_and_requests_under_way_go_on(
    build: Builder, pki: TestPki, tmp_path: Path, eventually: Callable[..., Awaitable[Any]]
) -> None:
    house = await build()
    proxy = pki.proxy("alice", path=tmp_path / "proxy.pem")
    ce = house.client(proxy=proxy)
    (job,) = await submitted(ce, TRUE)
    await house.fault("latency", path="action=status", seconds=0.5)
    slow = asyncio.create_task(ce.states([job]))

    async def asked() -> bool:
        faults = (await house.order("/faults"))["faults"]
        return bool(faults[0]["hits"])

    await eventually(asked, "the slow request")
    pki.proxy("bob", path=proxy)
    assert (await ce.list_mine(TOWER, set())).total == 0  # bob has no jobs
    assert set(await slow) == {job}


@pytest.fixture
async def wire(build: Builder, pki: TestPki) -> Any:
    house = await build()
    made = ArcConnection(
        f"{house.simulator.url}/arex", pki.ca_dir, pki.root / "proxy.pem", timedelta(seconds=20), calls=4, transfers=2
    )
    yield house, made
    await made.close()


async def _post(wire: ArcConnection, late: bool = False) -> arc_http.Answer:
    return await wire.post_once("/rest/1.1/jobs?action=new", datetime.now(UTC), b"<a/>", XML, lambda: late)


async def test_what_is_late_at_the_moment_of_writing_is_not_sent(wire: tuple[House, ArcConnection]) -> None:
    house, connection = wire
    with pytest.raises(Transient, match="the send deadline has passed"):
        await _post(connection, late=True)
    await connection.call("GET", "/rest", datetime.now(UTC))
    assert await house.asked("?action=new") == 0


@pytest.mark.parametrize("kind", ["accept_hangup", "half_answer", "reset_before"])
async def test_what_may_have_left_is_unknown(wire: tuple[House, ArcConnection], kind: str) -> None:
    house, connection = wire
    await house.fault(kind)
    with pytest.raises(OutcomeUnknown, match="after the request had left"):
        await _post(connection)


async def test_what_never_left_is_not_unknown(wire: tuple[House, ArcConnection]) -> None:
    house, connection = wire
    await house.fault("down")
    with pytest.raises(Transient, match="Connect"):
        await _post(connection)


async def test_calls_are_measured_by_what_is_asked_and_its_outcome(wire: tuple[House, ArcConnection]) -> None:
    house, connection = wire
    calls = {"GET rest": "ok", "GET diagnose": "refused", "POST jobs?action=new": "unknown"}

    def counted() -> dict[str, float]:
        """All that this process counted: a CE of another test may have had the same port."""
        whom = {"ce": connection.endpoint}
        return {
            call: REGISTRY.get_sample_value("act_ce_call_seconds_count", whom | {"call": call, "outcome": outcome}) or 0
            for call, outcome in calls.items()
        }

    before = counted()
    await connection.call("GET", "/rest", datetime.now(UTC))
    await connection.call("GET", "/rest/1.1/jobs/none/diagnose/errors", datetime.now(UTC))
    await house.fault("accept_hangup", path="action=new")
    with pytest.raises(OutcomeUnknown):
        await _post(connection)
    assert counted() == {call: n + 1 for call, n in before.items()}


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/rest/1.0/jobs", "GET jobs"),
        ("/rest/1.0/jobs?action=kill", "GET jobs?action=kill"),
        ("/rest/1.1/jobs/6Kq/session/jobs/out.txt", "GET session"),
        ("/rest/1.1/jobs/6Kq/anything", "GET rest"),
        ("/rest/1.1/delegations/17?action=renew", "GET delegations?action=renew"),
        ("/rest/1.1/info?schema=glue2", "GET info"),
        ("/rest", "GET rest"),
        ("/rest/1.1/strange/x", "GET rest"),
    ],
)
def test_what_is_asked_names_no_job(path: str, words: str) -> None:
    assert arc_http.what("GET", path) == words


async def test_a_refused_identity_is_known_to_have_made_nothing(wire: tuple[House, ArcConnection]) -> None:
    house, connection = wire
    await house.fault("error", status=403, reason="No")
    with pytest.raises(CredentialError):
        await _post(connection)


async def test_an_answer_without_end_is_not_kept(
    wire: tuple[House, ArcConnection], monkeypatch: pytest.MonkeyPatch
) -> None:
    _house, connection = wire
    monkeypatch.setattr(arc_http, "LARGEST_ANSWER", 20)
    with pytest.raises(ProtocolError, match="more than 20 bytes"):
        await connection.call("GET", "/rest/1.1/info", datetime.now(UTC))


async def test_a_peer_that_does_not_speak_tls(pki: TestPki, tmp_path: Path) -> None:
    async def rude(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(rude, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    ce = opened(f"https://127.0.0.1:{port}/arex", pki, tmp_path)
    with pytest.raises(Transient):
        await ce.capacity()
    await ce.close()
    server.close()
    await server.wait_closed()


def test_a_ce_needs_a_proxy(pki: TestPki, tmp_path: Path) -> None:
    site = Site(endpoint="https://127.0.0.1:1/arex")
    with pytest.raises(ConfigError, match=r"set voms\.proxypath"):
        open_ce(Settings(state_dir=tmp_path), "ce", lambda: datetime.now(UTC), site)


async def test_an_upload_waits_for_its_turn(build: Builder) -> None:
    house = await build()
    ce = house.client(options={"transfers": 1, "calls": 1})
    jobs = await submitted(ce, *[TRUE] * 8)
    await commit(ce, jobs)
    assert await house.asked("PUT") == 8 + 1  # and the delegation


async def test_a_refused_upload_is_one_jobs_trouble(build: Builder) -> None:
    house = await build()
    ce = house.client()
    first, second = await submitted(ce, TRUE, TRUE)
    await house.fault("error", status=503, path=f"{first}/session")
    assert await ce.put_inputs({first: [COMMIT], second: [COMMIT]}) == {second: None}
    with pytest.raises(Transient, match="503"):
        await ce.put_inputs({first: [COMMIT]})


@pytest.mark.parametrize(
    ("fault", "heard"),
    [
        pytest.param({"kind": "latency", "seconds": 0.0}, 1, id="an answer"),
        pytest.param({"kind": "error", "status": 404, "reason": "No"}, 1, id="a refusal"),
        pytest.param({"kind": "error", "status": 403, "reason": "No"}, 1, id="a refused identity"),
        pytest.param({"kind": "error", "status": 503, "reason": "Busy"}, 0, id="too busy"),
        pytest.param({"kind": "error", "status": 500, "reason": "Oops"}, 0, id="in trouble"),
        pytest.param({"kind": "reset_before"}, 0, id="reset"),
        pytest.param({"kind": "down"}, 0, id="nobody listens"),
    ],
)
async def test_answers_are_counted(build: Builder, fault: dict[str, Any], heard: int) -> None:
    house = await build()
    ce = house.client()
    (job,) = await submitted(ce, TRUE)
    before = ce.answers
    await house.fault(**fault)
    with suppress(ActError):
        await ce.states([job])
    assert ce.answers - before == heard
