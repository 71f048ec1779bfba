"""PanDA as the tower uses it: one interface, and its dialect of the new API (reference: panda.md)."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, Self, TypeVar

from act_core.atlas.panda_access import Access, ProxyAccess, TokenAccess
from act_core.atlas.panda_connection import PandaConnection
from act_core.atlas.reports import (
    ActiveJobs,
    Attributes,
    JobStatus,
    Outcome,
    Update,
    UpdateAnswer,
    Worker,
    read_answer,
)
from act_core.atlas.wire import MalformedJob, PandaJob
from act_core.errors import ActError, ConfigError, OutcomeUnknown, ProtocolError, Transient
from act_core.settings.model import Panda, Settings

SHARD = 100  # jobs in one bulk call
UNHEARD = 12  # pieces of it in a row that PanDA does not take: it is not the reports' fault
NO_JOBS = "No jobs in PanDA"
_EMPTY_STATISTICS = "Database failure"  # what a server without any job answers

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")


class PandaClient(Protocol):
    """A workload server. A call raises only for the whole batch: Transient, CredentialError, ProtocolError."""

    async def is_alive(self) -> bool:
        """Whether it speaks this dialect and is well."""
        ...

    async def attributes(self) -> Attributes: ...

    async def acquire_jobs(
        self, queue: str, n: int, label: str | None = None, resource_type: str | None = None
    ) -> list[PandaJob | MalformedJob]:
        """Jobs that are reserved for us by this call; fewer than asked does not mean that the queue is empty.

        Raises OutcomeUnknown when jobs may have been reserved and the answer was lost: those time out in PanDA.
        """
        ...

    async def update_jobs_bulk(self, updates: Collection[Update]) -> Mapping[int, UpdateAnswer]:
        """An answer for each job, by PandaID. Raises only when PanDA answered for none of them."""
        ...

    async def get_job_status(self, panda_ids: Collection[int]) -> Mapping[int, JobStatus]:
        """A missing key: PanDA gave no answer for it."""
        ...

    async def queue_statistics(self) -> Mapping[str, Sequence[ActiveJobs]]:
        """PanDA's active jobs by queue, about a minute old."""
        ...

    async def update_workers(self, harvester_id: str, workers: Sequence[Worker]) -> Sequence[bool]: ...

    async def close(self) -> None: ...


class PandaV1:
    """The new API, `/api/v1`."""

    def __init__(self, settings: Panda, access: Access) -> None:
        self._settings = settings
        self._wire = PandaConnection(settings.server, access, settings.timeout, settings.threads)

    async def is_alive(self) -> bool:
        try:
            return (await self._wire.get("system/is_alive")).success
        except ProtocolError:
            return False

    async def attributes(self) -> Attributes:
        method = "system/get_user_attributes"
        data = (await self._wire.get(method)).must(method)
        if not isinstance(data, Mapping):
            raise ProtocolError(f"{method}: no object")
        fqans = data.get("fqans")
        return Attributes(
            str(data.get("user_dn_clean") or data.get("user_dn_raw") or ""),
            tuple(str(fqan) for fqan in fqans) if isinstance(fqans, list) else (),
            data.get("is_production_user") is True,
        )

    async def acquire_jobs(
        self, queue: str, n: int, label: str | None = None, resource_type: str | None = None
    ) -> list[PandaJob | MalformedJob]:
        method = "pilot/acquire_jobs"
        body: dict[str, object] = {
            "site_name": queue,
            "n_jobs": n,
            "timeout": max(int(self._settings.timeout.total_seconds()) - 10, 20),
            "scheduler_id": self._settings.schedulerid,
        }
        body |= {"prod_source_label": label} if label else {}
        body |= {"resource_type": resource_type} if resource_type else {}
        answer = await self._wire.post_once(method, body)
        if not answer.success and answer.message == NO_JOBS:
            return []
        data = answer.must(method)
        jobs = data.get("jobs") if isinstance(data, Mapping) else None
        if not isinstance(jobs, list):
            raise OutcomeUnknown(f"{method}: success without a list of jobs")
        return [_job(job) for job in jobs]

    async def update_jobs_bulk(self, updates: Collection[Update]) -> Mapping[int, UpdateAnswer]:
        if len({update.job_id for update in updates}) != len(updates):
            raise ActError("two updates of the same job in one call")
        return await _all(self._update_in_pieces, _shards(list(updates)), self._not_answered)

    @staticmethod
    def _not_answered(updates: Sequence[Update], err: ActError) -> Mapping[int, UpdateAnswer]:
        return {update.job_id: UpdateAnswer(Outcome.LATER, message=str(err)) for update in updates}

    async def _update_in_pieces(self, updates: Sequence[Update]) -> Mapping[int, UpdateAnswer]:
        """One report that PanDA cannot take would starve its neighbours: it is found by halving."""
        answers: dict[int, UpdateAnswer] = {}
        waiting, unheard, trouble = [updates], 0, ActError("not sent")
        while waiting:
            piece = waiting.pop()
            try:
                answers |= await self._update(piece)
                unheard = 0
            except ActError as err:
                unheard, trouble = unheard + 1, err
                if not isinstance(err, ProtocolError) or unheard > UNHEARD:
                    break
                if len(piece) > 1:
                    waiting += [piece[1::2], piece[::2]]  # not left and right: bad reports come side by side
        if not answers:
            raise trouble
        return {**self._not_answered(updates, trouble), **answers}

    async def _update(self, updates: Sequence[Update]) -> Mapping[int, UpdateAnswer]:
        method = "pilot/update_jobs_bulk"
        body = {"harvester_id": self._settings.schedulerid, "job_list": [update.body() for update in updates]}
        elements = (await self._wire.post(method, body)).must(method)
        if not isinstance(elements, list) or len(elements) != len(updates):
            raise Transient(f"{method}: the answer does not match the {len(updates)} jobs asked about")
        return {update.job_id: read_answer(element) for update, element in zip(updates, elements, strict=True)}

    async def get_job_status(self, panda_ids: Collection[int]) -> Mapping[int, JobStatus]:
        return await _all(self._statuses, _shards(sorted(panda_ids)), lambda _ids, _err: {})

    async def _statuses(self, panda_ids: Sequence[int]) -> Mapping[int, JobStatus]:
        method = "pilot/get_job_status"
        query = [("job_ids", str(panda_id)) for panda_id in panda_ids]
        elements = (await self._wire.get(method, query)).must(method)
        if not isinstance(elements, list):
            raise ProtocolError(f"{method}: no list")
        found = (_status(element) for element in elements)
        return {status.panda_id: status for status in found if status is not None and status.panda_id in panda_ids}

    async def queue_statistics(self) -> Mapping[str, Sequence[ActiveJobs]]:
        method = "statistics/active_job_detailed_stats_by_site"
        answer = await self._wire.get(method)
        if not answer.success and answer.message.startswith(_EMPTY_STATISTICS):
            return {}
        return {queue: tuple(_flat(stats)) for queue, stats in _items(answer.must(method))}

    async def update_workers(self, harvester_id: str, workers: Sequence[Worker]) -> Sequence[bool]:
        method = "harvester/update_workers"
        body = {"harvester_id": harvester_id, "workers": [worker.body() for worker in workers]}
        taken = (await self._wire.post(method, body)).must(method)
        if not isinstance(taken, list) or len(taken) != len(workers):
            raise Transient(f"{method}: the answer does not match the {len(workers)} workers reported")
        return [one is True for one in taken]

    async def close(self) -> None:
        await self._wire.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()


