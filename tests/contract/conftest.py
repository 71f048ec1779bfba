"""What every back end is tried with."""

import importlib
import secrets
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from act_core.jobspec import JobSpec
from act_core.simulators.pki import TestPki
from tests.contract.benches import BACK_ENDS, REAL_BACK_ENDS, Bench, Help

REAL_PATIENCE = 150.0  # seconds


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPki:
    made = TestPki(tmp_path_factory.mktemp("pki"))
    made.proxy("alice", path=made.root / "proxy.pem")
    return made


@pytest.fixture(scope="session")
def servers() -> Iterator[Any]:
    """Real servers; none is started before a bench asks for it."""
    made = real().Servers()
    yield made
    made.close()


def real(module: str = "real_benches") -> Any:
    """The benches over real servers: their modules are programs too, and in no package."""
    if (place := str(Path(__file__).parent.parent / "real")) not in sys.path:
        sys.path.insert(0, place)
    return importlib.import_module(module)


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """For real servers, whose jobs are another account's, one that they can reach."""
    if request.node.callspec.params.get("bench") not in REAL_BACK_ENDS:
        yield tmp_path
        return
    with real("arex_account").open_directory() as made:
        yield made


REAL = [pytest.param(name, marks=pytest.mark.real) for name in REAL_BACK_ENDS]


@pytest.fixture(params=[*BACK_ENDS, *REAL])
async def bench(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    pki: TestPki,
    end_all: Any,
    eventually: Callable[..., Awaitable[Any]],
) -> AsyncIterator[Bench]:
    is_real = request.param in REAL_BACK_ENDS
    servers = request.getfixturevalue("servers") if is_real else None
    back_ends = real().BACK_ENDS if is_real else BACK_ENDS
    async with back_ends[request.param](Help(tmp_path, pki, end_all, servers)) as (ce, settle):
        yield Bench(ce, tmp_path, settle, partial(eventually, patience=REAL_PATIENCE) if is_real else eventually)


@pytest.fixture
def gated(tmp_path: Path, shell: Callable[..., JobSpec]) -> Callable[..., tuple[JobSpec, Path]]:
    """A job that runs until its gate is opened (the file is made). `after`: what it does then."""

    def make(after: str = "true") -> tuple[JobSpec, Path]:
        gate = tmp_path / f"gate-{secrets.token_hex(4)}"
        return shell(f"while [ ! -e {gate} ]; do sleep 0.02; done; {after}"), gate

    return make
