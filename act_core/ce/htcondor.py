"""HTCondor through a schedd, to an HTCondor-CE or to its own pool: the calls. What its ads mean: `htcondor_dialect`."""

import asyncio
from collections.abc import AsyncIterator, Collection, Container, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec

from act_core.ce import htcondor_diagnosis, htcondor_jobs
from act_core.ce import htcondor_dialect as dialect
from act_core.ce.base import (
    Accepted,
    Capacity,
    Facts,
    Fetched,
    FetchPlan,
    Gone,
    Listing,
    Refused,
    RemoteId,
    Seen,
    Shown,
    SubmissionKey,
    TowerId,
    Traits,
    key_belongs,
)
from act_core.ce.diagnosis import Finding
from act_core.ce.disk import BadFile, in_thread
from act_core.ce.gathering import chunked
from act_core.ce.htcondor_dialect import Ad
from act_core.ce.htcondor_fetch import fetch_jobs
from act_core.ce.htcondor_files import Shelf
from act_core.ce.htcondor_jobs import GUARDS, Options
from act_core.ce.htcondor_pipe import Pipe
from act_core.ce.htcondor_queue import Queue, only
from act_core.ce.htcondor_submission import Outcome, Submission
from act_core.ce.registry import Place
from act_core.errors import BadInput, ConfigError, CredentialError, Transient
from act_core.jobspec import InputFile, JobSpec

ENDED = "(JobStatus == 3 || JobStatus == 4)"
HUSK = timedelta(minutes=2)  # beside two deadlines: then nobody is still sending its files
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
TRANSFER_S = 1800.0  # for the outputs of one job
Wish = Accepted | Gone | Refused


