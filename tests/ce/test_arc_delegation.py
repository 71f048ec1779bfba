"""Delegations: one for a credential at a CE, used again, renewed under the same id, made again when forgotten."""

import json
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509

from act_core.ce.base import Credential, RemoteId
from act_core.credentials.tls import client_context
from act_core.errors import ProtocolError, Transient
from act_core.jobspec import OutputFile
from act_core.simulators.arc_transfers import StagingOptions
from act_core.simulators.arc_wire import Flavour
from act_core.simulators.pki import TestPki, peer_dn, server_context
from act_core.simulators.serve import Simulator
from act_core.states import CeState
from tests.ce.arc_house import ALICE, TRUE, Builder, House, submitted

CREDENTIAL = Credential(Path("unused"), ALICE, datetime.now(UTC))  # a back end reads the file itself


async def _chain(house: House, pki: TestPki, known: str) -> x509.Certificate:
    """The proxy that the CE holds, as it tells it itself."""
    tls = client_context(pki.ca_dir, pki.root / "proxy.pem")
    url = f"{house.simulator.url}/arex/rest/1.0/delegations/{known}?action=get"
    async with house.session.post(url, ssl=tls) as answer:
        assert answer.status == 200, answer.reason
        return x509.load_pem_x509_certificates(await answer.read())[0]


async def _ids(house: House, pki: TestPki) -> list[str]:
    tls = client_context(pki.ca_dir, pki.root / "proxy.pem")
    headers = {"Accept": "application/json"}
    url = f"{house.simulator.url}/arex/rest/1.0/delegations"
    async with house.session.get(url, ssl=tls, headers=headers) as answer:
        found = (await answer.json() if await answer.read() else {}).get("delegation", [])
    return [one["id"] for one in (found if isinstance(found, list) else [found])]


async def _delete(house: House, pki: TestPki, known: str) -> int:
    tls = client_context(pki.ca_dir, pki.root / "proxy.pem")
    url = f"{house.simulator.url}/arex/rest/1.0/delegations/{known}?action=delete"
    async with house.session.post(url, ssl=tls) as answer:
        return answer.status


async def test_one_serves_all_submissions_also_of_the_next_process(house: House, pki: TestPki) -> None:
    """The request of 6.17 has an illegal version and its address ends in the query: both are got over."""
    for ce in (house.client(), house.client()):
        await submitted(ce, TRUE)
        await submitted(ce, TRUE)
    (known,) = await _ids(house, pki)
    assert await house.asked("delegations?action=new") == 1
    made = await _chain(house, pki, known)
    assert made.not_valid_after_utc <= datetime.now(UTC) + timedelta(hours=12)  # not longer than the proxy


async def test_what_is_remembered_is_nobody_elses_business(house: House) -> None:
    await submitted(house.client(), TRUE)
    (kept,) = (house.state / "delegations").iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("how", ["by a submission", "by a renewal", "before a restart"])
async def test_a_new_proxy_renews_it_under_the_same_id(house: House, pki: TestPki, tmp_path: Path, how: str) -> None:
    proxy = pki.proxy("alice", timedelta(hours=2), path=tmp_path / "proxy.pem")
    ce = house.client(proxy=proxy)
    await submitted(ce, TRUE)
    (known,) = await _ids(house, pki)
    before = await _chain(house, pki, known)
    pki.proxy("alice", timedelta(hours=9), path=proxy)
    if how == "by a submission":
        await submitted(ce, TRUE)
    elif how == "before a restart":
        assert set(await ce.restart([RemoteId("unknown")])) == {"unknown"}
    else:
        await ce.renew(CREDENTIAL)
        await ce.renew(CREDENTIAL)
    assert await _ids(house, pki) == [known]
    assert (await _chain(house, pki, known)).not_valid_after_utc > before.not_valid_after_utc + timedelta(hours=6)
    assert await house.asked("?action=renew") == 1


async def test_a_renewal_makes_none_where_there_was_none(house: House, pki: TestPki) -> None:
    await house.client().renew(CREDENTIAL)
    assert await _ids(house, pki) == []


