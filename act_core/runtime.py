"""The one place where engine parts are built and closed."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection
from contextvars import copy_context
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Concatenate, ParamSpec, Protocol, Self, TypeVar, runtime_checkable

from sqlalchemy.orm import Session

from act_core.ce.base import ComputingElement, RemoteId, TowerId
from act_core.ce.registry import open_ce, same_place
from act_core.db import bootstrap, ces, ledger, queries
from act_core.db.ledger import Line, Subject
from act_core.db.models import Ce
from act_core.db.session import Database
from act_core.errors import ConfigError
from act_core.settings.model import Settings, Site
from act_core.shielded import to_the_end

P = ParamSpec("P")
T = TypeVar("T")
Counts = Counter[str]  # what a step or a stage did, by word
WRONG = "wrong reports"  # that PanDA did not take as they were: our bug, which turns a run red


class Closable(Protocol):
    async def close(self) -> None: ...


@runtime_checkable
class Transfers(Closable, Protocol):
    """What is under way between rounds."""

    def calls(self) -> "Collection[asyncio.Future[Any]]": ...


@dataclass(slots=True)
class Memory:
    """What one process remembers of a CE between rounds; losing it costs requests, never correctness."""

    ended_seen: set[RemoteId] = field(default_factory=set)  # ended jobs whose end is settled, or that are not ours
    paused: dict[str, datetime] = field(default_factory=dict)  # step → not before
    transfers: dict[str, Transfers] = field(default_factory=dict)  # stage → what is under way (`engine.transfers`)
    waits: dict[str, str] | None = None  # share → why its jobs wait, as the ledger has it; None: not read yet
    unheard: set[RemoteId] = field(default_factory=set)  # held jobs of which the CE could not say why
    held_shares: set[str] | None = None  # shares with jobs that an error rule holds; None: not read yet
    struck: dict[tuple[str, str, str], datetime] = field(default_factory=dict)  # (rule, app, job) that said `rest` then


@dataclass(frozen=True, slots=True)
class _Kept:
    """An application's part; `of`: the settings that it was made from, None: from none."""

    part: Closable
    of: "Callable[[Settings], object] | None"

    def outlives(self, old: Settings, new: Settings) -> bool:
        return self.of is None or self.of(old) == self.of(new)


C = TypeVar("C", bound=Closable)
NOTED_FOR = timedelta(minutes=1)  # another process may have noted something else meanwhile