class HtcondorCe:
    """Jobs of one CE in the queue of one schedd."""

    def __init__(self, place: Place, options: Options) -> None:
        try:
            resource = htcondor_jobs.resource(place.site.endpoint, options) if options.universe == "grid" else ""
        except BadInput as err:
            raise ConfigError(f"{place.line('endpoint')}: sites.{place.name}.endpoint: {err}") from err
        root = options.directory or place.state_dir / "htcondor" / place.name.replace("/", "_")
        self._place, self._options = place, options
        self._shelf = Shelf(root.absolute(), options.account)
        start = {"collector": options.collector, "schedd": options.schedd, "knobs": dict(options.knobs)}
        self._pipe = Pipe(start, options.config, place.site.deadline.total_seconds(), place.name)
        self._queue = Queue(self._pipe, place.name)
        # what takes long has a worker of its own: polls do not wait for it
        carrier = Pipe(start, options.config, TRANSFER_S, place.name)
        self._carrier = Queue(carrier, place.name) if options.files == "spool" else None
        self.traits = Traits(
            kind="htcondor",
            two_phase=place.site.two_phase is not False,
            needs_credential=place.proxy is not None or place.token is not None,
            grace=timedelta(0),
            batch=place.site.batch or 100,
            restarts=True,
            together=100,
            may_go_back=True,
        )
        self._resource = resource
        self._before_silence: int | None = None
        self._submission = Submission(place, options, self._queue, self._shelf, resource, self.traits.two_phase)

    @property
    def answers(self) -> int:
        """The schedd's are none of the CE's while that is out of its grid manager's reach."""
        return self._pipe.answers if self._before_silence is None else self._before_silence

    def _now(self) -> datetime:
        return self._place.now()

    async def submit(
        self, specs: Mapping[SubmissionKey, JobSpec], deadline: datetime | None = None
    ) -> Mapping[SubmissionKey, Outcome]:
        if self._resource and await self._queue.ads(dialect.STATE, "GridResourceUnavailableTime =!= undefined"):
            await self._heed(await self._queue.ads(dialect.STATE))
        answers: dict[SubmissionKey, Outcome] = {}
        ends = asyncio.get_running_loop().time() + self._pipe.seconds
        for number, keys in enumerate(chunked(specs, self.traits.batch)):
            if asyncio.get_running_loop().time() >= ends:
                answers |= dict.fromkeys(keys, Refused("no time was left to send it", for_good=False))
                continue
            try:
                answers |= await self._submission.send({key: specs[key] for key in keys}, deadline)
            except CredentialError as err:
                if not number:
                    raise
                # jobs of the batches before this one exist: their ids must not be lost
                answers |= dict.fromkeys(keys, Refused(str(err), for_good=False))
        return answers

    async def put_inputs(self, files: Mapping[RemoteId, Collection[InputFile]]) -> Mapping[RemoteId, Refused | None]:
        there = await self._queue.some(files, dialect.STATE)
        answers: dict[RemoteId, Refused | None] = {}
        for job in files:
            answers[job] = await self._put(job, files[job], there.get(job))
        ready = [job for job, answer in answers.items() if answer is None and dialect.waits(there[job])]
        if ready:
            guard = GUARDS[self._options.universe] if self._options.files == "spool" else ()
            await self._queue.ask("commit", ids=_short(ready), guard=guard)
        return answers

    async def _put(self, job: RemoteId, files: Collection[InputFile], ad: Ad | None) -> Refused | None:
        known = dialect.parsed(job)
        if ad is None or known is None:
            return Refused("HTCondor does not know the job", for_good=True)
        if not dialect.waits(ad):
            return None  # it was committed before, or is over
        if dialect.unspooled(ad):
            return Refused("its files never came to the schedd", for_good=True)
        if self._options.files == "spool":
            absent = ad.get("ActMissing")
            return Refused(f"input {absent} was not there at its submission", for_good=True) if absent else None
        try:
            return await in_thread(self._shelf.put, known.key, files)
        except BadFile as err:
            return Refused(str(err), for_good=False)

    async def list_mine(self, tower: TowerId, known: Container[RemoteId]) -> Listing:
        attributes = [*dialect.STATE, "ActSite"]
        every = await self._queue.ask("query", constraint="true", attributes=attributes, mine=True)
        here = dialect.by_id([ad for ad in every if ad.get("ActSite") == self._place.name])
        self._silence(here)
        ours = {job: ad for job, ad in here.items() if key_belongs(str(ad["ActKey"]), tower)}
        husks = {job: _queued(ad) for job, ad in ours.items() if dialect.unspooled(ad)}
        limit = 2 * timedelta(seconds=self._pipe.seconds) + HUSK
        young = {job: since for job, since in husks.items() if self._now() - since < limit}
        if old := [job for job in husks if job not in young]:  # whoever sent them was killed in the midst of it
            await self._queue.ask("clean", ended=_short(old), removed=[])
        mine = {job: SubmissionKey(str(ad["ActKey"])) for job, ad in ours.items() if job not in husks}
        new = {job: key for job, key in mine.items() if job not in known}
        return Listing(new, total=len(every), foreign=len(every) - len(ours), nameless=young)

    async def marks(self, ids: Collection[RemoteId]) -> Mapping[RemoteId, str]:
        there = await self._queue.some(ids, (*dialect.IDENTITY, "ActMark"))
        return {job: str(ad.get("ActMark") or "") for job, ad in there.items()}

    async def ended(self, ids: Container[RemoteId]) -> Mapping[RemoteId, Seen]:
        seen = self._seen(only(await self._queue.ads(dialect.STATE, ENDED), ids))
        return {job: one for job, one in seen.items() if one.state is not None}

    async def states(self, ids: Collection[RemoteId]) -> Mapping[RemoteId, Seen]:
        if not ids:
            return {}
        every = await self._queue.ads(dialect.STATE)
        await self._heed(every)
        return self._seen(await self._with_history(only(every, set(ids)), ids))

    async def _heed(self, ads: Mapping[RemoteId, Ad]) -> None:
        """Raises Transient where the grid manager does not reach the CE: it does not answer, though the schedd does."""
        if why := self._silence(ads):
            await self._submission.renew(self._carrier)  # it may be for an old credential, and who rests renews none
            raise Transient(why)

    def _silence(self, ads: Mapping[RemoteId, Ad]) -> str | None:
        before = self._pipe.answers - 1 if self._before_silence is None else self._before_silence
        why = dialect.away(ads.values(), self._resource, self._now(), self._options.patience)
        self._before_silence = before if why else None
        return why

    async def _with_history(self, there: dict[RemoteId, Ad], ids: Collection[RemoteId]) -> dict[RemoteId, Ad]:
        missing = [job for job in ids if job not in there]
        return there | (await self._queue.past(missing, dialect.FACTS, self._now()) if missing else {})

    def _seen(self, ads: Mapping[RemoteId, Ad]) -> dict[RemoteId, Seen]:
        return {job: dialect.seen(ad, self._now(), self._options.patience) for job, ad in ads.items()}

    async def details(self, ids: Collection[RemoteId]) -> Mapping[RemoteId, Facts]:
        there = await self._with_history(await self._queue.some(ids, dialect.FACTS), ids)
        return {job: dialect.facts(ad, self._now(), self._options.patience) for job, ad in there.items()}

    async def fetch(self, wanted: Mapping[RemoteId, FetchPlan]) -> Mapping[RemoteId, Fetched | Gone | Refused]:
        limit = self._options.max_fetch_mb * 1024 * 1024
        return await fetch_jobs(self._queue, self._carrier, self._shelf, wanted, limit)

    async def cancel(self, ids: Collection[RemoteId]) -> Mapping[RemoteId, Wish]:
        there = await self._queue.some(ids, dialect.STATE)
        living = [job for job, ad in there.items() if ad.get("JobStatus") not in (dialect.COMPLETED, dialect.REMOVED)]
        if living:
            await self._queue.ask("act", action="Remove", ids=_short(living), reason="cancelled")
        return {job: Accepted() if job in there else Gone() for job in ids}

    async def restart(self, ids: Collection[RemoteId]) -> Mapping[RemoteId, Wish]:
        """Let held jobs go."""
        there = await self._queue.some(ids, dialect.STATE)
        held = [job for job, ad in there.items() if dialect.restartable(ad)]
        if held:
            await self._queue.ask("act", action="Release", ids=_short(held), reason="restarted")
        answers: dict[RemoteId, Wish] = dict.fromkeys(ids, Gone())
        answers |= dict.fromkeys(there, Refused("Job is not held", for_good=True))
        return answers | dict.fromkeys(held, Accepted())

    async def clean(self, ids: Collection[RemoteId]) -> Mapping[RemoteId, Wish]:
        there = await self._queue.some(ids, dialect.STATE)
        ended = [job for job, ad in there.items() if ad.get("JobStatus") == dialect.COMPLETED]
        removed = [job for job, ad in there.items() if self._forgettable(ad)]
        if ended or removed:
            await self._queue.ask("clean", ended=_short(ended), removed=_short(removed))
        gone = [job for job in ids if job not in there]
        keys = [one.key for job in (*ended, *removed, *gone) if (one := dialect.parsed(job))]
        await asyncio.to_thread(self._shelf.remove, keys)
        alive = Refused("it has not ended: kill it first", for_good=False)
        answers: dict[RemoteId, Wish] = dict.fromkeys(ids, alive)
        return answers | dict.fromkeys(gone, Gone()) | dict.fromkeys([*ended, *removed], Accepted())

    def _forgettable(self, ad: Ad) -> bool:
        """Removed, and confirmed; or the CE has not confirmed it for as long as an ended job would stay."""
        if ad.get("JobStatus") != dialect.REMOVED:
            return False
        since = dialect.moment(ad.get("EnteredCurrentStatus"))
        return "JobFinishedHookDone" in ad or since is None or self._now() - since > self._options.leave

    async def renew(self, credential: Shown) -> None:
        """Replace the files that jobs name, and the proxies they were spooled with; the rest is the grid manager's."""
        await self._submission.renew(self._carrier)

    async def capacity(self) -> Capacity:
        slots = self._options.universe == "vanilla"
        return dialect.capacity(await self._queue.ask("about", slots=slots), slots)

    def diagnose(self, environments: Collection[str] = ()) -> AsyncIterator[Finding]:
        """Runtime environments are unknown to HTCondor."""
        return htcondor_diagnosis.steps(self._place, self._options.universe == "grid", self.capacity)

    async def close(self) -> None:
        await self._pipe.close()
        if self._carrier is not None:
            await self._carrier.pipe.close()


def _queued(ad: Ad) -> datetime:
    return dialect.moment(ad.get("QDate")) or LONG_AGO


def _short(jobs: Iterable[RemoteId]) -> list[str]:
    """cluster.proc, which the schedd wants."""
    return [one.job for job in jobs if (one := dialect.parsed(job))]


def open_htcondor(place: Place) -> HtcondorCe:
    """Entry point of the back end. Raises ConfigError without HTCondor's library."""
    if find_spec("htcondor2") is None:
        raise ConfigError(
            f"{place.where}: sites.{place.name}: the back end htcondor needs HTCondor's library: "
            "install act-flows[htcondor], or the package htcondor beside it"
        )
    return HtcondorCe(place, place.options(Options))
