"""Outputs on storage, against the simulated one over TLS."""

import ssl
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta

import aiohttp
import pytest

from act_core.credentials.tls import client_context
from act_core.simulators.faults import FaultRule, Kind
from act_core.simulators.pki import TestPki, server_context
from act_core.simulators.serve import Simulator
from act_core.simulators.storage_server import StorageOptions, serve_storage
from act_core.storage.check import Outcome, Verdict, Wanted, check, judge

SOON = timedelta(seconds=10)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPki:
    return TestPki(tmp_path_factory.mktemp("pki"))


@dataclass
class Storage:
    """A storage with files, and a client that checks them."""

    simulator: Simulator
    context: ssl.SSLContext
    session: aiohttp.ClientSession
    settings: dict[str, object] = field(default_factory=dict)

    def url(self, path: str) -> str:
        return f"{self.simulator.url}/{path}"

    async def put(self, path: str, content: bytes) -> Wanted:
        async with self.session.put(self.url(path), data=content) as answer:
            assert answer.status == 201
        return Wanted(self.url(path), len(content), f"{zlib.adler32(content):x}")

    async def manners(self, **changes: object) -> None:
        async with self.session.post(f"{self.simulator.control_url}/manners", json=changes) as answer:
            assert answer.status == 200, await answer.text()

    async def outcome(self, file: Wanted) -> Outcome:
        return (await check([file], context=self.context, timeout=SOON))[file.url].outcome

    def asked(self) -> int:
        return sum(sum(n.values()) for name, n in self.simulator.faults._stats.items() if name.startswith("HEAD"))


@pytest.fixture
async def storage(pki: TestPki) -> AsyncIterator[Storage]:
    context = client_context(pki.ca_dir, pki.proxy("robot"))
    tls = server_context(pki.host, pki.ca_dir)
    async with (
        await serve_storage(StorageOptions(tls=tls)) as simulator,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
    ):
        yield Storage(simulator, context, session)


async def test_every_outcome_has_its_name(storage: Storage) -> None:
    good = await storage.put("a/good", b"content")
    empty = await storage.put("a/empty", b"")
    other_size = Wanted((await storage.put("a/size", b"x")).url, 2, None)
    other_sum = Wanted((await storage.put("a/sum", b"xy")).url, 2, "00000001")
    no_sum = Wanted((await storage.put("a/no sum".replace(" ", "_"), b"xy")).url, 2, None)
    absent = Wanted(storage.url("a/none"), 1, "00000001")
    directory = Wanted(storage.url("a"), 1, "00000001")
    root = Wanted("root://se.example:1094//store/x", 1, "00000001")
    files = [good, empty, other_size, other_sum, no_sum, absent, directory, root]
    verdicts = await check(files, context=storage.context, timeout=SOON)
    assert [verdicts[file.url].outcome for file in files] == [
        Outcome.MATCH,
        Outcome.MATCH,
        Outcome.MISMATCH,
        Outcome.MISMATCH,
        Outcome.UNVERIFIABLE,
        Outcome.ABSENT,
        Outcome.MISMATCH,
        Outcome.UNVERIFIABLE,
    ]
    assert all(verdicts[file.url].words for file in files[2:])


async def test_a_storage_without_checksums_cannot_tell(storage: Storage) -> None:
    good = await storage.put("good", b"content")
    await storage.manners(digest=False)
    verdict = (await check([good], context=storage.context, timeout=SOON))[good.url]
    assert verdict == Verdict(Outcome.UNVERIFIABLE, "storage gives no adler32; the size agrees")
    assert await storage.outcome(Wanted(good.url, 8, good.adler32)) is Outcome.MISMATCH


async def test_redirects_are_followed(storage: Storage) -> None:
    good = await storage.put("good", b"content")
    await storage.manners(redirect=True)
    assert await storage.outcome(good) is Outcome.MATCH


async def test_forbidden_is_not_absent(storage: Storage) -> None:
    good = await storage.put("closed/good", b"content")
    await storage.manners(forbidden=["/closed"])
    assert await storage.outcome(good) is Outcome.FORBIDDEN


