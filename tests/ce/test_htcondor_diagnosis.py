"""What is told of an HTCondor CE before any job."""

import socket
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from act_core.ce.base import Capacity
from act_core.ce.diagnosis import Finding, Verdict
from act_core.ce.htcondor_diagnosis import steps
from act_core.ce.registry import Place
from act_core.errors import Transient
from act_core.settings.model import Site
from act_core.simulators.pki import TestPki


@pytest.fixture
def listening() -> Iterator[str]:
    """A CE's address where somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def place(endpoint: str, proxy: Path | None = None) -> Place:
    return Place(
        name="ce",
        site=Site(kind="htcondor", endpoint=endpoint),
        where="here:1",
        line=lambda key: key,
        state_dir=Path("state"),
        ca_dir=Path("ca"),
        proxy=proxy,
        token=None,
        now=lambda: datetime.now(UTC),
    )


async def well() -> Capacity:
    return Capacity(version="HTCondor 25.14", total_slots=4)


async def away() -> Capacity:
    raise Transient("no schedd answers")


async def told(found: AsyncIterator[Finding]) -> dict[str, Finding]:
    return {one.step: one async for one in found}


async def test_of_a_well_one_the_rest_is_shown_by_the_first_job(listening: str, pki: TestPki) -> None:
    found = await told(steps(place(listening, pki.root / "proxy.pem"), True, well))
    assert list(found) == ["schedd", "address", "identity", "mapping", "version", "queue"]
    assert not any(one.bad for one in found.values())
    assert found["schedd"].words == "HTCondor 25.14, 4 slots"
    assert "/CN=alice" in found["identity"].words
    assert found["mapping"].verdict is Verdict.SKIPPED


async def test_a_schedds_own_pool_has_no_address(pki: TestPki) -> None:
    assert list(await told(steps(place("ce:9619"), False, well))) == ["schedd", "identity"]


async def test_without_a_schedd_nothing_else_makes_sense() -> None:
    found = await told(steps(place("ce:9619"), True, away))
    assert list(found) == ["schedd"]
    assert found["schedd"].words == "no schedd answers"
    assert "schedd, collector, config" in found["schedd"].do


async def test_a_ce_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    found = await told(steps(place(f"127.0.0.1:{port}"), True, well))
    assert list(found) == ["schedd", "address"]
    assert found["address"].words == f"nobody listens at 127.0.0.1:{port}: Connection refused"


async def test_an_expired_proxy(listening: str, pki: TestPki) -> None:
    old = pki.proxy("alice", timedelta(hours=-1), path=pki.root / "old-condor.pem")
    found = await told(steps(place(listening, old), True, well))
    assert "expired" in found["identity"].words
    assert found["identity"].bad
