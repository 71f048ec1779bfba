"""Delegations of a tower with several machines: they agree on the id, and each renews the one that jobs hold."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from act_core.ce.arc_rest import ArcCe
from act_core.ce.base import Credential, TowerId
from act_core.ce.registry import open_ce
from act_core.credentials.tls import client_context
from act_core.errors import Transient
from act_core.settings.model import ArcSettings, Settings, Site
from act_core.settings.policy import Voms
from act_core.simulators.arc_wire import Flavour
from act_core.simulators.pki import TestPki
from tests.ce.arc_house import ALICE, TOWER, TRUE, Builder, House, submitted, utc

HOUR = timedelta(hours=1)
CREDENTIAL = Credential(Path("unused"), ALICE, datetime.now(UTC))  # a back end reads the file itself


class Machines:
    """Machines of towers, each with a state directory of its own; the proxy is the same for all."""

    def __init__(self, house: House, pki: TestPki, root: Path) -> None:
        self.house, self._pki, self._root = house, pki, root
        self.proxy = root / "proxy.pem"
        self.shown(2)

    def shown(self, hours: float, user: str = "alice") -> None:
        self._pki.proxy(user, hours * HOUR, path=self.proxy)

    def client(self, machine: str, tower: TowerId | None = TOWER, name: str = "ce") -> ArcCe:
        """As one process of the machine has it."""
        voms = Voms(proxypath=self.proxy, cacertdir=self._pki.ca_dir)
        settings = Settings(state_dir=self._root / machine, arc=ArcSettings(voms=voms))
        site = Site(endpoint=f"{self.house.simulator.url}/arex")
        ce = open_ce(settings, name, utc, site, tower)
        assert isinstance(ce, ArcCe)
        self.house.stack.push_async_callback(ce.close)
        return ce

    async def _asked(self, path: str, method: str = "GET") -> Any:
        tls = client_context(self._pki.ca_dir, self._pki.root / "proxy.pem")
        url = f"{self.house.simulator.url}/arex/rest/1.0/delegations{path}"
        async with self.house.session.request(method, url, ssl=tls, headers={"Accept": "application/json"}) as answer:
            return await answer.read()

    async def ids(self) -> set[str]:
        """As the CE has them, of alice."""
        listed = json.loads(await self._asked("") or b"{}").get("delegation", [])
        return {one["id"] for one in (listed if isinstance(listed, list) else [listed])}

    async def left(self, known: str) -> timedelta:
        """Of the proxy that the CE holds."""
        pem = await self._asked(f"/{known}?action=get", "POST")
        return x509.load_pem_x509_certificates(pem)[0].not_valid_after_utc - utc()


@pytest.fixture(params=[Flavour.V6, Flavour.V7], ids=["6.17", "7"])
async def machines(request: pytest.FixtureRequest, build: Builder, pki: TestPki, tmp_path: Path) -> Machines:
    return Machines(await build(request.param), pki, tmp_path)


async def test_another_machine_renews_what_jobs_hold(machines: Machines) -> None:
    await submitted(machines.client("one"), TRUE)
    (known,) = await machines.ids()
    machines.shown(9)
    await machines.client("two").renew(CREDENTIAL)
    assert await machines.ids() == {known}
    assert await machines.left(known) > 8 * HOUR
    asked = await machines.house.asked("delegations")
    await machines.client("two").renew(CREDENTIAL)  # it is remembered there now
    assert await machines.house.asked("delegations") == asked


async def test_nothing_is_made_by_a_machine_that_only_renews(machines: Machines) -> None:
    await machines.client("two").renew(CREDENTIAL)
    assert await machines.ids() == set()


async def test_a_lost_state_directory_costs_no_delegation(machines: Machines) -> None:
    for machine in ("one", "a new one", "another one"):
        await submitted(machines.client(machine), TRUE)
    assert len(await machines.ids()) == 1


async def test_towers_roles_and_identities_share_none(machines: Machines) -> None:
    """Two entries for one endpoint may be shown different roles of one person."""
    await submitted(machines.client("one"), TRUE)
    await submitted(machines.client("one", TowerId("tower002")), TRUE)
    await submitted(machines.client("one", name="ce-pilots"), TRUE)
    assert len(await machines.ids()) == 3
    machines.shown(2, "bob")
    await submitted(machines.client("one"), TRUE)
    machines.shown(2)
    assert len(await machines.ids()) == 3
    await submitted(machines.client("one"), TRUE)
    assert len(await machines.ids()) == 3


async def test_what_another_stage_has_signed_meanwhile_is_known(machines: Machines) -> None:
    """Each stage of a process has connections of its own, and lives for months."""
    submits, renews = machines.client("one", None), machines.client("one", None)
    await submitted(submits, TRUE)
    await renews.renew(CREDENTIAL)
    machines.shown(2, "bob")
    await submitted(submits, TRUE)
    machines.shown(9)
    await submitted(submits, TRUE)
    machines.shown(9, "bob")
    await renews.renew(CREDENTIAL)
    kept = json.loads((machines.proxy.parent / "one" / "delegations" / "ce.json").read_text())["held"]
    ends = {one["subject"]: datetime.fromisoformat(one["proxy_expires"]) - utc() for one in kept}
    assert len(ends) == 2
    assert min(ends.values()) > 8 * HOUR


async def test_one_with_an_id_of_the_ces_is_renewed_as_long_as_it_is_known(machines: Machines) -> None:
    """Of an older version, or of `act ces test`, which knows no tower."""
    await submitted(machines.client("one", None), TRUE)
    (older,) = await machines.ids()
    await submitted(machines.client("one"), TRUE)
    (own,) = await machines.ids() - {older}
    machines.shown(9)
    await machines.client("one").renew(CREDENTIAL)
    assert await machines.ids() == {older, own}
    assert min(await machines.left(older), await machines.left(own)) > 8 * HOUR


@pytest.mark.parametrize("status", [404, 500])
async def test_a_ce_that_takes_no_id_of_ours_chooses_one(machines: Machines, status: int) -> None:
    house = machines.house
    await house.fault("error", status=status, reason="No such delegation", action="renew", times=1)
    await submitted(machines.client("one"), TRUE)
    (theirs,) = await machines.ids()
    machines.shown(9)
    await submitted(machines.client("one"), TRUE)
    assert await machines.ids() == {theirs}
    assert await machines.left(theirs) > 8 * HOUR


async def test_trouble_while_it_is_looked_for_is_no_absence(machines: Machines) -> None:
    await submitted(machines.client("one"), TRUE)
    await machines.house.fault("error", status=500, reason="Oops", action="get", times=1)
    machines.shown(9)
    ce = machines.client("two")
    with pytest.raises(Transient, match="does not tell its delegation: 500 Oops"):
        await ce.renew(CREDENTIAL)
    await ce.renew(CREDENTIAL)
    (known,) = await machines.ids()
    assert await machines.left(known) > 8 * HOUR
