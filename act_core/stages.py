"""Each stage: engine steps and the applications' parts. What a flow runs and what `act sweep` runs is this."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from act_core.apps import Application, Part, applications
from act_core.db import ces, leases, queries
from act_core.db.leases import Held
from act_core.db.modes import CARED_FOR
from act_core.engine import credentials
from act_core.engine.blackhole import look_for_black_holes
from act_core.engine.brake import look_after
from act_core.engine.cancel import cancel
from act_core.engine.capacity import ask_capacity
from act_core.engine.clean import archive_rows, clean
from act_core.engine.count import count_jobs
from act_core.engine.elsewhere import obey_elsewhere
from act_core.engine.fetch import fetch
from act_core.engine.forecast import look_ahead, worth_a_look
from act_core.engine.leftovers import sweep_leftovers
from act_core.engine.modes import keep_modes
from act_core.engine.poll import poll
from act_core.engine.reconcile import reconcile, reconcile_all
from act_core.engine.rerun import rerun, resubmit
from act_core.engine.submit import SENDING, send_inputs, submit
from act_core.engine.transfers import with_transfers
from act_core.engine.unseen import watch
from act_core.errors import (
    ActError,
    ConfigError,
    CredentialError,
    DatabaseAway,
    DiskError,
    OutcomeUnknown,
    ProtocolError,
    Transient,
)
from act_core.going import Going
from act_core.logs import log
from act_core.runtime import Counts, Runtime

logger = log(__name__)
Step = Callable[[Runtime, str], Awaitable[Counts]]
NEWS_BATCH, NEWS_ROUNDS = 500, 40
# The rest are bugs of ours.
VERDICTS = (Transient, CredentialError, OutcomeUnknown, ProtocolError, ConfigError, DiskError)
PATIENCE_S = 5.0
ARCHIVE_EVERY = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Stage:
    """One deployed flow. `every` is for stages that run now and then; None: a window each minute."""

    name: str
    says: str
    every: timedelta | None = None


STAGES = {
    stage.name: stage
    for stage in (
        Stage("refresh-queues", "read CRIC into the tables of PanDA queues and CEs", timedelta(minutes=10)),
        Stage("fetch-jobs", "take jobs from PanDA, up to what each queue can hold"),
        Stage("translate", "describe PanDA jobs for their CEs"),
        Stage("submit", "cancel, resubmit, rerun, reconcile, submit, send inputs"),
        Stage("sweep-status", "ask the CEs about their jobs; applications hear the news"),
        Stage("fetch-validate", "bring outputs and logs home; check size and checksum on storage"),
        Stage("clean", "leave nothing of ours on the CEs; archive"),
        Stage("heartbeat", "heartbeats, final reports, kill orders"),
        Stage("renew-credentials", "renew proxies, tokens, delegations; tell what ends early", timedelta(minutes=10)),
        Stage("reconcile-ces", "compare our rows with the CEs' own lists", timedelta(minutes=30)),
        Stage("report", "count jobs, write the report", timedelta(minutes=10)),
        Stage("close-books", "close the books of days that are over", timedelta(minutes=20)),
    )
}


def steps(*verbs: Step) -> Step:
    """A round that does these one after the other."""

    async def run(rt: Runtime, ce: str) -> Counts:
        counts = Counts()
        for verb in verbs:
            counts += await verb(rt, ce)
        return counts

    return run


def due_in(stage: str) -> Callable[[Runtime], Awaitable[Sequence[str]]]:
    """The CEs that have work for a stage of the engine, but for those that asked for a pause."""

    async def due(rt: Runtime) -> Sequence[str]:
        now = rt.now()
        names = {*await rt.read(queries.due_ces, stage, now), *await with_transfers(rt, stage)}
        return [name for name in sorted(names) if rt.memory(name).paused.get(stage, now) <= now]

    return due


async def submit_due(rt: Runtime) -> Sequence[str]:
    """The CEs that have work for `submit`. One that is full is found for the sake of its other jobs only."""
    now = rt.now()
    full = [name for name in rt.remembered() if rt.memory(name).paused.get(SENDING, now) > now]
    return sorted({*await rt.read(queries.due_ces, "submit", now, full), *await with_transfers(rt, "submit")})


def always(key: str) -> Callable[[Runtime], Awaitable[Sequence[str]]]:
    """One key that has work whenever it is asked for."""

    async def due(_rt: Runtime) -> Sequence[str]:
        return [key]

    return due


async def _all_ces(rt: Runtime) -> Sequence[str]:
    return [row.name for row in await rt.read(ces.all_ces) if row.mode in CARED_FOR]


ENGINE = (
    Part("submit", "submit", submit_due, steps(cancel, resubmit, rerun, reconcile, submit, send_inputs), True),
    Part("sweep-status", "poll", due_in("sweep-status"), poll, True, reads=True),
    Part("fetch-validate", "fetch", due_in("fetch-validate"), fetch, True),
    Part("clean", "clean", due_in("clean"), clean, True),
    Part("reconcile-ces", "reconcile", _all_ces, reconcile_all, True),
    Part("reconcile-ces", "watch", always("silence"), watch),
    Part("renew-credentials", "renew", credentials.renewable, credentials.renew, reads=True),
    Part("renew-credentials", "look at", credentials.configured, credentials.look, reads=True),
    Part("renew-credentials", "delegate to", credentials.with_jobs, credentials.delegate, True, turn=1),
    Part("renew-credentials", "look ahead", worth_a_look, look_ahead, turn=2, reads=True),
    Part("reconcile-ces", "size", _all_ces, ask_capacity, True, reads=True),
    Part("report", "count", always("jobs"), count_jobs, reads=True),
    Part("report", "black holes", always("ces"), look_for_black_holes, reads=True),
)


class Tower:
    """A runtime and the applications on top: what stages are made of."""

    def __init__(self, rt: Runtime, apps: Sequence[Application] | None = None) -> None:
        self.rt = rt
        self.apps = tuple(apps) if apps is not None else applications(rt.settings)
        self._holder = leases.holder()
        self._archived: datetime | None = None
        self.going = Going()

    @property
    def observing(self) -> bool:
        """Only what changes nothing outside the tower is done."""
        return self.rt.settings.arc.tower.observe

    def parts(self, stage: str) -> tuple[Part, ...]:
        """What the stage is made of. Here and in `house` a tower that observes leaves out all that is not reading."""
        every = (*ENGINE, *(part for app in self.apps for part in app.parts))
        return tuple(part for part in every if part.stage == stage and (part.reads or not self.observing))

    async def due(self, stage: str) -> list[tuple[Part, str]]:
        """What has work now: (part, key)."""
        return [(part, key) for part in self.parts(stage) for key in await part.due(self.rt)]

    async def round(self, part: Part, key: str, wait: float = 0) -> Counts:
        """One round of a part for a key, under its lease. `busy`: somebody else is at it.

        It goes on when the caller is cancelled; the next caller then waits for this one. Raises Transient and its like
        after the breaker has heard; the caller counts and goes on.
        """
        return await self.going.run((part, key), lambda: self._round(part, key, wait), wait)

    async def _round(self, part: Part, key: str, wait: float) -> Counts:
        async with self._lease(f"{part.stage}/{part.verb}"[:32], key, wait) as held:
            if held is None:
                return Counts(busy=1)
            before = self.rt.answers(key)
            try:
                counts = await part.run(self.rt, key)
            except VERDICTS as err:
                await self._went_wrong(part, key, err)
                raise
            if part.breaker and self.rt.answers(key) != before:  # a round that asked nothing proves nothing
                await self.rt.write(ces.went_well, key, self.rt.now())
            return counts

    async def _went_wrong(self, part: Part, key: str, err: ActError) -> None:
        logger.warning("%s %s: %s", part.verb, key, err)
        if part.breaker and not isinstance(err, (DiskError, DatabaseAway)):
            policy, ours = self.rt.settings.arc.breaker, isinstance(err, (CredentialError, ConfigError))
            until = await self.rt.write(ces.went_wrong, key, str(err), policy, self.rt.now(), ours)
            if until:
                logger.warning("ce=%s rests until %s: %s", key, f"{until:%H:%M:%S}", err)

    @asynccontextmanager
    async def _lease(self, stage: str, key: str, wait: float) -> AsyncIterator[Held | None]:
        """The lease, renewed while the work lasts; None if somebody else holds it for longer than `wait` seconds."""
        loop = asyncio.get_running_loop()
        patience = loop.time() + wait
        # the holder may be another process, so there is no event to wait for
        while (held := await self._take(stage, key)) is None and loop.time() < patience:  # noqa: ASYNC110
            await asyncio.sleep(0.5)
        if held is None:
            yield None
            return
        keeper = asyncio.create_task(self._keep(held))
        try:
            yield held
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
            await self.rt.write(leases.release, held, self.rt.now())

    async def _take(self, stage: str, key: str) -> Held | None:
        return await self.rt.write(leases.take, stage, key, self._holder, self.rt.now())

    async def _keep(self, held: Held) -> None:
        while True:
            await asyncio.sleep(leases.LIFETIME.total_seconds() / 3)
            try:
                mine = await self.rt.write(leases.renew, held, self.rt.now())
            except Transient as err:
                logger.warning("lease %s %s is not renewed: %s", held.stage, held.ce, err)
                continue
            if not mine:
                logger.warning("lease %s %s has passed to somebody else", held.stage, held.ce)
                return

    async def close(self) -> None:
        """Give what is under way a moment to end (PanDA may just hand out jobs), then close the runtime."""
        await self.going.give_up(PATIENCE_S)
        await self.rt.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def house(self, stage: str) -> Counts:
        """What a stage does once a pass beside its keys."""
        if self.observing and stage != "sweep-status":
            return Counts()
        if stage == "submit":
            return await keep_modes(self.rt) + await obey_elsewhere(self.rt)
        if stage == "sweep-status":
            return await self.news() + await look_after(self.rt)
        if stage == "clean":
            return await self._archive() + await sweep_leftovers(self.rt)
        return Counts()

    async def news(self) -> Counts:
        """Let the applications hear of rows that moved."""
        counts = Counts()
        for app in self.apps:
            if app.on_news is None:
                continue
            for _ in range(NEWS_ROUNDS):
                rows = await self.rt.read(queries.with_news, app.name, NEWS_BATCH)
                if not rows:
                    break
                counts += Counts(news=len(rows)) + await app.on_news(self.rt, rows)
        return counts

    async def _archive(self) -> Counts:
        now = self.rt.now()
        if self._archived and now - self._archived < ARCHIVE_EVERY:
            return Counts()
        counts = await archive_rows(self.rt)
        for app in self.apps:
            if app.archive:
                counts += await app.archive(self.rt)
        if not counts:
            self._archived = now
        return counts


async def sweep(tower: Tower, stage: str, keys: Sequence[str] = (), wait: float = 0) -> Counts:
    """One pass of a stage over what is due (or over these keys, due or not), each key on its own."""
    found = await tower.due(stage)
    if keys:
        found = [(part, key) for part in tower.parts(stage) for key in keys if part.breaker or (part, key) in found]

    async def guarded(part: Part, key: str) -> Counts:
        try:
            return await tower.round(part, key, wait)
        except VERDICTS:
            return Counts(errors=1)

    done: list[Counts | BaseException] = []
    for turn in sorted({part.turn for part, _ in found}):
        now = [guarded(part, key) for part, key in found if part.turn == turn]
        done += await asyncio.gather(*now, return_exceptions=True)
    for bug in done:  # told when the others are through
        if isinstance(bug, BaseException):
            raise bug
    return sum((one for one in done if isinstance(one, Counter)), Counts()) + await tower.house(stage)
