"""Delegations whose id the tower chooses, at a real A-REX: each machine of a tower renews the one that jobs hold."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from arex import Arex
from cryptography import x509
from real_benches import leave_nothing

from act_core.ce.arc_rest import ArcCe
from act_core.ce.base import Credential, TowerId
from act_core.ce.registry import open_ce
from act_core.db.attempts import new_key
from act_core.jobspec import JobSpec
from act_core.settings.model import ArcSettings, Settings, Site
from act_core.settings.policy import Voms
from act_core.simulators.pki import TestPki

pytestmark = pytest.mark.real

HOUR = timedelta(hours=1)
TOWER = TowerId("tower001")
TRUE = JobSpec(executable="/bin/true")


def _now() -> datetime:
    return datetime.now(UTC)


def _client(arex: Arex, state: Path, proxy: Path, tower: TowerId = TOWER) -> ArcCe:
    """As a machine has it."""
    settings = Settings(state_dir=state, arc=ArcSettings(voms=Voms(proxypath=proxy, cacertdir=arex.ca_dir)))
    ce = open_ce(settings, "real", _now, Site(endpoint=arex.url, options={"grace": 0}), tower)
    assert isinstance(ce, ArcCe)
    return ce


async def _ids(ce: ArcCe) -> set[str]:
    answer = await ce._wire.call("GET", f"{await ce._path()}/delegations", _now())
    listed = json.loads(answer.body or b"{}").get("delegation", [])
    return {one["id"] for one in (listed if isinstance(listed, list) else [listed])}


async def _left(ce: ArcCe, known: str) -> timedelta:
    answer = await ce._wire.call("POST", f"{await ce._path()}/delegations/{known}?action=get", _now(), b"")
    return x509.load_pem_x509_certificates(answer.body)[0].not_valid_after_utc - _now()


async def test_another_machine_renews_what_jobs_hold(arex: Arex, tmp_path: Path) -> None:
    pki, proxy = TestPki(arex.home / "pki"), tmp_path / "proxy.pem"
    pki.proxy("alice", 2 * HOUR, path=proxy)
    one, two, other = (
        _client(arex, tmp_path / "one", proxy),
        _client(arex, tmp_path / "two", proxy),
        _client(arex, tmp_path / "other", proxy, TowerId("tower002")),
    )
    shown = Credential(proxy, "", _now())
    try:
        before = await _ids(one)
        await two.renew(shown)
        assert await _ids(one) == before  # nothing to renew, and nothing is made
        answers = await one.submit({new_key(TOWER): TRUE})
        assert {type(answer) for answer in answers.values()} == {str}
        (known,) = await _ids(one) - before
        pki.proxy("alice", 9 * HOUR, path=proxy)
        await two.renew(shown)
        assert await _ids(one) == before | {known}
        assert await _left(one, known) > 8 * HOUR
        await other.submit({new_key(TowerId("tower002")): TRUE})
        assert len(await _ids(one)) == len(before) + 2
    finally:
        for ce in (one, two, other):
            await leave_nothing(ce, arex)
            await ce.close()
