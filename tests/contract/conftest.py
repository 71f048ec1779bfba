"""What every back end is tried with."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from act_core.jobspec import JobSpec
from act_core.simulators.pki import TestPki
from tests.contract.benches import BACK_ENDS, Bench, Help


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPki:
    made = TestPki(tmp_path_factory.mktemp("pki"))
    made.proxy("alice", path=made.root / "proxy.pem")
    return made


@pytest.fixture(params=list(BACK_ENDS))
async def bench(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    pki: TestPki,
    end_all: Any,
    eventually: Callable[..., Awaitable[Any]],
) -> AsyncIterator[Bench]:
    async with BACK_ENDS[request.param](Help(tmp_path, pki, end_all)) as (ce, settle):
        yield Bench(ce, tmp_path, settle, eventually)


@pytest.fixture
def gated(tmp_path: Path, shell: Callable[..., JobSpec]) -> Callable[..., tuple[JobSpec, Path]]:
    """A job that runs until its gate is opened (the file is made). `after`: what it does then."""

    def make(after: str = "true") -> tuple[JobSpec, Path]:
        gate = tmp_path / f"gate-{secrets.token_hex(4)}"
        return shell(f"while [ ! -e {gate} ]; do sleep 0.02; done; {after}"), gate

    return make