async def test_davs_is_https(storage: Storage) -> None:
    good = await storage.put("good", b"content")
    assert await storage.outcome(Wanted(good.url.replace("https:", "davs:"), 7, good.adler32)) is Outcome.MATCH


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ({"kind": Kind.ERROR, "status": 500}, Outcome.UNREACHABLE),
        ({"kind": Kind.ERROR, "status": 429}, Outcome.UNREACHABLE),
        ({"kind": Kind.ERROR, "status": 401}, Outcome.FORBIDDEN),
        ({"kind": Kind.ERROR, "status": 405}, Outcome.UNVERIFIABLE),
        ({"kind": Kind.ACCEPT_HANGUP}, Outcome.UNREACHABLE),
        ({"kind": Kind.DOWN}, Outcome.UNREACHABLE),
        ({"kind": Kind.WRONG_CHECKSUM}, Outcome.MISMATCH),
    ],
    ids=lambda value: str(value)[:50],
)
async def test_trouble_is_told_from_a_verdict(storage: Storage, fault: dict[str, object], outcome: Outcome) -> None:
    good = await storage.put("good", b"content")
    await storage.simulator.faults.add(FaultRule.model_validate(fault))
    assert await storage.outcome(good) is outcome


async def test_a_host_that_hangs_ends_with_the_deadline(storage: Storage) -> None:
    files = [await storage.put(f"f{i}", b"x") for i in range(4)]
    await storage.simulator.faults.add(FaultRule(kind=Kind.HANG, path="f[1-3]"))
    verdicts = await check(files, context=storage.context, timeout=SOON, deadline=timedelta(seconds=1))
    assert [verdicts[file.url].outcome for file in files] == [Outcome.MATCH] + [Outcome.UNREACHABLE] * 3


async def test_a_silent_host_is_not_asked_for_all_its_files(storage: Storage) -> None:
    files = [Wanted(storage.url(f"f{i}"), 1, None) for i in range(100)]
    await storage.simulator.faults.add(FaultRule(kind=Kind.ACCEPT_HANGUP))
    verdicts = await check(files, context=storage.context, perhost=2, timeout=SOON)
    assert {verdict.outcome for verdict in verdicts.values()} == {Outcome.UNREACHABLE}
    assert storage.asked() < 20


async def test_a_stranger_is_not_believed(storage: Storage, tmp_path_factory: pytest.TempPathFactory) -> None:
    good = await storage.put("good", b"content")
    stranger = client_context(TestPki(tmp_path_factory.mktemp("other")).ca_dir)
    assert (await check([good], context=stranger, timeout=SOON))[good.url].outcome is Outcome.UNREACHABLE


@pytest.mark.parametrize("url", ["", "x", "https://", "https://h:99999/x", "https://h/a b", "http://h/x", "srm://h/x"])
async def test_an_address_that_cannot_be_asked(url: str) -> None:
    file = Wanted(url, 1, "00000001")
    verdicts = await check([file], context=ssl.create_default_context())
    assert verdicts[url].outcome is Outcome.UNVERIFIABLE


@pytest.mark.parametrize(
    ("headers", "adler32", "outcome"),
    [
        ({"Digest": "adler32=1a2b"}, "00001a2b", Outcome.MATCH),
        ({"digest": "ADLER32=00001A2B"}, "1a2b", Outcome.MATCH),
        ({"Digest": "md5=abc=, adler32=1a2b"}, "1A2B", Outcome.MATCH),
        ({"Digest": "adler32=1a2c"}, "1a2b", Outcome.MISMATCH),
        ({"Digest": "adler32=zzz"}, "1a2b", Outcome.UNVERIFIABLE),
        ({"Digest": "md5=abc"}, "1a2b", Outcome.UNVERIFIABLE),
        ({"Digest": "adler32=1a2b"}, "xyz", Outcome.UNVERIFIABLE),
        ({"Digest": "adler32=1a2b", "Content-Length": "9"}, "1a2b", Outcome.MATCH),
        ({"Digest": "adler32=1a2b", "Content-Length": "8"}, "1a2b", Outcome.MISMATCH),
        ({"Digest": "adler32=1a2b", "Content-Length": "-1"}, "1a2b", Outcome.MATCH),
    ],
    ids=str,
)
def test_headers_as_servers_write_them(headers: dict[str, str], adler32: str, outcome: Outcome) -> None:
    assert judge(Wanted("https://h/x", 9, adler32), 200, headers).outcome is outcome


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (403, Outcome.FORBIDDEN),
        (404, Outcome.ABSENT),
        (410, Outcome.ABSENT),
        (409, Outcome.MISMATCH),
        (400, Outcome.UNVERIFIABLE),
        (501, Outcome.UNVERIFIABLE),
        (503, Outcome.UNREACHABLE),
    ],
)
def test_only_a_clear_no_is_absent(status: int, outcome: Outcome) -> None:
    assert judge(Wanted("https://h/x", 9, "1"), status, {"Content-Length": "9"}).outcome is outcome
