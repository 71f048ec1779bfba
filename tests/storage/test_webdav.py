"""Outputs over https, against the simulated storage: every outcome has its name, and trouble is no verdict."""

import asyncio
import contextlib
import hashlib
import socket
import ssl
from pathlib import Path

import pytest
from aiohttp import web

from act_core.credentials.tls import client_context
from act_core.errors import CredentialError
from act_core.simulators.faults import Kind
from act_core.simulators.pki import TestPki, server_context
from act_core.simulators.serve import Simulator
from act_core.storage.base import Fate, Outcome, Verdict, Wanted
from act_core.storage.webdav import Bearer
from tests.storage.conftest import Shop, Town, host_of, outcome


async def test_every_outcome_has_its_name(town: Town, shop: Shop) -> None:
    shop.shelf.manners.forbidden = ("/closed",)
    expected = {
        shop.put("a/good", b"content"): Outcome.MATCH,
        shop.put("a/empty", b""): Outcome.MATCH,
        Wanted(shop.put("a/size", b"x").url, 2, None): Outcome.MISMATCH,
        Wanted(shop.put("a/sum", b"xy").url, 2, "00000001"): Outcome.MISMATCH,
        Wanted(shop.put("a/no_sum", b"xy").url, 2, None): Outcome.UNVERIFIABLE,
        Wanted(shop.url("a/none"), 1, "00000001"): Outcome.ABSENT,
        Wanted(shop.url("a"), 1, "00000001"): Outcome.MISMATCH,
        Wanted(shop.url("a/"), 1, "00000001"): Outcome.MISMATCH,
        Wanted(shop.url("closed/x"), 1, "00000001"): Outcome.FORBIDDEN,
        Wanted("srm://se.example:8443/store/x", 1, "00000001"): Outcome.UNVERIFIABLE,
    }
    verdicts = await town.client().check(expected)
    assert {file.url: verdict.outcome for file, verdict in verdicts.items()} == {f.url: o for f, o in expected.items()}
    assert all(v.words for v in verdicts.values() if v.outcome is not Outcome.MATCH)


async def test_two_jobs_may_want_one_address_to_be_different(town: Town, shop: Shop) -> None:
    good = shop.put("a", b"content")
    other = Wanted(good.url, 8, good.adler32)
    verdicts = await town.client().check([good, other])
    assert (verdicts[good].outcome, verdicts[other].outcome) == (Outcome.MATCH, Outcome.MISMATCH)


async def test_a_storage_without_checksums_cannot_tell(town: Town, shop: Shop) -> None:
    good = shop.put("good", b"content")
    shop.shelf.manners.digest = False
    said = await town.client().check([good])
    assert said[good] == Verdict(Outcome.UNVERIFIABLE, "storage gives no adler32; the size agrees")
    assert await outcome(town.client(), Wanted(good.url, 8, good.adler32)) is Outcome.MISMATCH


async def test_a_storage_that_knows_only_md5_is_asked_for_that(town: Town, shop: Shop) -> None:
    good = shop.put("good", b"content")
    shop.shelf.manners.digests = ("md5",)
    digits = hashlib.md5(b"content").hexdigest()
    storage = town.client()
    assert await outcome(storage, Wanted(good.url, 7, good.adler32, digits)) is Outcome.MATCH
    assert await outcome(storage, Wanted(good.url, 7, None, digits[::-1])) is Outcome.MISMATCH
    assert await outcome(storage, good) is Outcome.UNVERIFIABLE


async def test_an_empty_file_needs_no_checksum_of_the_storage(town: Town, shop: Shop) -> None:
    shop.shelf.manners.digest = False
    empty = shop.put("empty", b"")
    assert await outcome(town.client(), empty) is Outcome.MATCH
    assert await outcome(town.client(), Wanted(empty.url, 0, "00000002")) is Outcome.MISMATCH


async def test_davs_is_https(town: Town, shop: Shop) -> None:
    good = shop.put("good", b"content")
    assert await outcome(town.client(), Wanted(good.url.replace("https:", "davs:"), 7, good.adler32)) is Outcome.MATCH


