"""Submission to HTCondor: a batch is one transaction, and its ids are read from the queue by our keys."""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from act_core.ce import htcondor_dialect as dialect
from act_core.ce import htcondor_jobs
from act_core.ce.base import OutcomeLost, Refused, RemoteId, SubmissionKey
from act_core.ce.disk import BadFile, in_thread
from act_core.ce.htcondor_files import Shelf
from act_core.ce.htcondor_jobs import Options
from act_core.ce.htcondor_pipe import Lost, NotSent
from act_core.ce.htcondor_queue import Queue
from act_core.ce.registry import Place
from act_core.errors import BadInput, CredentialError, DiskError, Transient
from act_core.jobspec import JobSpec

Outcome = RemoteId | Refused | OutcomeLost
Item = dict[str, str]
PROXY_MARK = "ActProxy"  # which proxy a spooled job holds


@dataclass(frozen=True, slots=True)
class Submission:
    """What all batches of a CE have in common."""

    place: Place
    options: Options
    queue: Queue
    shelf: Shelf
    grid_resource: str
    two_phase: bool

    def describe(self) -> dict[str, str]:
        """The commands that all jobs share, after the credentials that they name were laid out.

        Raises CredentialError, OSError.
        """
        shown = self.shelf.credential(self.place.token, "token"), self.shelf.credential(self.place.proxy, "proxy")
        token, proxy = (str(file) if file else None for file in shown)
        if token and self.options.job_token:
            token = self.options.job_token
        common = htcondor_jobs.description(self.place.name, self.grid_resource, self.options, token, proxy)
        if proxy and self.options.files == "spool":
            common[f"My.{PROXY_MARK}"] = _mark(Path(proxy))
        return common

    async def renew(self, carrier: Queue | None) -> None:
        """New copies of the credentials; where jobs hold a proxy of their own, that too, for as many as there is time.

        Raises CredentialError, DiskError, Transient.
        """
        try:
            common = await in_thread(self.describe)
        except BadFile as err:
            raise CredentialError(str(err)) from err
        mark = common.get(f"My.{PROXY_MARK}")
        if carrier is None or mark is None:
            return
        older = f"{PROXY_MARK} =!= {mark}", "x509userproxy =!= undefined", dialect.LIVING
        there = await self.queue.ads(dialect.IDENTITY, *older)
        if ids := [one.job for job in there if (one := dialect.parsed(job))]:
            within, proxy = self.queue.pipe.seconds, common["x509userproxy"]
            await carrier.ask("refresh", ids=ids, proxy=proxy, mark=mark, within=within)

    def prepare(self, key: SubmissionKey, spec: JobSpec) -> Item | Refused:
        """The job's directory, and what the submission says of it. A failure is this job's own."""
        spool = self.options.files == "spool"
        go = not self.two_phase and not spec.uploads
        try:
            htcondor_jobs.check(spec)
            missing = self.shelf.make(key, spec, with_inputs=spool)
            return htcondor_jobs.item(key, spec, self.shelf.place(key), self.options, go, missing)
        except BadInput as err:
            return Refused(str(err), for_good=True)
        except OSError as err:
            return Refused(f"{err.filename or self.shelf.root}: {err.strerror or err}", for_good=False)

    async def send(
        self, batch: Mapping[SubmissionKey, JobSpec], deadline: datetime | None
    ) -> dict[SubmissionKey, Outcome]:
        """Create the jobs of a batch, all or none. Raises CredentialError: then there is none."""
        try:
            description = await in_thread(self.describe)
            prepared = await asyncio.to_thread(lambda: {key: self.prepare(key, spec) for key, spec in batch.items()})
        except (DiskError, BadFile) as err:
            return dict.fromkeys(batch, Refused(str(err), for_good=False))
        answers: dict[SubmissionKey, Outcome] = {key: one for key, one in prepared.items() if isinstance(one, Refused)}
        items = {key: one for key, one in prepared.items() if not isinstance(one, Refused)}
        try:
            answers |= await self._send(description, items, deadline) if items else {}
        except CredentialError:
            await asyncio.to_thread(self.shelf.remove, list(batch))
            raise
        refused = [key for key, answer in answers.items() if isinstance(answer, Refused)]
        await asyncio.to_thread(self.shelf.remove, refused)
        return answers

    async def _send(
        self, description: Item, items: Mapping[SubmissionKey, Item], deadline: datetime | None
    ) -> dict[SubmissionKey, Outcome]:
        limit = self.queue.pipe.seconds
        seconds = min(limit, (deadline - self.place.now()).total_seconds()) if deadline else limit
        if seconds <= 0:
            return dict.fromkeys(items, Refused("the send deadline has passed", for_good=False))
        spool = self.options.files == "spool"
        call: dict[str, Any] = {"description": description, "items": list(items.values()), "spool": spool}
        try:
            cluster = await self.queue.pipe.call("submit", **call, within=seconds)
        except NotSent as err:
            return dict.fromkeys(items, Refused(str(err), for_good=False))
        except Lost as err:
            return dict.fromkeys(items, OutcomeLost(str(err)))
        try:
            there = await self.queue.ads(dialect.IDENTITY, f"ClusterId == {int(cluster)}")
        except (Transient, CredentialError) as err:
            return dict.fromkeys(items, OutcomeLost(f"submitted as cluster {cluster}, and then: {err}"))
        found = {SubmissionKey(str(ad["ActKey"])): job for job, ad in there.items()}
        lost = OutcomeLost(f"not to be seen in cluster {cluster}")
        return {key: found.get(key, lost) for key in items}


def _mark(proxy: Path) -> str:
    """A ClassAd string that tells one proxy from another, and nothing of it. Raises OSError."""
    return dialect.quoted(hashlib.sha256(proxy.read_bytes()).hexdigest()[:16])
