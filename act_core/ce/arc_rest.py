"""A-REX over REST 1.0 and 1.1: the calls. What its words mean stands in `arc_dialect`."""

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Container, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict, Field

from act_core.ce import arc_adl, arc_dialect, arc_facts, arc_submission
from act_core.ce.arc_delegation import Delegations
from act_core.ce.arc_diagnosis import Diagnosis
from act_core.ce.arc_fetch import fetch_job
from act_core.ce.arc_http import Answer, ArcConnection
from act_core.ce.arc_lanes import Lanes
from act_core.ce.arc_listing import DOCUMENTS, Entry, Listed
from act_core.ce.arc_transfer import put_files
from act_core.ce.base import (
    Accepted,
    Capacity,
    Facts,
    Fetched,
    FetchPlan,
    Gone,
    Listing,
    OutcomeLost,
    Refused,
    RemoteId,
    Seen,
    Shown,
    SubmissionKey,
    TowerId,
    Traits,
)
from act_core.ce.diagnosis import Finding
from act_core.ce.gathering import answered, chunked
from act_core.ce.registry import Place
from act_core.errors import BadInput, ConfigError, CredentialError, ProtocolError, Transient
from act_core.jobspec import InputFile, JobSpec

IDS = 5000  # in one request: A-REX cuts bodies at 1 MiB without a word
UNKNOWN: Entry = {"status-code": "404", "reason": "Job not found"}


