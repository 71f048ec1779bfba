"""Simulated storages over TLS, and a tower's end that asks them."""

import ssl
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from act_core.credentials.tls import client_context
from act_core.simulators.faults import FaultRule
from act_core.simulators.pki import TestPki, server_context
from act_core.simulators.serve import Simulator
from act_core.simulators.storage_files import Files, Inputs
from act_core.simulators.storage_http import Manners, Shelf
from act_core.storage.base import Limits, Outcome, Wanted
from act_core.storage.storage import Storage
from act_core.storage.webdav import Bearer, Webdav

SOON = timedelta(seconds=10)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPki:
    return TestPki(tmp_path_factory.mktemp("pki"))


@dataclass
class Shop:
    """A storage that runs."""

    shelf: Shelf
    simulator: Simulator

    def url(self, path: str) -> str:
        return f"{self.simulator.url}/{path}"

    def put(self, path: str, content: bytes) -> Wanted:
        self.shelf.files.put(path, content)
        return Wanted(self.url(path), len(content), f"{zlib.adler32(content):x}")

    async def fault(self, **rule: object) -> None:
        await self.simulator.faults.add(FaultRule.model_validate(rule))

    def asked(self, verb: str = "HEAD") -> int:
        """How many requests came."""
        said = self.simulator.faults._stats.items()
        return sum(sum(answers.values()) for name, answers in said if name.startswith(f"{verb} "))


@dataclass
class Town:
    """Storages, and a clock for those who ask them."""

    pki: TestPki
    stack: AsyncExitStack
    context: ssl.SSLContext
    now: float = 1000.0
    shops: list[Shop] = field(default_factory=list)

    async def open_shop(self) -> Shop:
        shelf = Shelf(Files(), Inputs(), Manners())
        tls = server_context(self.pki.host, self.pki.ca_dir)
        simulator = await self.stack.enter_async_context(Simulator(shelf.app(), tls=tls))
        self.shops.append(Shop(shelf, simulator))
        return self.shops[-1]

    def client(
        self, bearer: Bearer | None = None, clock: Callable[[], float] | None = None, **limits: object
    ) -> Storage:
        """`limits`: of `Limits`; a file has a few seconds otherwise."""
        web = Webdav(lambda: self.context, SOON, bearer)
        wanted = {"timeout": SOON, **limits}
        made = Storage({"https": web, "davs": web}, Limits(**wanted), clock or (lambda: self.now))  # type: ignore[arg-type]
        self.stack.push_async_callback(made.close)
        return made


@pytest.fixture
async def town(pki: TestPki) -> AsyncIterator[Town]:
    async with AsyncExitStack() as stack:
        yield Town(pki, stack, client_context(pki.ca_dir, pki.proxy("robot")))


@pytest.fixture
async def shop(town: Town) -> Shop:
    return await town.open_shop()


async def outcome(storage: Storage, file: Wanted) -> Outcome:
    return (await storage.check([file]))[file].outcome


def host_of(shop: Shop) -> str:
    """As people read it."""
    return urlsplit(shop.simulator.url).netloc
