"""A tower that dies at a named write: what is not committed is gone, what it would still do is not done."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy.orm import Session

from tests.atlas.house import Killed, Worker
from tests.faults.matrix.mariadb import unheard

P = ParamSpec("P")
T = TypeVar("T")


def write_name(fn: Callable[..., Any], args: tuple[Any, ...]) -> str:
    """Where the transaction's function stands, and on whose behalf a settle is: `claims.settle for submit`."""
    function = getattr(fn, "func", fn)
    name = f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}"
    actor = next((one for one in args if type(one) is str), None) if name in SETTLES else None
    return f"{name} for {actor}" if actor else name


SETTLES = ("claims.settle", "brake._settle")


@dataclass
class Death:
    """At the first write of this name: before its transaction, or after its commit. `at`: when it struck."""

    write: str
    after: bool
    at: datetime | None = None


@dataclass
class Sleep:
    """At the first write of this name, before its transaction or after its commit, the process stands still so long.

    Another worker goes on with the same tables meanwhile. `at`: when it woke.
    """

    write: str
    after: bool
    seconds: float
    at: datetime | None = None


@dataclass
class Deaf:
    """At the first write of this name, MariaDB commits and the answer is lost with the connection. `at`: when."""

    write: str
    at: datetime | None = None


@dataclass
class Fate:
    """What is to befall the tower, and what it wrote so far, by name. Shared by all its lives."""

    deaths: list[Death | Sleep | Deaf] = field(default_factory=list)
    meanwhile: Callable[[float], Awaitable[None]] | None = None  # what the other worker does, for so many seconds
    seen: Counter[str] = field(default_factory=Counter)

    def due(self, name: str, now: datetime, *, after: bool | None) -> Death | Sleep | Deaf | None:
        """Each of them once. `after`: the commit; None: what strikes while it is answered."""
        names = name, f"{name} #{self.seen[name]}"
        for death in self.deaths:
            when = None if isinstance(death, Deaf) else death.after
            if death.at is None and death.write in names and when is after:
                death.at = now
                return death
        return None


class Mortal(Worker):
    """A runtime that reads and writes nothing once it is dead."""

    fate: Fate
    dead = False

    def die(self) -> None:
        self.dead = True

    def _alive(self) -> None:
        if self.dead:
            raise Killed

    async def read(self, fn: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        self._alive()
        return await super().read(fn, *args, **kwargs)

    async def write(self, fn: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        self._alive()
        name = write_name(fn, args)
        self.fate.seen[name] += 1
        await self._meet(name, after=False)
        deaf = self.fate.due(name, self.now(), after=None) is not None
        written = await super().write(unheard(fn) if deaf else fn, *args, **kwargs)
        await self._meet(name, after=True)
        self._alive()
        return written

    async def _meet(self, name: str, *, after: bool) -> None:
        """Die or sleep here, if that is due."""
        met = self.fate.due(name, self.now(), after=after)
        if isinstance(met, Death):
            self.die()
            raise Killed
        if isinstance(met, Sleep) and self.fate.meanwhile is not None:
            await self.fate.meanwhile(met.seconds)
            met.at = self.now()
