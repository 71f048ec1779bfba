"""Which of the jobs that an A-REX lists are ours, by the names that it tells of them."""

from collections.abc import Awaitable, Callable, Collection, Container, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from act_core.ce import arc_adl, arc_dialect
from act_core.ce.arc_http import ArcConnection
from act_core.ce.base import Listing, RemoteId, SubmissionKey, TowerId, key_belongs
from act_core.ce.gathering import chunked, each

DOCUMENTS = 500  # in one request
NAMELESS_FOR = timedelta(hours=1)  # a CE tells the names of jobs within seconds, but for those that it never tells
Entry = Mapping[str, Any]
Manage = Callable[[str, str, Iterable[RemoteId], int], Awaitable[Mapping[RemoteId, Entry]]]


class Listed:
    """What one CE listed until now: whose name is known is not asked for again."""

    def __init__(self, wire: ArcConnection, now: Callable[[], datetime]) -> None:
        self._wire, self._now = wire, now
        self._foreign: set[RemoteId] = set()
        self._nameless: dict[RemoteId, datetime] = {}  # first listed then

    async def sort(
        self, there: Collection[RemoteId], tower: TowerId, known: Container[RemoteId], base: str, manage: Manage
    ) -> Listing:
        """`base`: path of the REST version in use; `manage`: its bulk calls. Raises what these raise."""
        self._foreign.intersection_update(there)
        new = [job for job in there if job not in known and job not in self._foreign]
        mine: dict[RemoteId, SubmissionKey] = {}
        nameless: set[RemoteId] = set()
        for chunk in chunked(new, DOCUMENTS):  # what one chunk taught is kept when a later one fails
            entries = await manage(base, "info", chunk, DOCUMENTS)
            names = await self._names(base, entries)
            mine |= {job: SubmissionKey(name) for job, name in names.items() if name and key_belongs(name, tower)}
            nameless |= {job for job, name in names.items() if name is None}
            self._foreign |= {job for job, name in names.items() if name is not None and job not in mine}
        self._nameless = {job: self._nameless.get(job, self._now()) for job in nameless}
        # an older one is somebody else's; it is asked again all the same, as long as it is listed
        young = {job: first for job, first in self._nameless.items() if self._now() - first < NAMELESS_FOR}
        foreign = len(self._foreign) + len(nameless) - len(young)
        return Listing(mine, total=len(there), foreign=foreign, nameless=young)

    async def _names(self, base: str, entries: Mapping[RemoteId, Entry]) -> dict[RemoteId, str | None]:
        """Names by id. Empty: it has none, so it is not ours; None: the CE does not tell it yet.

        A job that has gone meanwhile is left out.
        """
        there = {job: entry for job, entry in entries.items() if arc_dialect.code(entry) != 404}
        names = {job: arc_dialect.name_of(entry) for job, entry in there.items()}

        async def ask(job: RemoteId) -> str | None:
            answer = await self._wire.call("GET", f"{base}/jobs/{job}/diagnose/description", self._now())
            if answer.status == 200:
                return arc_adl.name_in(answer.body.decode("utf-8", "replace"))
            wiped = arc_dialect.state_of(arc_dialect.activity(there[job])) == arc_dialect.WIPED
            return "" if wiped else None  # its files went long after its submission

        return names | await each([job for job, name in names.items() if name is None], ask)