def open_panda(settings: Settings) -> PandaV1:
    """The configured server, with the production proxy or a token. Raises ConfigError, CredentialError."""
    panda, voms = settings.app.panda, settings.arc.voms
    ca = panda.cacert or voms.cacertdir
    if panda.tokenfile is not None:
        return PandaV1(panda, TokenAccess(ca, panda.tokenfile, panda.origin))
    proxy: Path | None = panda.proxy or voms.proxypath
    if proxy is None:
        raise ConfigError("PanDA needs an identity: set panda.proxy, panda.tokenfile or voms.proxypath")
    return PandaV1(panda, ProxyAccess(ca, proxy))


async def _all(
    call: Callable[[Sequence[T]], Awaitable[Mapping[K, V]]],
    shards: Sequence[Sequence[T]],
    instead: Callable[[Sequence[T], ActError], Mapping[K, V]],
) -> Mapping[K, V]:
    """Every shard's answers; `instead` fills in for shards that failed, unless all did: then the first error."""

    async def one(shard: Sequence[T]) -> Mapping[K, V] | ActError:
        try:
            return await call(shard)
        except ActError as err:
            return err

    results = await asyncio.gather(*(one(shard) for shard in shards))
    errors = [result for result in results if isinstance(result, ActError)]
    if errors and len(errors) == len(results):
        raise errors[0]
    answers: dict[K, V] = {}
    for shard, result in zip(shards, results, strict=True):
        answers.update(instead(shard, result) if isinstance(result, ActError) else result)
    return answers


def _shards(items: Sequence[T]) -> list[Sequence[T]]:
    return [items[start : start + SHARD] for start in range(0, len(items), SHARD)]


def _job(job: object) -> PandaJob | MalformedJob:
    try:
        return PandaJob.parse(job)
    except MalformedJob as err:
        return err


def _status(element: object) -> JobStatus | None:
    if not isinstance(element, Mapping):
        return None
    number, status, attempt = element.get("job_id"), element.get("status"), element.get("attempt_number")
    if not isinstance(number, int) or not isinstance(status, str):
        return None
    return JobStatus(number, status, attempt if isinstance(attempt, int) else 0)


def _flat(stats: object) -> Iterator[ActiveJobs]:
    """resource type → label → status → number."""
    for resource_type, labels in _items(stats):
        for label, statuses in _items(labels):
            for status, count in _items(statuses):
                if isinstance(count, int):
                    yield ActiveJobs(resource_type, label, status, count)


def _items(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        yield from ((str(key), item) for key, item in value.items())
