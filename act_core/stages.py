"""Each stage: engine steps and the applications' parts. What a flow runs and what `act sweep` runs is this."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Self

from act_core import meters, recovering
from act_core.apps import Application, Part, Waits
from act_core.db import ces, leases, runs
from act_core.db.counting import EVERY
from act_core.db.leases import Held
from act_core.engine import credentials
from act_core.engine.blackhole import look_for_black_holes
from act_core.engine.brake import look_after
from act_core.engine.capacity import ask_capacity
from act_core.engine.clean import archive_rows, clean
from act_core.engine.count import count_jobs
from act_core.engine.due import all_cared_for, always, due_in, submit_due
from act_core.engine.elsewhere import obey_elsewhere
from act_core.engine.fetch import fetch
from act_core.engine.forecast import look_ahead, worth_a_look
from act_core.engine.leftovers import sweep_leftovers
from act_core.engine.modes import keep_modes
from act_core.engine.obey import obey
from act_core.engine.poll import poll
from act_core.engine.purge import Purging
from act_core.engine.reconcile import reconcile_all
from act_core.engine.room import sample, stopped
from act_core.engine.submit import send_inputs, submit
from act_core.engine.unheard import tell_unheard
from act_core.engine.unseen import watch
from act_core.errors import VERDICTS as VERDICTS
from act_core.errors import ActError, AppBroken, ConfigError, CredentialError, DatabaseAway, DiskError, Transient
from act_core.going import Going
from act_core.hooks import BROKEN, Hooks
from act_core.installed import applications, named, stages_of
from act_core.logs import log
from act_core.renewal import Renewal
from act_core.runtime import Counts, Runtime
from act_core.settings.model import Settings
from act_core.work import RUN

logger = log(__name__)
Step = Callable[[Runtime, str], Awaitable[Counts]]
PATIENCE_S = 5.0
ARCHIVE_EVERY = timedelta(seconds=30)


def steps(*verbs: Step) -> Step:
    """A round that does these one after the other."""

    async def run(rt: Runtime, ce: str) -> Counts:
        counts = Counts()
        for verb in verbs:
            counts += await verb(rt, ce)
        return counts

    return run


_SENDS = steps(obey, submit, send_inputs)
ENGINE = (
    Part("submit", "submit", submit_due, _SENDS, True, waits=Waits.READ),
    Part("sweep-status", "poll", due_in("sweep-status"), poll, True, reads=True),
    Part("fetch-validate", "fetch", due_in("fetch-validate"), fetch, True),
    Part("clean", "clean", due_in("clean"), clean, True),
    Part("reconcile-ces", "reconcile", all_cared_for, reconcile_all, True, waits=Waits.END),
    Part("reconcile-ces", "watch", always("silence"), watch),
    Part("renew-credentials", "renew", credentials.renewable, credentials.renew, reads=True),
    Part("renew-credentials", "look at", credentials.configured, credentials.look, reads=True),
    Part("renew-credentials", "delegate to", credentials.with_jobs, credentials.delegate, True, turn=1),
    Part("renew-credentials", "look ahead", worth_a_look, look_ahead, turn=2, reads=True),
    Part("reconcile-ces", "size", all_cared_for, ask_capacity, True, reads=True),
    Part("report", "black holes", always("ces"), look_for_black_holes, reads=True),
)


class Tower:
    """A runtime and the applications on top: what stages are made of."""

    def __init__(
        self,
        rt: Runtime,
        apps: Sequence[Application] | None = None,
        holds: Callable[[], Settings | None] = lambda: None,
    ) -> None:
        self.rt = rt
        self._plug_in(tuple(apps) if apps is not None else applications(rt.settings))
        self._holder = leases.holder()
        self._archived: datetime | None = None
        self._counted: datetime | None = None
        self.going = Going()
        self._renewal = Renewal(holds)  # says which configuration holds in this process; None: the one it began with

    def _plug_in(self, apps: tuple[Application, ...]) -> None:
        self.apps, self.stages, self.hooks = apps, stages_of(apps), Hooks(self.rt, apps)
        self._recovery = recovering.part_of(self.hooks)
        self._purging = Purging(self.rt, self.hooks.needed, self.hooks.purge)

    @property
    def observing(self) -> bool:
        """Only what changes nothing outside the tower is done."""
        return self.rt.settings.arc.tower.observe

    def parts(self, stage: str) -> tuple[Part, ...]:
        """What the stage is made of. Here and in `house` a tower that observes leaves out all that is not reading."""
        every = (*ENGINE, self._recovery, *(part for app in self.apps for part in app.parts))
        return tuple(part for part in every if part.stage == stage and (part.reads or not self.observing))

    async def due(self, stage: str) -> list[tuple[Part, str]]:
        """What has work now: (part, key), by the configuration that holds now."""
        if (former := await self._renewal.renewed(self.rt)) and named(former) != named(self.rt.settings):
            self._plug_in(applications(self.rt.settings))
        stand = await recovering.standing(self.rt)
        found = [(part, key) for part in self.parts(stage) for key in await self.hooks.due(part)]
        return [(part, key) for part, key in found if not recovering.rests(part, key, stand)]

    async def round(self, part: Part, key: str, wait: float = 0) -> Counts:
        """One round of a part for a key, under its lease. `busy`: somebody else is at it.

        It goes on when the caller is cancelled; the next caller then waits for this one. Raises Transient and its like
        after the breaker has heard; the caller counts and goes on.
        """
        return await self.going.run((part, key), lambda: self._round(part, key, wait), wait)

    async def _round(self, part: Part, key: str, wait: float) -> Counts:
        with self._renewal.used():
            return await self._leased_round(part, key, wait)

    async def _leased_round(self, part: Part, key: str, wait: float) -> Counts:
        async with self._lease(f"{part.stage}/{part.verb}"[:32], key, wait) as held:
            if held is None:
                meters.BUSY.labels(part.stage, part.verb).inc()
                return Counts(busy=1)
            if self.observing and not part.reads:  # since this round was asked for
                return Counts()
            if recovering.rests(part, key, await recovering.standing(self.rt)):
                return Counts(recovering=1)
            before = self.rt.answers(key)
            try:
                with meters.in_round(part.stage, part.verb, key if part.breaker else ""):
                    counts = await self.hooks.run(part, key)
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

    async def began(self, stage: str, flow_run: str | None) -> None:
        """What this task and its children do from now on is done by that run of Prefect's."""
        if flow_run is None:
            return
        try:
            RUN.set(await self.rt.write(runs.enter, flow_run, stage, self._holder, self.rt.now()))
        except Transient as err:
            logger.warning("what %s does now is not told with its run: %s", stage, err)

    async def close(self) -> None:
        """Give what is under way a moment to end (PanDA may just hand out jobs), then close the runtime."""
        await self.going.give_up(PATIENCE_S)
        await self._renewal.close()
        await self.rt.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def house(self, stage: str) -> Counts:
        """What a stage does once a pass beside its keys."""
        with self._renewal.used():
            return await self._house(stage)

    async def _house(self, stage: str) -> Counts:
        if stage == "report":
            counts = await self.count(timedelta(0))
            await tell_unheard(self.rt, [app.name for app in self.apps])
            return counts + await sample(self.rt)
        if self.observing and stage != "sweep-status":
            return Counts()
        if stage == "submit":
            return await keep_modes(self.rt) + await obey_elsewhere(self.rt)
        if stage == "sweep-status":
            await self.count(EVERY)
            return await self.news() + await look_after(self.rt) + await recovering.finish(self.rt, self.hooks)
        if stage == "clean":
            return await self._archive() + await self._purge() + await sweep_leftovers(self.rt)
        if stage == "reconcile-ces":
            return await self.hooks.reconcile()
        return Counts()

    async def count(self, every: timedelta) -> Counts:
        """Bring the counts of jobs up to date, unless somebody did so within `every`; returns them by state.

        And look at the disks, for which nobody asks while there is nothing to fetch.
        """
        now = self.rt.now()
        if self._counted and timedelta(0) <= now - self._counted < every:
            return Counts()
        self._counted = now
        counts = await count_jobs(self.rt, self.hooks.counters(), every)
        await stopped(self.rt)
        return counts

    async def news(self) -> Counts:
        """Let the applications hear of rows that moved."""
        return await self.hooks.news()

    async def _purge(self) -> Counts:
        try:
            return await self._purging.purge()
        except AppBroken:  # what it needs is not known, so that nothing is removed
            return Counts({BROKEN: 1})

    async def _archive(self) -> Counts:
        now = self.rt.now()
        if self._archived and now - self._archived < ARCHIVE_EVERY:
            return Counts()
        counts = await archive_rows(self.rt) + await self.hooks.archive()
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
        except AppBroken:
            return Counts({BROKEN: 1})

    done: list[Counts | BaseException] = []
    for turn in sorted({part.turn for part, _ in found}):
        now = [guarded(part, key) for part, key in found if part.turn == turn]
        done += await asyncio.gather(*now, return_exceptions=True)
    for bug in done:  # told when the others are through
        if isinstance(bug, BaseException):
            raise bug
    return sum((one for one in done if isinstance(one, Counter)), Counts()) + await tower.house(stage)