class Options(BaseModel):
    """The keys of `options` of an ARC CE."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    rest_version: str | None = Field(default=None, pattern=r"^1\.[01]$")  # default: the newest that both speak
    queue: str | None = None  # batch queue for jobs that name none
    grace: float = Field(default=60, ge=0)  # seconds after the send deadline until absence is believed
    calls: int = Field(default=4, ge=1, le=64)  # requests at a time
    transfers: int = Field(default=8, ge=1, le=64)  # jobs, or parts of those with many files, whose files are under way
    max_fetch_mb: int = Field(default=2048, ge=1)  # of one job


class ArcCe:
    """One A-REX, as one identity."""

    def __init__(self, place: Place, options: Options) -> None:
        if place.proxy is None and place.token is None:
            raise ConfigError(f"{place.where}: sites.{place.name}: an ARC CE needs a proxy: set voms.proxypath")
        if not place.site.endpoint.startswith("https://"):
            raise ConfigError(f"{place.where}: sites.{place.name}.endpoint: https://host:port/arex is wanted")
        self._place, self._options = place, options
        limits = place.site.deadline, options.calls, options.transfers
        self._wire = ArcConnection(place.site.endpoint, place.ca_dir, place.proxy, *limits, place.token, place.name)
        self._lanes = Lanes(self._wire)
        self._listed = Listed(self._wire, place.now)
        self._delegations = Delegations.of(place)
        self.traits = Traits(
            kind="arc-rest",
            two_phase=place.site.two_phase is not False,
            needs_credential=True,
            grace=timedelta(seconds=options.grace),
            batch=place.site.batch or 100,
            restarts=True,
        )

    @property
    def answers(self) -> int:
        return self._wire.answers

    def _now(self) -> datetime:
        return self._place.now()

    async def _path(self) -> str:
        """The base path of the REST version in use, asked for once."""
        if not self._wire.base:
            answer = await self._wire.call("GET", "/rest", self._now())
            self._expect(answer, 200)
            known = arc_dialect.versions(answer.body)
            wanted = [self._options.rest_version] if self._options.rest_version else ["1.1", "1.0"]
            found = next((one for one in wanted if one in known), None)
            if found is None:
                spoken = ", ".join(known) or "no version"
                raise ProtocolError(f"{self._wire.endpoint} speaks REST {spoken}, not {' or '.join(wanted)}")
            self._wire.base = f"/rest/{found}"
        return self._wire.base

    async def submit(
        self, specs: Mapping[SubmissionKey, JobSpec], deadline: datetime | None = None
    ) -> Mapping[SubmissionKey, RemoteId | Refused | OutcomeLost]:
        async with self._bounded():
            base = await self._path()
            delegation = await self._delegations.current(self._wire, base, self._now())
        answers: dict[SubmissionKey, RemoteId | Refused | OutcomeLost] = {}
        written: dict[SubmissionKey, str] = {}
        for key, spec in specs.items():
            try:
                written[key] = arc_adl.activity(spec, key, delegation, self.traits.two_phase, self._options.queue)
            except BadInput as err:
                answers[key] = Refused(str(err), for_good=True)
        ends = asyncio.get_running_loop().time() + self._wire.seconds
        for number, keys in enumerate(chunked(written, self.traits.batch)):
            chunk = {key: written[key] for key in keys}
            if asyncio.get_running_loop().time() >= ends:
                answers |= dict.fromkeys(chunk, Refused("no time was left to send it", for_good=False))
                continue
            try:
                answers |= await arc_submission.submit(
                    self._wire, f"{base}/jobs?action=new", chunk, self._now, deadline
                )
            except CredentialError as err:
                if not number:
                    raise
                # jobs of the chunks before this one exist: their ids must not be lost
                answers |= dict.fromkeys(chunk, Refused(str(err), for_good=False))
        return answers

    async def put_inputs(self, files: Mapping[RemoteId, Collection[InputFile]]) -> Mapping[RemoteId, Refused | None]:
        base = await self._path()

        async def put(job: RemoteId) -> Refused | None:
            if not arc_dialect.possible(job):
                return Refused("the CE does not know the job", for_good=True)
            return await put_files(self._lanes, f"{base}/jobs/{job}", files[job], self._now)

        return await answered(files, put)

    async def list_mine(self, tower: TowerId, known: Container[RemoteId]) -> Listing:
        async with self._bounded():
            base = await self._path()
            answer = await self._wire.call("GET", f"{base}/jobs", self._now())
            self._expect(answer, 200)
            return await self._listed.sort(arc_dialect.listed(answer.body), tower, known, base, self._manage)

    async def marks(self, ids: Collection[RemoteId]) -> Mapping[RemoteId, str]:
        return await arc_facts.marks(self._wire, await self._path(), ids, self._now)

    async def _manage(self, base: str, action: str, jobs: Iterable[RemoteId], size: int = IDS) -> dict[RemoteId, Entry]:
        """A bulk call on jobs, in chunks; every id must come back."""
        asked = dict.fromkeys(jobs)
        found: dict[RemoteId, Entry] = {job: UNKNOWN for job in asked if not arc_dialect.possible(job)}
        for chunk in chunked((job for job in asked if job not in found), size):
            body = json.dumps({"job": [{"id": job} for job in chunk]}).encode()
            answer = await self._wire.call("POST", f"{base}/jobs?action={action}", self._now(), body)
            self._expect(answer, 201)
            entries = arc_dialect.by_id(answer.body)
            if missing := [job for job in chunk if job not in entries]:
                raise ProtocolError(f"the answer to {action} says nothing of {len(missing)} of {len(chunk)} jobs")
            found |= {job: entries[job] for job in chunk}
        return found

    async def ended(self, ids: Container[RemoteId]) -> Mapping[RemoteId, Seen]:
        async with self._bounded():
            path = f"{await self._path()}/jobs?state={','.join(arc_dialect.ENDED)}"
            answer = await self._wire.call("GET", path, self._now())
        self._expect(answer, 200)
        found = arc_dialect.by_id(answer.body)
        return {job: arc_dialect.seen(str(one.get("state", ""))) for job, one in found.items() if job in ids}

    async def states(self, ids: Collection[RemoteId]) -> Mapping[RemoteId, Seen]:
        async with self._bounded():
            entries = await self._manage(await self._path(), "status", ids)
        told = {job: str(one.get("state", "")) for job, one in entries.items() if arc_dialect.code(one) != 404}
        return {job: arc_dialect.seen(word) for job, word in told.items() if word != arc_dialect.WIPED}

    async def details(self, ids: Collection[RemoteId]) -> Mapping[RemoteId, Facts]:
        """Documents, and for those that are older than the job's end its control files."""
        async with self._bounded():
            base = await self._path()
            entries = await self._manage(base, "info", ids, DOCUMENTS)
            known = {job: one for job, one in entries.items() if arc_dialect.code(one) != 404}
            facts = {job: arc_dialect.facts(arc_dialect.activity(one)) for job, one in known.items()}
        late = {job: said for job, said in facts.items() if not said.complete}
        return facts | await arc_facts.fresher(self._wire, base, late, self._now)

    async def fetch(self, wanted: Mapping[RemoteId, FetchPlan]) -> Mapping[RemoteId, Fetched | Gone | Refused]:
        base, limit = await self._path(), self._options.max_fetch_mb * 1024 * 1024

        async def bring(job: RemoteId) -> Fetched | Gone | Refused:
            if not arc_dialect.possible(job):
                return Gone()
            return await fetch_job(self._lanes, f"{base}/jobs/{job}", wanted[job], limit, self._now)

        return await answered(wanted, bring)

    async def cancel(self, ids: Collection[RemoteId]) -> Mapping[RemoteId, Accepted | Gone | Refused]:
        return await self._ask("kill", ids)

    async def restart(self, ids: Collection[RemoteId]) -> Mapping[RemoteId, Accepted | Gone | Refused]:
        """Stage-in and stage-out begin again with the delegation that the job holds: it is made fresh before."""
        async with self._bounded():
            await self._delegations.renew(self._wire, await self._path(), self._now())
        return await self._ask("restart", ids)

    async def clean(self, ids: Collection[RemoteId]) -> Mapping[RemoteId, Accepted | Gone | Refused]:
        return await self._ask("clean", ids)

    async def _ask(self, action: str, ids: Collection[RemoteId]) -> Mapping[RemoteId, Accepted | Gone | Refused]:
        def meaning(entry: Entry) -> Accepted | Gone | Refused:
            code, reason = arc_dialect.code(entry), arc_dialect.reason(entry)
            if code == 202:
                return Accepted()
            return Gone() if code == 404 else Refused(f"{code} {reason}", for_good=code == 505)

        async with self._bounded():
            entries = await self._manage(await self._path(), action, ids)
        return {job: meaning(entry) for job, entry in entries.items()}

    async def renew(self, credential: Shown) -> None:
        async with self._bounded():
            await self._delegations.renew(self._wire, await self._path(), self._now())

    async def capacity(self) -> Capacity:
        async with self._bounded():
            answer = await self._wire.call("GET", f"{await self._path()}/info?schema=glue2", self._now())
        self._expect(answer, 200)
        return arc_dialect.capacity(answer.body)

    def diagnose(self, environments: Collection[str] = ()) -> AsyncIterator[Finding]:
        queue, wire = self._options.queue, self._wire
        return Diagnosis(self._place, queue, wire, self._path, self._delegations, environments).steps()

    async def close(self) -> None:
        self._lanes.close()
        await self._wire.close()

    @asynccontextmanager
    async def _bounded(self) -> AsyncIterator[None]:
        """The CE's deadline holds for a whole call, however many requests it takes."""
        try:
            async with asyncio.timeout(self._wire.seconds):
                yield
        except TimeoutError as err:
            raise Transient(f"{self._wire.endpoint}: no answer in time ({self._wire.seconds:g} s)") from err

    def _expect(self, answer: Answer, status: int) -> None:
        words = f"{self._wire.endpoint} answers {answer.status} {answer.reason}"
        if answer.status >= 500:
            raise Transient(words)
        if answer.status != status:
            raise ProtocolError(f"{words}, not {status}")


def open_arc_rest(place: Place) -> ArcCe:
    """Entry point of the back end."""
    return ArcCe(place, place.options(Options))