async def test_it_is_signed_again_before_the_ce_forgets_it(house: House, pki: TestPki, tmp_path: Path) -> None:
    clock = [datetime.now(UTC)]
    proxy = pki.proxy("alice", timedelta(hours=40), path=tmp_path / "proxy.pem")
    ce = house.client(lambda: clock[0], proxy)
    await submitted(ce, TRUE)
    clock[0] += timedelta(hours=11)
    await submitted(ce, TRUE)
    assert await house.asked("?action=renew") == 0
    clock[0] += timedelta(hours=2)
    await submitted(ce, TRUE)
    assert await house.asked("?action=renew") == 1


async def test_one_that_the_ce_has_forgotten_comes_back_under_its_id(
    house: House, pki: TestPki, tmp_path: Path
) -> None:
    proxy = pki.proxy("alice", path=tmp_path / "proxy.pem")
    ce = house.client(proxy=proxy)
    await submitted(ce, TRUE)
    (known,) = await _ids(house, pki)
    await house.order("/amnesia", {})
    assert await _delete(house, pki, known) == 202
    pki.proxy("alice", timedelta(hours=9), path=proxy)
    await submitted(ce, TRUE)
    assert await _ids(house, pki) == [known]


async def test_a_ce_that_renews_nothing_gets_a_new_one(house: House, pki: TestPki, tmp_path: Path) -> None:
    proxy = pki.proxy("alice", path=tmp_path / "proxy.pem")
    ce = house.client(proxy=proxy)
    await submitted(ce, TRUE)
    pki.proxy("alice", timedelta(hours=9), path=proxy)
    await house.fault("error", status=404, reason="No such delegation", action="renew")
    await submitted(ce, TRUE)
    assert len(await _ids(house, pki)) == 2


async def test_jobs_of_another_identity_keep_theirs(house: House, pki: TestPki, tmp_path: Path) -> None:
    """The one of the first identity is renewed again when that is back, also by the next process."""
    proxy = pki.proxy("alice", timedelta(hours=2), path=tmp_path / "proxy.pem")
    ce = house.client(proxy=proxy)
    await submitted(ce, TRUE)
    (known,) = await _ids(house, pki)
    before = await _chain(house, pki, known)
    pki.proxy("bob", timedelta(hours=9), path=proxy)
    await submitted(ce, TRUE)
    await ce.renew(CREDENTIAL)
    assert await _chain(house, pki, known) == before
    pki.proxy("alice", timedelta(hours=9), path=proxy)
    await house.client(proxy=proxy).renew(CREDENTIAL)
    assert await _ids(house, pki) == [known]
    assert (await _chain(house, pki, known)).not_valid_after_utc > before.not_valid_after_utc + timedelta(hours=6)


async def test_what_older_versions_remembered_is_still_known(house: House, pki: TestPki) -> None:
    await submitted(house.client(), TRUE)
    (kept,) = (house.state / "delegations").iterdir()
    (one,) = json.loads(kept.read_text())["held"]
    del one["kind"]
    kept.write_text(json.dumps(one))
    await submitted(house.client(), TRUE)
    assert len(await _ids(house, pki)) == 1


@pytest.mark.parametrize(
    ("renewed", "state"), [(False, CeState.FAILED), (True, CeState.FINISHED)], ids=["not renewed", "renewed"]
)
@pytest.mark.parametrize("flavour", list(Flavour))
async def test_the_outputs_of_a_job_that_outlives_its_first_proxy(
    build: Builder,
    pki: TestPki,
    tmp_path: Path,
    over: Callable[..., Any],
    flavour: Flavour,
    renewed: bool,
    state: CeState,
) -> None:
    """The job's delegation ends before the CE sends its outputs; the tower that renews it was started meanwhile."""
    storage = Storage(pki)
    async with storage.server as shelf:
        house = await build(flavour, staging=StagingOptions(really=True))
        proxy = pki.proxy("alice", timedelta(hours=2), path=tmp_path / "proxy.pem")
        target = OutputFile(name="stdout.txt", target=f"{shelf.url}/out")
        (job,) = await submitted(house.client(proxy=proxy), TRUE.model_copy(update={"outputs": (target,)}))
        await house.order("/delegations", {"ahead": 3 * 3600})
        pki.proxy("alice", timedelta(hours=9), path=proxy)
        ce = house.client(proxy=proxy)
        if renewed:
            await ce.renew(CREDENTIAL)
        assert (await over(ce, [job]))[job].state is state
        assert storage.names == (["/out"] if renewed else [])
        if not renewed:
            assert "the delegated proxy has expired" in str((await ce.details([job]))[job].error)


