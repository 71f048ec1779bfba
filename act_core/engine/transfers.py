"""Files on their way: a round settles what comes, and what takes longer goes on beside it.

So one slow file holds up no other job of its CE. Who is left behind is claimed in its row (`due_at` lies ahead, as long
as the transfer lives), so that nobody begins it again; when the process dies, the claim runs out.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain
from math import inf
from typing import Any, Generic, TypeVar

from act_core.ce.base import RemoteId
from act_core.db import queries
from act_core.db.attempts import Attempt
from act_core.decisions import Stay
from act_core.engine.settling import settled_attempts
from act_core.errors import ActError, Transient
from act_core.logs import log
from act_core.runtime import Counts, Runtime
from act_core.states import Request

logger = log(__name__)
A = TypeVar("A")
CLAIM = timedelta(minutes=5)
RENEW_S = 60.0
BATCH_S = 2.0  # answers that come within so long are settled together
PATIENCE_S = 20.0  # a round waits no longer
# Wishes that do not wait for a transfer.
URGENT = {one.value for one in (Request.CANCEL, Request.CLEAN, Request.RESUBMIT, Request.RERUN)}


@dataclass(slots=True)
class Came(Generic[A]):
    """What came of transfers that are over: an answer, or none."""

    answers: dict[Attempt, A] = field(default_factory=dict)
    silent: list[Attempt] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.answers or self.silent)


Call = Callable[[Sequence[Attempt]], Awaitable[Mapping[RemoteId, A]]]
Settle = Callable[[Came[A]], Awaitable[Counts]]


@dataclass(slots=True, eq=False)
class _Transfer(Generic[A]):
    """One call, for one job or a few."""

    attempts: list[Attempt]  # as their rows stand
    task: "asyncio.Task[Mapping[RemoteId, A]]"

    def tell(self, came: Came[A]) -> BaseException | None:
        """What the call says of each attempt; returns its error."""
        err = None if self.task.cancelled() else self.task.exception()
        answers = {} if err or self.task.cancelled() else self.task.result()
        for attempt in self.attempts:
            if attempt.remote_id and attempt.remote_id in answers:
                came.answers[attempt] = answers[attempt.remote_id]
            else:
                came.silent.append(attempt)
        return err


class Lot(Generic[A]):
    """The transfers of one stage at one CE, under way or over and not settled."""

    def __init__(self) -> None:
        self._all: list[_Transfer[A]] = []
        self._settling = asyncio.Lock()  # a claim and an answer of the same row wait for each other
        self._keeper: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return sum(len(one.attempts) for one in self._all)

    def calls(self) -> "list[asyncio.Task[Mapping[RemoteId, A]]]":
        return [one.task for one in self._all]

    def over(self) -> bool:
        """Whether there is anything to settle."""
        return any(one.task.done() for one in self._all)

    def begin(self, chunks: Iterable[list[Attempt]], call: Call[A]) -> "list[asyncio.Task[Mapping[RemoteId, A]]]":
        async def one_call(some: Sequence[Attempt]) -> Mapping[RemoteId, A]:
            return await call(some)

        new = [_Transfer(chunk, asyncio.create_task(one_call(tuple(chunk)))) for chunk in chunks]
        self._all += new
        return [one.task for one in new]

    def not_begun(self, picked: Sequence[Attempt]) -> list[Attempt]:
        """Those that are not among the transfers; of the others the row is taken as it was picked."""
        rows = {attempt.id: attempt for attempt in picked}
        mine = {attempt.id for one in self._all for attempt in one.attempts}
        for one in self._all:
            if all(_another_life(attempt, rows.get(attempt.id)) for attempt in one.attempts):
                one.task.cancel()
            one.attempts = [_newer(attempt, rows.get(attempt.id)) for attempt in one.attempts]
        return [attempt for attempt in picked if attempt.id not in mine]

    async def settle(self, how: Settle[A], errors: list[ActError]) -> Counts:
        """Settle what is over, as one batch. Raises a bug of ours; collects other errors."""
        async with self._settling:
            over = [one for one in self._all if one.task.done()]
            came: Came[A] = Came()
            found = [told for one in over if (told := one.tell(came))]
            try:
                counts = await how(came) if came else Counts()
            except ActError:
                raise
            except Exception as bug:  # noqa: BLE001 - what cannot be settled must not hold up the rest
                counts = await _singly(over, how)
                found.append(bug)
            self._all = [one for one in self._all if one not in over]
        errors += [err for err in found if isinstance(err, ActError)]
        for err in found:
            if not isinstance(err, ActError):
                raise err
        return counts

    async def claim(self, rt: Runtime, ce: str) -> None:
        """Claim what is left for a while; whom somebody wants dead, or restarted, is let go at once."""
        async with self._settling:
            mine = list(chain.from_iterable(one.attempts for one in self._all))
            if not mine:
                return
            now, wanted = rt.now(), await rt.read(queries.requests, [attempt.id for attempt in mine])
            claims = {
                attempt: Stay({"due_at": now + CLAIM}) for attempt in mine if wanted.get(attempt.id) not in URGENT
            }
            let_go = [a for a in mine if a not in claims and a.due_at and a.due_at > now]
            claims |= {attempt: Stay({"due_at": now}) for attempt in let_go}
            fresh = {attempt.id: attempt for attempt in await settled_attempts(rt, claims, "transfer")}
            for one in self._all:
                one.attempts = [fresh.get(attempt.id, attempt) for attempt in one.attempts]

    async def keep(self, rt: Runtime, ce: str) -> None:
        """Claim what is left, and go on doing so until nothing is."""
        await self.claim(rt, ce)
        if self._all and (self._keeper is None or self._keeper.done()):
            self._keeper = asyncio.create_task(self._keep(rt, ce))

    async def _keep(self, rt: Runtime, ce: str) -> None:
        while self._all:
            await asyncio.sleep(RENEW_S)
            try:
                await self.claim(rt, ce)
            except Exception as err:
                bug = not isinstance(err, ActError)
                logger.warning("ce=%s claims of %d transfers are not renewed: %s", ce, len(self), err, exc_info=bug)

    async def close(self) -> None:
        """Give all of them up: who begins them again waits until the claims run out."""
        tasks: list[asyncio.Task[Any]] = [one.task for one in self._all]
        tasks += [self._keeper] if self._keeper else []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._all.clear()


async def _singly(over: "Sequence[_Transfer[A]]", how: Settle[A]) -> Counts:
    """Settle one by one what could not be settled together; who cannot be settled at all waits like the silent."""
    counts = Counts()
    for one in over:
        came: Came[A] = Came()
        one.tell(came)
        try:
            counts += await how(came)
        except ActError:
            raise
        except Exception:
            logger.exception("what came of attempts %s cannot be settled", [a.id for a in one.attempts])
            counts += await how(Came(silent=one.attempts))
    return counts


def _another_life(attempt: Attempt, picked: Attempt | None) -> bool:
    """Whether the job has run again since: what the transfer brings is of the time before."""
    return picked is not None and (picked.state, picked.state_since) != (attempt.state, attempt.state_since)


def _newer(attempt: Attempt, picked: Attempt | None) -> Attempt:
    """The row as it was picked, if it still is what the transfer was begun for."""
    if picked is None or _another_life(attempt, picked):
        return attempt
    return picked if picked.version > attempt.version else attempt


def lot(rt: Runtime, ce: str, stage: str) -> Lot[Any]:
    """The transfers that this process has under way."""
    found = rt.memory(ce).transfers.setdefault(stage, Lot())
    assert isinstance(found, Lot)
    return found


async def carry(
    rt: Runtime, ce: str, stage: str, chunks: Iterable[list[Attempt]], call: Call[A], how: Settle[A]
) -> Counts:
    """Begin transfers, and settle what ends within a round's patience; of earlier ones, what has ended.

    Raises the first error of a call, after everything that was answered is settled; not where no operator has to act
    and the CE answered others.
    """
    mine: Lot[A] = lot(rt, ce, stage)
    errors: list[ActError] = []
    loop = asyncio.get_running_loop()
    begun, ends = mine.begin(chunks, call), loop.time() + (PATIENCE_S if rt.lasting else inf)
    counts, before = Counts(), rt.answers(ce)
    try:
        while (waiting := [one for one in begun if not one.done()]) and (left := ends - loop.time()) > 0:
            await asyncio.wait(waiting, timeout=min(BATCH_S, left))
            counts += await mine.settle(how, errors)
        counts += await mine.settle(how, errors)
    finally:
        await mine.keep(rt, ce)
    errors.sort(key=lambda err: isinstance(err, Transient))
    if errors and (not isinstance(errors[0], Transient) or rt.answers(ce) == before):
        raise errors[0]
    for err in errors:
        logger.warning("ce=%s %s: %s", ce, stage, err)
    return counts + Counts(errors=len(errors))


async def with_transfers(rt: Runtime, stage: str) -> list[str]:
    """CEs with transfers to be settled that do not rest."""
    names = [ce for ce in rt.remembered() if stage in rt.memory(ce).transfers and lot(rt, ce, stage).over()]
    return await rt.read(queries.awake, names, rt.now()) if names else []
