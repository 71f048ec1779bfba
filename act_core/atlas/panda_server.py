"""The configured PanDA server, in the dialect that it speaks."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Self, TypeVar

from act_core.atlas.panda_access import Access, ProxyAccess, TokenAccess
from act_core.atlas.panda_client import PandaClient
from act_core.atlas.panda_errors import NotSpoken
from act_core.atlas.panda_identity import panda_proxy
from act_core.atlas.panda_legacy import PandaLegacy
from act_core.atlas.panda_v1 import PandaV1
from act_core.atlas.reports import ActiveJobs, Attributes, JobStatus, Update, UpdateAnswer, Worker
from act_core.atlas.wire import MalformedJob, PandaJob
from act_core.errors import ActError, ConfigError, CredentialError, ProtocolError
from act_core.logs import log
from act_core.settings.app_model import Panda
from act_core.settings.model import Settings

logger = log(__name__)
DIALECTS: Mapping[str, tuple[type[PandaV1] | type[PandaLegacy], ...]] = {
    "v1": (PandaV1,),
    "legacy": (PandaLegacy,),
    "auto": (PandaV1, PandaLegacy),  # the first one that answers
}

T = TypeVar("T")


class PandaServer:
    """A PandaClient that asks the server for its dialect: before the first call, and anew after trouble.

    A server that does not answer is not guessed at. Belongs to one event loop.
    """

    def __init__(self, settings: Panda, access: Access) -> None:
        self._name = settings.server
        self._dialects: list[PandaClient] = [dialect(settings, access) for dialect in DIALECTS[settings.api]]
        self._known = self._dialects[0] if len(self._dialects) == 1 else None
        self._asking = asyncio.Lock()
        self._told: PandaClient | None = None

    async def _spoken(self) -> PandaClient:
        async with self._asking:
            if self._known is None:
                self._known = await self._asked()
            return self._known

    async def _asked(self) -> PandaClient:
        refused: CredentialError | None = None
        for dialect in self._dialects:
            try:
                if await dialect.is_alive():
                    return self._tell(dialect)
            except CredentialError as err:  # a front that forbids the paths of another generation says 403, too
                refused = refused or err
        raise refused or ProtocolError(f"{self._name} answers, but speaks neither PanDA's new API nor its legacy one")

    def _tell(self, dialect: PandaClient) -> PandaClient:
        if dialect is not self._told:
            logger.info("%s is spoken to by %s", self._name, type(dialect).__name__)
        self._told = dialect
        return dialect

    async def _do(self, call: Callable[[PandaClient], Awaitable[T]]) -> T:
        dialect = await self._spoken()
        try:
            return await call(dialect)
        except ActError as err:
            if len(self._dialects) > 1 and dialect is self._known:
                self._known = None
                if isinstance(err, NotSpoken):  # alive, but only in part: servers up to 0.5 have some of the new API
                    self._dialects.sort(key=lambda one: one is dialect)
            raise

    async def is_alive(self) -> bool:
        try:
            return await self._do(lambda panda: panda.is_alive())
        except ProtocolError:
            return False

    async def attributes(self) -> Attributes:
        return await self._do(lambda panda: panda.attributes())

    async def acquire_jobs(
        self, queue: str, n: int, label: str | None = None, resource_type: str | None = None
    ) -> list[PandaJob | MalformedJob]:
        return await self._do(lambda panda: panda.acquire_jobs(queue, n, label, resource_type))

    async def update_jobs_bulk(self, updates: Collection[Update]) -> Mapping[int, UpdateAnswer]:
        return await self._do(lambda panda: panda.update_jobs_bulk(updates))

    async def get_job_status(self, panda_ids: Collection[int]) -> Mapping[int, JobStatus]:
        return await self._do(lambda panda: panda.get_job_status(panda_ids))

    async def queue_statistics(self) -> Mapping[str, Sequence[ActiveJobs]]:
        return await self._do(lambda panda: panda.queue_statistics())

    async def harvester_alive(self, harvester_id: str, data: Mapping[str, str]) -> bool:
        return await self._do(lambda panda: panda.harvester_alive(harvester_id, data))

    async def update_workers(self, harvester_id: str, workers: Collection[Worker]) -> Mapping[int, bool]:
        return await self._do(lambda panda: panda.update_workers(harvester_id, workers))

    async def close(self) -> None:
        for dialect in self._dialects:
            await dialect.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()


def open_panda(settings: Settings) -> PandaServer:
    """The configured server, with the production proxy or a token. Raises ConfigError, CredentialError."""
    return PandaServer(settings.app.panda, _access(settings))


class Aside(PandaServer):
    """A client for what may wait: one call at a time, on connections of its own.

    Its troubles, and what it believes of the server's dialect, are nothing to those who report jobs.
    """


def open_aside(settings: Settings) -> Aside:
    """Raises ConfigError, CredentialError."""
    return Aside(settings.app.panda.model_copy(update={"threads": 1}), _access(settings))


def _access(settings: Settings) -> Access:
    panda = settings.app.panda
    ca = panda.cacert or settings.arc.voms.cacertdir
    if panda.tokenfile is not None:
        return TokenAccess(ca, panda.tokenfile, panda.origin)
    proxy = panda_proxy(settings)
    if proxy is None:
        raise ConfigError("PanDA needs an identity: set panda.proxy, panda.tokenfile or voms.proxypath")
    return ProxyAccess(ca, proxy)