class Runtime:
    """The parts that steps work with: settings, clock, state tables, CEs. Belongs to one event loop."""

    def __init__(self, settings: Settings, db: Database, tower: TowerId, owns_db: bool = True) -> None:
        self.settings = settings
        self.tower = tower
        self._db, self._owns_db = db, owns_db
        self._ces: dict[str, ComputingElement] = {}
        self._sites: dict[str, Site] = {}
        self._memory: dict[str, Memory] = {}
        self._kept: dict[str, _Kept] = {}
        self._answered: Counter[str] = Counter()  # by CEs that were closed since
        self._noted: dict[Subject, tuple[str, datetime]] = {}
        self._views: dict[str, Runtime] = {}
        self.lasting = True  # False: the process ends with its rounds, so that nothing may go on beside them

    @classmethod
    def open(cls, settings: Settings, shared: Database | None = None) -> Self:
        """Connect to the state tables and enter configured CEs that are new.

        Raises ConfigError before `act bootstrap`, and for tables of an older or newer program.
        `shared`: the connections of the process, where several runtimes live in it.
        """
        db = shared or bootstrap.open_tables(settings)
        try:
            if shared is not None:
                shared.read(bootstrap.check_schema)
            tower = db.read(bootstrap.tower_id)
            runtime = cls(settings, db, tower, owns_db=shared is None)
            db.write(ces.enter_ces, settings.arc.sites, ces.CONFIG, db.clock())
        except BaseException:
            if shared is None:
                db.close()
            raise
        return runtime

    def now(self) -> datetime:
        """UTC by the database's clock."""
        return self._db.now()

    async def read(self, fn: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `fn(session, …)` in a thread; it writes nothing."""
        return await self._in_thread(partial(self._db.read, fn, *args, **kwargs))

    async def write(self, fn: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `fn(session, …)` in a thread, in one transaction. A cancelled task waits for it."""
        return await self._in_thread(partial(self._db.write, fn, *args, **kwargs))

    async def note(self, lines: Collection[Line]) -> None:
        """Write into the decision ledger what has changed; what was noted a moment ago costs nothing."""
        now = self.now()
        known = {subject: code for subject, (code, at) in self._noted.items() if now - at < NOTED_FOR}
        if new := [line for line in lines if known.get(line.subject) != line.code]:
            await self.write(ledger.note, new, now)
            self._noted |= {line.subject: (line.code, now) for line in new}

    async def _in_thread(self, call: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        return await to_the_end(loop.run_in_executor(self._db.threads, copy_context().run, call))

    async def ce(self, name: str) -> ComputingElement:
        """The CE of this name, with its warm connections."""
        if name not in self._ces:
            site = await self.site(name)
            site = self.settings.arc.sites.get(name, site)
            # another task may have opened it while we asked for its site, or the configuration be another one
            self._ces.setdefault(name, open_ce(self.settings, name, self.now, site, self.tower))
        return self._ces[name]

    def answers(self, name: str) -> int:
        """How many answers this CE has given to us."""
        return self._answered[name] + (self._ces[name].answers if name in self._ces else 0)

    async def site(self, name: str) -> Site:
        """The configuration of a CE: the file's, or for one from CRIC or `act ces add` what its row says."""
        if name in self.settings.arc.sites:
            return self.settings.arc.sites[name]
        if name not in self._sites:
            row = await self.read(queries.ce_row, name)
            if row is None:
                raise ConfigError(f"CE {name!r} is neither configured nor known from CRIC or `act ces add`")
            self._sites[name] = site_of(row)
        return self._sites[name]

    def memory(self, ce: str) -> Memory:
        return self._memory.setdefault(ce, Memory())

    def remembered(self) -> list[str]:
        """The CEs of which this process remembers anything."""
        return list(self._memory)

    def kept(self, kind: type[C], make: Callable[[Settings], C], of: Callable[[Settings], object] | None = None) -> C:
        """An application's own part, such as its client: made once, closed with the runtime.

        `of`: the settings that it is made from; where they change, it is made anew.
        """
        name = f"{kind.__module__}.{kind.__qualname__}"
        if name not in self._kept:
            self._kept[name] = _Kept(make(self.settings), of)
        found = self._kept[name].part
        assert isinstance(found, kind)
        return found

    def seen_by(self, instance: str) -> "Runtime":
        """The same parts, with the settings and the kept parts of another instance of an application."""
        if instance not in self._views:
            view = copy(self)
            view.settings, view._kept, view._views = self.settings.seen_by(instance), {}, {}
            self._views[instance] = view
        return self._views[instance]

    def take_over(self, fresh: Settings) -> list[Closable]:
        """Another configuration holds from now on. Returns what it replaces: to be closed when nobody uses it."""
        old, names = self.settings, self.settings.arc.sites.keys() | fresh.arc.sites.keys()
        replaced = [name for name in self._ces if not same_place(old, fresh, name, self._sites.get(name))]
        self._answered.update({name: self._ces[name].answers for name in replaced})
        retired: list[Closable] = [self._ces.pop(name) for name in replaced]
        for name in names & self._sites.keys():
            del self._sites[name]
        for memory in self._memory.values():
            memory.paused.clear()  # a limit that held them may be another one now
        for name in self._views.keys() - fresh.app.instances.keys():
            retired += [one.part for one in self._views.pop(name)._kept.values()]
        self.settings = fresh
        retired += self._without_stale(old)
        for name, view in self._views.items():
            before, view.settings = view.settings, fresh.seen_by(name)
            retired += view._without_stale(before)
        return retired

    def _without_stale(self, old: Settings) -> list[Closable]:
        """Forget the parts that were made from settings which are others now."""
        stale = [name for name, one in self._kept.items() if not one.outlives(old, self.settings)]
        return [self._kept.pop(name).part for name in stale]

    def calls(self) -> "set[asyncio.Future[Any]]":
        """The calls that are under way between rounds: transfers, and questions to storage."""
        lots: list[Closable] = [lot for memory in self._memory.values() for lot in memory.transfers.values()]
        lots += [held.part for rt in (self, *self._views.values()) for held in rt._kept.values()]
        return {call for lot in lots if isinstance(lot, Transfers) for call in lot.calls() if not call.done()}

    async def close(self) -> None:
        """Give up transfers; close every CE and every connection."""
        transfers: list[Closable] = [lot for memory in self._memory.values() for lot in memory.transfers.values()]
        kept = [held.part for rt in (self, *self._views.values()) for held in rt._kept.values()]
        for one in (*transfers, *self._ces.values(), *kept):
            await one.close()
        self._ces.clear()
        self._kept.clear()
        self._views.clear()
        if self._owns_db:
            self._db.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()


def site_of(row: Ce) -> Site:
    """The configuration of a CE that only its row knows: from CRIC, or added by hand."""
    return Site(endpoint=row.endpoint, kind=row.kind, maxjobs=row.maxjobs, options=row.options or {})
