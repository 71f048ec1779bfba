"""PanDA as the tower uses it: one interface, and what its dialects share (reference: panda.md)."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from act_core.atlas.panda_errors import NotSpoken
from act_core.atlas.reports import ActiveJobs, Attributes, JobStatus, Outcome, Update, UpdateAnswer, Worker
from act_core.atlas.wire import MalformedJob, PandaJob
from act_core.errors import ActError, ProtocolError, Transient

SHARD = 100  # jobs in one bulk call
UNHEARD = 12  # pieces of it in a row that PanDA does not take: it is not the reports' fault

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")

Call = Callable[[Sequence[T]], Awaitable[Mapping[K, V]]]  # one bulk call
Instead = Callable[[Sequence[T], ActError], Mapping[K, V]]  # what stands for answers that did not come


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

    async def harvester_alive(self, harvester_id: str, data: Mapping[str, str]) -> bool:
        """A sign of life of a harvester instance; False: PanDA did not know it, and may know it from now on."""
        ...

    async def update_workers(self, harvester_id: str, workers: Collection[Worker]) -> Mapping[int, bool]:
        """Whether PanDA took it, by worker id. A missing key: no answer. Raises only when there was none at all."""
        ...

    async def close(self) -> None: ...


async def tell_all(tell: Call[Update, int, UpdateAnswer], updates: Collection[Update]) -> Mapping[int, UpdateAnswer]:
    """`update_jobs_bulk` by calls for a shard each."""
    if len({update.job_id for update in updates}) != len(updates):
        raise ActError("two updates of the same job in one call")
    return await in_shards(lambda shard: _in_pieces(tell, shard, _not_answered, _refused), list(updates), _not_answered)


def _not_answered(updates: Sequence[Update], err: ActError) -> Mapping[int, UpdateAnswer]:
    return {update.job_id: UpdateAnswer(Outcome.LATER, message=str(err)) for update in updates}


def _refused(updates: Sequence[Update], err: ActError) -> Mapping[int, UpdateAnswer]:
    return {update.job_id: UpdateAnswer(Outcome.REFUSED, message=str(err)) for update in updates}


async def register_all(register: Call[Worker, int, bool], workers: Collection[Worker]) -> Mapping[int, bool]:
    """`update_workers` by calls for a shard each."""
    return await in_shards(lambda shard: _in_pieces(register, shard, _silence, _not_taken), list(workers), _silence)


def _silence(_workers: Sequence[Worker], _err: ActError) -> Mapping[int, bool]:
    return {}


def _not_taken(workers: Sequence[Worker], _err: ActError) -> Mapping[int, bool]:
    return {worker.worker_id: False for worker in workers}


async def _in_pieces(
    call: Call[T, K, V], items: Sequence[T], instead: Instead[T, K, V], blamed: Instead[T, K, V]
) -> Mapping[K, V]:
    """One item that PanDA cannot take would starve its neighbours: it is found by halving, and `blamed`."""
    answers: dict[K, V] = {}
    alone: dict[K, V] = {}
    waiting, unheard, trouble = [items], 0, ActError("not sent")
    while waiting:
        piece = waiting.pop()
        try:
            answers.update(await call(piece))
            unheard = 0
        except ActError as err:
            unheard, trouble = unheard + 1, err
            if not isinstance(err, ProtocolError) or isinstance(err, NotSpoken) or unheard > UNHEARD:
                break
            if len(piece) > 1:
                waiting += [piece[1::2], piece[::2]]  # not left and right: bad ones come side by side
            else:
                alone.update(blamed(piece, err))
    if not answers:
        raise trouble
    return {**instead(items, trouble), **alone, **answers}


async def in_shards(
    call: Call[T, K, V],
    items: Sequence[T],
    instead: Instead[T, K, V],
) -> Mapping[K, V]:
    """Every shard's answers; `instead` fills in for shards that failed, unless all did: then the first error."""

    async def one(shard: Sequence[T]) -> Mapping[K, V] | ActError:
        try:
            return await call(shard)
        except ActError as err:
            return err

    shards = [items[start : start + SHARD] for start in range(0, len(items), SHARD)]
    results = await asyncio.gather(*(one(shard) for shard in shards))
    errors = [result for result in results if isinstance(result, ActError)]
    if errors and len(errors) == len(results):
        raise errors[0]
    answers: dict[K, V] = {}
    for shard, result in zip(shards, results, strict=True):
        answers.update(instead(shard, result) if isinstance(result, ActError) else result)
    return answers


def as_many(method: str, answers: object, asked: Sequence[object], what: str) -> list[Any]:
    """An answer for each of those asked about, in their order. Raises Transient: they are nobody knows whose."""
    if not isinstance(answers, list) or len(answers) != len(asked):
        raise Transient(f"{method}: the answer does not match the {len(asked)} {what}")
    return answers


def taken(workers: Sequence[Worker], answers: Sequence[object]) -> dict[int, bool]:
    """What PanDA says of each worker, in the order told."""
    return {worker.worker_id: answer is True for worker, answer in zip(workers, answers, strict=True)}


def read_job(job: object) -> PandaJob | MalformedJob:
    try:
        return PandaJob.parse(job)
    except MalformedJob as err:
        return err


def items(value: object) -> Iterator[tuple[str, object]]:
    """Of an object; nothing of what is none."""
    if isinstance(value, Mapping):
        yield from ((str(key), item) for key, item in value.items())
