"""Tokens and proxies that are renewed under jobs, through a real grid manager to a real CE and its nodes."""

import hashlib
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from condor import Condor
from condor_house import CondorHouse, open_condor_house

from act_core.db import queries
from act_core.db.models import CeJob
from act_core.jobspec import OutputFile
from act_core.simulators.pki import TestPki
from act_core.stages import sweep
from act_core.states import CeState

pytestmark = pytest.mark.real

S = CeState
WATCH = ("submit", "sweep-status")
CES = ("shared", "spool")
SEES = 'now() { sha256sum < "$X509_USER_PROXY"; }; first=$(now); echo "$first" > first'
WAITS = 'for _ in $(seq 3000); do [ "$(now)" != "$first" ] && break; sleep 0.2; done; now > last'


@pytest.fixture
async def house(condor: Condor, open_path: Path) -> AsyncIterator[CondorHouse]:
    sites = {ce: condor.grid() | {"files": ce} for ce in CES}
    proxy = TestPki(open_path / "pki").proxy("alice", timedelta(hours=1), path=open_path / "proxy.pem")
    async with open_condor_house(condor, open_path, sites, proxy) as opened:
        yield opened


async def refused(house: CondorHouse) -> str:
    """How many of the CEs are said to refuse us."""
    rows = [await house.rt.read(queries.ce_row, ce) for ce in CES]
    return f"{sum('refuses the credential' in (row.trouble or '') for row in rows if row)} of {len(rows)}"


def running(rows: Mapping[str, CeJob]) -> bool:
    return {row.state for row in rows.values()} == {S.RUNNING}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


async def test_tokens_and_proxies_are_renewed_under_queued_and_running_jobs(house: CondorHouse) -> None:
    """A token that is refused moves nothing; a proxy arrives at the node, and a newer one while the payload runs."""
    issuer, token, proxy = house.pair.issuer, house.root / "token", house.root / "proxy.pem"
    assert issuer is not None
    outputs = (OutputFile(name="first"), OutputFile(name="last"))
    for ce in CES:
        await house.add(ce, house.spec(f"{ce}-job", f"{SEES}; {WAITS}", outputs=outputs))
    names = [f"{ce}-job" for ce in CES]
    token.write_text(issuer.token(subject="nobody"))
    await house.until(lambda rows: all(row.inputs_sent_at for row in rows.values()), *names, stages=("submit",))
    await house.until_so(lambda: refused(house), "2 of 2", stages=WATCH)
    token.write_text(house.pair.token.read_text())
    before = digest(proxy)
    await house.until(lambda rows: running(rows) and len(house.executed()) == len(names), *names, stages=WATCH)
    token.write_text(issuer.token())
    TestPki(house.root / "pki").proxy("alice", timedelta(hours=5), path=proxy)
    await sweep(house.tower, "renew-credentials")
    rows = await house.to_the_end(*names)
    assert {row.state for row in rows.values()} == {S.DONE}
    for row in rows.values():
        assert house.output(row, "first").split()[0] == before
        assert house.output(row, "last").split()[0] == digest(proxy)
    assert house.executed() == dict.fromkeys(names, 1)
    await house.until_empty("submit")
