"""Grid storage, whatever it speaks: are these files whole, and delete those. The one door of this room."""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import TypeVar

from act_core import meters
from act_core.storage.base import (
    Backend,
    Fate,
    Limits,
    Outcome,
    Place,
    Removal,
    Verdict,
    Wanted,
    place_of,
)
from act_core.storage.hosts import Errand, Host, together

K = TypeVar("K")
V = TypeVar("V")
NOT_ASKED = "not asked"  # in what is measured: the host rests, or the time was over
_MANY_HOSTS = 1000  # so many are remembered; addresses come from jobs


class Storage:
    """`backends` by scheme. Belongs to one event loop; what it knows of hosts lasts as long as it does."""

    def __init__(
        self, backends: Mapping[str, Backend], limits: Limits | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._backends, self._limits, self._clock = backends, limits or Limits(), clock
        self._hosts: dict[tuple[str, str], Host] = {}

    async def check(self, files: Collection[Wanted]) -> Mapping[Wanted, Verdict]:
        """A verdict for each file. Raises CredentialError when ours cannot be used, and for no file or host."""
        return {file: verdict async for file, verdict in self.answers(files)}

    async def answers(self, files: Collection[Wanted]) -> AsyncGenerator[tuple[Wanted, Verdict], None]:
        """The same, each when it is known: a host that hangs holds up its own files alone.

        Who may stop listening before the end closes it: `async with aclosing(storage.answers(files)) as answers`.
        """

        async def look(backend: Backend, place: Place, file: Wanted) -> Verdict:
            return await backend.look(place, file)

        cannot = partial(Verdict, Outcome.UNVERIFIABLE)
        away = partial(Verdict, Outcome.UNREACHABLE)
        async for file, verdict in self._round({file: file.url for file in files}, look, away, cannot):
            meters.STORAGE.labels("check", verdict.outcome.value if verdict.asked else NOT_ASKED).inc()
            yield file, verdict

    async def delete(
        self, urls: Collection[str], permit: Callable[[str], Awaitable[str]] | None = None
    ) -> Mapping[str, Removal]:
        """What became of each file. A directory is never deleted. Raises CredentialError when ours cannot be used.

        Whoever calls has made sure that these are ours to delete. `permit`: asked for each address immediately before
        it is deleted, and answers why it may not be any more; an empty text permits it.
        """

        async def remove(backend: Backend, place: Place, url: str) -> Removal:
            return await backend.delete(place, partial(permit or _granted, url))

        refused, away = partial(Removal, Fate.REFUSED), partial(Removal, Fate.UNREACHABLE)
        removals = {url: said async for url, said in self._round({url: url for url in urls}, remove, away, refused)}
        for one in removals.values():
            meters.STORAGE.labels("delete", one.fate.value if one.asked else NOT_ASKED).inc()
        return removals

    async def close(self) -> None:
        for backend in {id(one): one for one in self._backends.values()}.values():
            await backend.close()

    async def _round(
        self,
        urls: Mapping[K, str],
        deed: Callable[[Backend, Place, K], Awaitable[V]],
        away: Callable[[str, bool], V],
        cannot: Callable[[str, bool], V],
    ) -> AsyncGenerator[tuple[K, V], None]:
        said: asyncio.Queue[tuple[K, V] | None] = asyncio.Queue()
        errands: dict[Host, list[Errand[V]]] = {}

        def tell(key: K, answer: V) -> None:
            said.put_nowait((key, answer))

        for key, url in urls.items():
            place = place_of(url)
            backend = self._backends.get(place.scheme) if place else None
            if place is None or backend is None:
                tell(key, cannot(f"{url[:200]!r} is no address that can be asked", False))
            else:
                errand = Errand(partial(deed, backend, place, key), away, partial(tell, key))
                errands.setdefault(self._host(place), []).append(errand)
        running = asyncio.ensure_future(together([host.serve(_mixed(some)) for host, some in errands.items()]))
        running.add_done_callback(lambda _: said.put_nowait(None))
        try:
            while (one := await said.get()) is not None:
                yield one
            await running
        finally:
            running.cancel()
            await asyncio.wait([running])

    def _host(self, place: Place) -> Host:
        where = (place.scheme, place.host)
        if where not in self._hosts:
            if len(self._hosts) >= _MANY_HOSTS:
                self._hosts = {at: host for at, host in self._hosts.items() if not host.forgettable()}
            # files of our own are read by a few threads: who waits there waits for a thread
            self._hosts[where] = Host(place.host, self._limits, self._clock, aside=place.scheme != "file")
        return self._hosts[where]


async def _granted(_: str) -> str:
    return ""


def _mixed(errands: list[Errand[V]]) -> list[Errand[V]]:
    """In any order: a few files that a storage cannot open must not be the first of every round, and end it."""
    secrets.SystemRandom().shuffle(errands)
    return errands
