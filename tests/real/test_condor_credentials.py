"""Tokens and proxies that are renewed under jobs, through a real grid manager to a real CE and its nodes."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
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
RENEWED_S = 60.0
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


@dataclass
class Newer:
    """Proxies that follow each other. HTCondor's shadow hands each to its node once: what is lost there, the next one
    makes good."""

    house: CondorHouse
    shown: list[str] = field(default_factory=list)
    next_at: float = 0.0

    async def arrives(self) -> str:
        """Renew where it is time; how many payloads have seen one, by their own word."""
        if (now := asyncio.get_running_loop().time()) >= self.next_at:
            self.next_at, proxy = now + RENEWED_S, self.house.root / "proxy.pem"
            hours = timedelta(hours=5 + len(self.shown))
            TestPki(self.house.root / "pki").proxy("alice", hours, path=proxy)
            self.shown.append(digest(proxy))
            await sweep(self.house.tower, "renew-credentials")
        return f"arrived at {self.house.executed()['newer']} of {len(CES)}"


async def test_tokens_and_proxies_are_renewed_under_queued_and_running_jobs(house: CondorHouse) -> None:
    """A token that is refused moves nothing; a proxy arrives at the node, and a newer one while the payload runs."""
    issuer, token, proxy = house.pair.issuer, house.root / "token", house.root / "proxy.pem"
    assert issuer is not None
    outputs = (OutputFile(name="first"), OutputFile(name="last"))
    for ce in CES:
        script = f"{SEES}; {WAITS}; echo newer >> {house.inner_witness}"
        await house.add(ce, house.spec(f"{ce}-job", script, outputs=outputs))
    names = [f"{ce}-job" for ce in CES]
    token.write_text(issuer.token(subject="nobody"))
    await house.until(lambda rows: all(row.inputs_sent_at for row in rows.values()), *names, stages=("submit",))
    await house.until_so(lambda: refused(house), "2 of 2", stages=WATCH)
    token.write_text(house.pair.token.read_text())
    before, newer = digest(proxy), Newer(house)
    await house.until(lambda rows: running(rows) and len(house.executed()) == len(names), *names, stages=WATCH)
    token.write_text(issuer.token())
    await house.until_so(newer.arrives, "arrived at 2 of 2", stages=WATCH)
    rows = await house.to_the_end(*names)
    assert {row.state for row in rows.values()} == {S.DONE}
    for row in rows.values():
        assert house.output(row, "first").split()[0] == before
        assert house.output(row, "last").split()[0] in newer.shown
    assert house.executed() == dict.fromkeys(names, 1) | {"newer": len(CES)}
    await house.until_empty("submit")