@pytest.mark.parametrize(
    ("fault", "expected"),
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
async def test_trouble_is_told_from_a_verdict(
    town: Town, shop: Shop, fault: dict[str, object], expected: Outcome
) -> None:
    good = shop.put("good", b"content")
    await shop.fault(**fault)
    assert await outcome(town.client(), good) is expected


async def test_a_checksum_that_failed_once_is_there_the_next_time(town: Town, shop: Shop) -> None:
    good, storage = shop.put("good", b"content"), town.client()
    await shop.fault(kind=Kind.ERROR, status=500, times=1)
    first = (await storage.check([good]))[good]
    assert first == Verdict(Outcome.UNREACHABLE, f"{host_of(shop)}: storage answers 500")
    assert await outcome(storage, good) is Outcome.MATCH


async def test_redirects_are_followed(town: Town, shop: Shop) -> None:
    good = shop.put("good", b"content")
    shop.shelf.manners.redirect = True
    assert await outcome(town.client(), good) is Outcome.MATCH


async def test_a_redirect_to_plain_http_is_not_followed(town: Town, shop: Shop) -> None:
    good = shop.put("good", b"content")
    shop.shelf.manners.redirect_to = "http://127.0.0.1:9"
    verdict = (await town.client().check([good]))[good]
    assert (verdict.outcome, "no https address" in verdict.words) == (Outcome.UNVERIFIABLE, True)


async def test_a_redirect_to_what_is_no_address_is_not_followed(town: Town, shop: Shop) -> None:
    good = shop.put("good", b"content")
    shop.shelf.manners.redirect_to = "https://["
    verdict = (await town.client().check([good]))[good]
    assert (verdict.outcome, "redirected to 'https://[" in verdict.words) == (Outcome.UNVERIFIABLE, True)


async def test_redirects_in_a_circle_end(town: Town, shop: Shop) -> None:
    good = shop.put("good", b"content")
    shop.shelf.manners.redirect_to = shop.simulator.url
    assert await outcome(town.client(), good) is Outcome.UNREACHABLE
    assert shop.asked() < 10


async def test_a_token_is_shown_to_the_hosts_that_are_meant_and_to_no_other(town: Town, shop: Shop) -> None:
    """Addresses come from jobs, and a storage may send us anywhere."""
    seen: list[str | None] = []

    async def stranger(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.Response(headers={"Digest": "adler32=00000001"})

    elsewhere = web.Application()
    elsewhere.router.add_route("*", "/{path:.*}", stranger)
    tls = server_context(town.pki.host, town.pki.ca_dir)
    simulator = await town.stack.enter_async_context(Simulator(elsewhere, tls=tls))
    there = simulator.url.replace("127.0.0.1", "localhost")
    good = shop.put("good", b"content")
    shop.shelf.manners.token = "s3cret"
    assert await outcome(town.client(), good) is Outcome.FORBIDDEN
    storage = town.client(Bearer(lambda: "s3cret", ("127.0.0.1", ".example.org")))
    assert await outcome(storage, good) is Outcome.MATCH
    shop.shelf.manners.redirect_to = there
    await outcome(storage, good)
    await outcome(storage, Wanted(f"{there}/x", 1, "1"))
    assert seen == [None, None]
    shop.shelf.manners.redirect_to = None
    assert await outcome(storage, good) is Outcome.MATCH


@pytest.mark.parametrize(
    ("host", "meant"),
    [("se.example.org", True), ("example.org", False), ("seexample.org", False), ("dcache.cern.ch", True)],
)
def test_which_hosts_are_meant(host: str, meant: bool) -> None:
    assert bool(Bearer(lambda: "x", (".Example.org", "dcache.cern.ch")).headers(host)) is meant


async def test_a_stranger_is_not_believed(town: Town, shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> None:
    good = shop.put("good", b"content")
    town.context = client_context(TestPki(tmp_path_factory.mktemp("other")).ca_dir)
    assert await outcome(town.client(), good) is Outcome.UNREACHABLE
    assert shop.asked() == 0


async def test_a_certificate_that_storage_does_not_take_is_our_trouble_and_not_its(
    town: Town, tmp_path_factory: pytest.TempPathFactory
) -> None:
    unknown = TestPki(tmp_path_factory.mktemp("other"))
    town.context = client_context(town.pki.ca_dir, unknown.proxy("robot"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        refusing = asyncio.create_task(asyncio.to_thread(_refuse, listening, town.pki))
        file = Wanted(f"https://127.0.0.1:{listening.getsockname()[1]}/x", 1, "1")
        verdict = (await town.client().check([file]))[file]
        await refusing
    assert verdict.outcome is Outcome.FORBIDDEN
    assert "certificate" in verdict.words


def _refuse(listening: socket.socket, pki: TestPki) -> None:
    """A handshake, ended as by storages that do not know the client's authority; asyncio's servers send no alert."""
    context = server_context(pki.host, pki.ca_dir)
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # in TLS 1.3 the end of the connection may overtake the alert
    listening.settimeout(10)
    plain, _ = listening.accept()
    plain.settimeout(10)
    wrapped = context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
    with contextlib.closing(wrapped), pytest.raises(ssl.SSLError, match="certificate verify failed"):
        wrapped.do_handshake()


async def test_our_own_credential_is_nobodys_verdict(town: Town, shop: Shop) -> None:
    good = shop.put("good", b"content")

    def unreadable() -> str:
        raise CredentialError("the token cannot be read")

    with pytest.raises(CredentialError, match="cannot be read"):
        await town.client(Bearer(unreadable, ("127.0.0.1",))).check([good])


# --- deletion ---------------------------------------------------------------------------------------------------------


async def test_what_becomes_of_files_that_are_to_be_deleted(town: Town, shop: Shop) -> None:
    shop.shelf.manners.read_only = ("/kept",)
    expected = {
        shop.put("a/b", b"content").url: Fate.DELETED,
        shop.url("a/none"): Fate.ABSENT,
        shop.put("kept/x", b"content").url: Fate.REFUSED,
        "srm://se.example:8443/x": Fate.REFUSED,
        "no address": Fate.REFUSED,
    }
    removals = await town.client().delete(expected)
    assert {url: removal.fate for url, removal in removals.items()} == expected
    assert [listed.path for listed in shop.shelf.files.listed()] == ["kept/x"]


@pytest.mark.parametrize("path", ["a", "a/", "", "a/?x=1"])
async def test_a_directory_is_never_deleted(town: Town, shop: Shop, path: str) -> None:
    shop.put("a/b", b"content")
    shop.shelf.manners.recursive = True
    url = shop.url(path)
    assert (await town.client().delete([url]))[url].fate is Fate.REFUSED
    assert len(shop.shelf.files) == 1


async def test_what_storage_does_not_describe_is_not_deleted(town: Town, shop: Shop) -> None:
    file = shop.put("a/b", b"content")
    shop.shelf.manners.propfind = False
    assert (await town.client().delete([file.url]))[file.url].fate is Fate.REFUSED
    assert len(shop.shelf.files) == 1


async def test_a_deletion_whose_answer_is_lost_is_asked_again_and_was_done(town: Town, shop: Shop) -> None:
    file, storage = shop.put("a/b", b"content"), town.client()
    await shop.fault(kind=Kind.ACCEPT_HANGUP, method="DELETE", times=2)  # aiohttp tries once more
    assert (await storage.delete([file.url]))[file.url].fate is Fate.UNREACHABLE
    assert (await storage.delete([file.url]))[file.url].fate is Fate.ABSENT


async def test_a_storage_in_trouble_refuses_nothing(town: Town, shop: Shop) -> None:
    file = shop.put("a/b", b"content")
    await shop.fault(kind=Kind.ERROR, status=503)
    assert (await town.client().delete([file.url]))[file.url].fate is Fate.UNREACHABLE


async def test_a_storage_that_sends_too_much_is_read_for_a_moment_only(town: Town, tmp_path: Path) -> None:
    sent = []

    async def flood(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(status=207)
        await answer.prepare(request)
        for _ in range(1 << 14):
            await answer.write(b"x" * (1 << 16))
            sent.append(1)
        return answer

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", flood)
    tls = server_context(town.pki.host, town.pki.ca_dir)
    simulator = await town.stack.enter_async_context(Simulator(app, tls=tls))
    url = f"{simulator.url}/x"
    assert (await town.client().delete([url]))[url].fate is Fate.REFUSED
    assert len(sent) < 1 << 10
