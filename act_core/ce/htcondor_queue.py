"""A schedd's queue as one CE sees it: one projected query for all jobs that were sent for it, joined here."""

from collections.abc import Collection, Container, Sequence
from datetime import datetime, timedelta
from typing import Any

from act_core.ce import htcondor_dialect as dialect
from act_core.ce.base import RemoteId
from act_core.ce.htcondor_dialect import Ad
from act_core.ce.htcondor_pipe import Lost, Pipe, refuses_credential
from act_core.errors import CredentialError, Transient

FEW = 200  # jobs of which the clusters are named in a query
IN_HISTORY = 1000  # jobs that are looked for in one reading of its files, which have no index
ASKED_AGAIN = timedelta(minutes=10)


class Queue:
    """All calls raise Transient or CredentialError."""

    def __init__(self, pipe: Pipe, site: str) -> None:
        self.pipe, self.site = pipe, site
        self._unknown: dict[RemoteId, datetime] = {}  # not in the history either

    async def ask(self, do: str, **words: Any) -> Any:
        """A call that can be repeated."""
        try:
            return await self.pipe.call(do, **words)
        except Lost as err:
            raise (CredentialError if refuses_credential(str(err)) else Transient)(str(err)) from err

    async def ads(self, attributes: Sequence[str], *further: str) -> dict[RemoteId, Ad]:
        """All jobs of the CE that are in the queue."""
        constraint = dialect.of_site(self.site, *further)
        return dialect.by_id(await self.ask("query", constraint=constraint, attributes=attributes))

    async def some(self, ids: Collection[RemoteId], attributes: Sequence[str]) -> dict[RemoteId, Ad]:
        """Those of `ids` that are in the queue."""
        clusters = {one.job.partition(".")[0] for job in ids if (one := dialect.parsed(job))}
        if not clusters:
            return {}
        few = [f"member(ClusterId, {{{', '.join(sorted(clusters))}}})"] if len(clusters) <= FEW else []
        return only(await self.ads(attributes, *few), ids)

    async def past(self, ids: Collection[RemoteId], attributes: Sequence[str], now: datetime) -> dict[RemoteId, Ad]:
        """Those that left the queue without our doing; who was looked for in vain is not looked for again at once."""
        self._unknown = {job: until for job, until in self._unknown.items() if until > now}
        wanted = {job: one for job in ids if job not in self._unknown and (one := dialect.parsed(job))}
        there: dict[RemoteId, Ad] = {}
        for start in range(0, len(wanted), IN_HISTORY):
            asked = dict(list(wanted.items())[start : start + IN_HISTORY])
            constraint, since = dialect.in_history(list(asked.values()))
            search = {"constraint": constraint, "attributes": attributes, "match": len(asked), "since": since}
            there |= only(dialect.by_id(await self.ask("history", **search)), asked)
            self._unknown |= {job: now + ASKED_AGAIN for job in asked if job not in there}
        return there


def only(ads: dict[RemoteId, Ad], ids: Container[RemoteId]) -> dict[RemoteId, Ad]:
    return {job: ad for job, ad in ads.items() if job in ids}