class Storage:
    """Takes what comes from a client certificate of the test CA."""

    def __init__(self, pki: TestPki) -> None:
        self.names: list[str] = []
        app = web.Application()
        app.router.add_put("/{path:.*}", self._put)
        self.server = Simulator(app, tls=server_context(pki.host, pki.ca_dir))

    async def _put(self, request: web.Request) -> web.Response:
        await request.read()
        if peer_dn(request) != ALICE:
            return web.Response(status=403)
        self.names.append(request.path)
        return web.Response(status=201)


@pytest.mark.parametrize("how", ["by a submission", "by a renewal"])
async def test_trouble_while_it_is_renewed_makes_no_new_one(
    house: House, pki: TestPki, tmp_path: Path, how: str
) -> None:
    """Jobs that hold the old one would never be given a fresh proxy again."""
    proxy = pki.proxy("alice", path=tmp_path / "proxy.pem")
    ce = house.client(proxy=proxy)
    await submitted(ce, TRUE)
    (known,) = await _ids(house, pki)
    pki.proxy("alice", timedelta(hours=9), path=proxy)
    await house.fault("error", status=500, reason="Oops", action="renew", times=1)
    with pytest.raises(Transient, match="not renewed: the CE answers 500 Oops"):
        await (submitted(ce, TRUE) if how == "by a submission" else ce.renew(CREDENTIAL))
    await ce.renew(CREDENTIAL)
    assert await _ids(house, pki) == [known]
    assert await house.asked("?action=renew") == 2


async def test_rubbish_in_the_memory_costs_a_new_delegation_and_no_more(house: House, pki: TestPki) -> None:
    await submitted(house.client(), TRUE)
    (kept,) = (house.state / "delegations").iterdir()
    kept.write_text("{")
    await submitted(house.client(), TRUE)
    assert len(await _ids(house, pki)) == 2


async def test_of_another_endpoint_it_is_not_used(build: Builder, pki: TestPki) -> None:
    first, second = await build(), await build()
    await submitted(first.client(), TRUE)
    await submitted(second.client(), TRUE)
    assert (len(await _ids(first, pki)), len(await _ids(second, pki))) == (1, 1)
    assert await _ids(first, pki) != await _ids(second, pki)


@pytest.mark.parametrize(
    ("fault", "verdict", "words"),
    [
        pytest.param({"status": 500, "action": "new"}, Transient, "no delegation: the CE answers 500", id="no request"),
        pytest.param({"status": 404, "action": "new"}, ProtocolError, "no delegation: the CE answers 404", id="404"),
        pytest.param({"status": 500, "method": "PUT"}, Transient, "does not take the delegation: 500", id="not taken"),
    ],
)
async def test_without_a_delegation_nothing_is_submitted(
    house: House, fault: dict[str, Any], verdict: type[Exception], words: str
) -> None:
    await house.fault("error", path="/delegations", **fault)
    ce = house.client()
    with pytest.raises(verdict, match=words):
        await submitted(ce, TRUE)
    assert await house.asked("jobs?action=new") == 0
    await house.mended()
    await submitted(ce, TRUE)


async def test_a_request_that_is_none(house: House) -> None:
    await house.fault("empty", path="/delegations", action="new")
    with pytest.raises(ProtocolError, match="delegation request cannot be read"):
        await submitted(house.client(), TRUE)


async def test_every_job_carries_it(house: House, pki: TestPki) -> None:
    ce = house.client()
    (job,) = await submitted(ce, TRUE)
    (known,) = await _ids(house, pki)
    tls = client_context(pki.ca_dir, pki.root / "proxy.pem")
    url = f"{house.simulator.url}/arex/rest/1.0/jobs/{job}/diagnose/local"
    async with house.session.get(url, ssl=tls) as answer:
        assert isinstance(answer, aiohttp.ClientResponse)
        assert f"delegationid={known}\n" in await answer.text()
