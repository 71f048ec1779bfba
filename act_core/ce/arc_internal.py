"""A-REX on this host without network, through its control directory: the calls (docs/decisions/0007).

What the words mean stands in `arc_dialect` and `arc_records`, the files in `arc_control`.
"""

import asyncio
import os
import pwd
import time
from collections.abc import AsyncIterator, Callable, Collection, Container, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from act_core.ce import arc_adl, folders
from act_core.ce.arc_arrivals import Arrivals, Batch
from act_core.ce.arc_conf import ArcConf, read_conf
from act_core.ce.arc_control import Control
from act_core.ce.arc_internal_diagnosis import Diagnosis
from act_core.ce.arc_jobs import Jobs
from act_core.ce.arc_records import Owner, family
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
from act_core.ce.gathering import answered
from act_core.ce.registry import Place
from act_core.credentials.proxy import load_proxy
from act_core.errors import BadInput, ConfigError, OutcomeUnknown, ProtocolError, Transient
from act_core.jobspec import InputFile, JobSpec

P = ParamSpec("P")
T = TypeVar("T")
TRANSFER_S = 3600.0  # of one job
MB = 1024 * 1024


class Options(BaseModel):
    """The keys of `options` of an A-REX on this host."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    arc_config: Path = Path("/etc/arc.conf")
    queue: str | None = None  # batch queue for jobs that name none; default: A-REX's own choice
    grace: float = Field(default=10, ge=0)  # seconds after the send deadline until absence is believed
    transfers: int = Field(default=8, ge=1, le=64)  # jobs at a time whose files are copied
    max_fetch_mb: int = Field(default=2048, ge=1)  # of one job


class ArcInternalCe:
    """One A-REX of our own account, `uid`. The file work of a call happens in threads."""

    def __init__(self, place: Place, options: Options, uid: int) -> None:
        self._place, self._options = place, options
        self._seconds = place.site.deadline.total_seconds()
        self._control = Control(self._conf().control, uid)
        own = place.state_dir / "internal" / place.name.replace("/", "_")
        self._arrivals = Arrivals(self._control, own / "arriving")
        self._jobs = Jobs(self._control, own / "tower")
        self._copying = asyncio.Semaphore(options.transfers)
        self.answers = 0
        self.traits = Traits(
            kind="arc-internal",
            two_phase=place.site.two_phase is not False,
            needs_credential=place.proxy is not None,
            grace=timedelta(seconds=options.grace),
            batch=place.site.batch or 100,
            restarts=True,
        )

    def _complaint(self, words: object) -> str:
        return f"{self._place.line('options.arc_config')}: sites.{self._place.name}: {words}"

    def _conf(self) -> ArcConf:
        """A-REX's own configuration, read anew: it may be another one since. Raises ConfigError."""
        file = self._options.arc_config
        try:
            return read_conf(file.read_text(encoding="utf-8", errors="replace"))
        except OSError as err:
            words = f"{file}: {err.strerror}: options.arc_config names the arc.conf of the A-REX on this host"
            raise ConfigError(self._complaint(words)) from err
        except ConfigError as err:
            raise ConfigError(self._complaint(f"{file}: {err}")) from err

    def check(self) -> None:
        """Refuse what can never work. Raises ConfigError; what ails A-REX itself may pass."""
        try:
            self._control.check()
        except (Transient, ProtocolError):
            return
        except ConfigError as err:
            raise ConfigError(self._complaint(err)) from err

    async def submit(
        self, specs: Mapping[SubmissionKey, JobSpec], deadline: datetime | None = None
    ) -> Mapping[SubmissionKey, RemoteId | Refused | OutcomeLost]:
        if not specs:
            return {}
        ends, now = time.monotonic() + self._seconds, self._place.now

        def may() -> bool:
            return time.monotonic() < ends and (deadline is None or now() < deadline)

        answers: dict[SubmissionKey, RemoteId | Refused | OutcomeLost] = {}
        conf, owner = await asyncio.to_thread(self._conf), await asyncio.to_thread(self._owner)
        written = self._written(specs, conf, answers)
        try:
            answers |= await self._work(self._make, Batch(written, conf, owner, now(), may))
        except TimeoutError as err:  # what is made until now is there; the rest is no longer made
            raise OutcomeUnknown(f"{self._control.path}: not done in time ({self._seconds:g} s)") from err
        return answers

    def _make(self, batch: Batch) -> dict[SubmissionKey, RemoteId | Refused]:
        for tower in {family(key) for key in batch.written} - {None}:
            self._jobs.remember(TowerId(str(tower)))
        return self._arrivals.make(batch)

    def _written(
        self, specs: Mapping[SubmissionKey, JobSpec], conf: ArcConf, answers: dict[SubmissionKey, Any]
    ) -> dict[SubmissionKey, tuple[str, str]]:
        """Descriptions and queues; what A-REX would not take is answered for."""
        written: dict[SubmissionKey, tuple[str, str]] = {}
        for key, spec in specs.items():
            wanted = spec.queue or self._options.queue
            queue = conf.queue_for(wanted)
            if not conf.takes_jobs or not conf.sessions:
                answers[key] = Refused("A-REX takes no new jobs (allownew, or all session directories drain)", False)
            elif queue is None:
                there = ", ".join(conf.queues) or "none"
                answers[key] = Refused(f"A-REX has no queue {wanted or 'at all'}; there are: {there}", for_good=True)
            else:
                try:
                    written[key] = arc_adl.activity(spec, key, None, self.traits.two_phase, queue), queue
                except BadInput as err:
                    answers[key] = Refused(str(err), for_good=True)
        return written

    def _owner(self) -> Owner:
        if self._place.proxy is None:
            return Owner(f"/CN={_account(self._control.uid)}")
        found = load_proxy(self._place.proxy, self._place.now())
        return Owner(found.subject, found.roles, found.expires, found.proxy.read_bytes())

    async def put_inputs(self, files: Mapping[RemoteId, Collection[InputFile]]) -> Mapping[RemoteId, Refused | None]:
        async def put(job: RemoteId) -> Refused | None:
            return await self._copy(self._jobs.put, job, files[job])

        return await answered(files, put)

    async def list_mine(self, tower: TowerId, known: Container[RemoteId]) -> Listing:
        def work() -> Listing:
            self._arrivals.sweep()
            self._jobs.remember(tower)
            return self._jobs.listing(tower, known, self._place.now())

        return await self._call(work)

    async def marks(self, ids: Collection[RemoteId]) -> Mapping[RemoteId, str]:
        return await self._call(self._jobs.marks, ids)

    async def ended(self, ids: Container[RemoteId]) -> Mapping[RemoteId, Seen]:
        return await self._call(self._jobs.ended, ids)

    async def states(self, ids: Collection[RemoteId]) -> Mapping[RemoteId, Seen]:
        return await self._call(self._jobs.states, ids)

    async def details(self, ids: Collection[RemoteId]) -> Mapping[RemoteId, Facts]:
        return await self._call(self._jobs.details, ids)

    async def fetch(self, wanted: Mapping[RemoteId, FetchPlan]) -> Mapping[RemoteId, Fetched | Gone | Refused]:
        limits = folders.Limits(size=self._options.max_fetch_mb * MB)

        async def bring(job: RemoteId) -> Fetched | Gone | Refused:
            return await self._copy(self._jobs.fetch, job, wanted[job], limits)

        return await answered(wanted, bring)

    async def cancel(self, ids: Collection[RemoteId]) -> Mapping[RemoteId, Accepted | Gone | Refused]:
        return await self._call(self._jobs.wish, ids, "cancel")

    async def restart(self, ids: Collection[RemoteId]) -> Mapping[RemoteId, Accepted | Gone | Refused]:
        return await self._call(self._jobs.wish, ids, "restart")

    async def clean(self, ids: Collection[RemoteId]) -> Mapping[RemoteId, Accepted | Gone | Refused]:
        return await self._call(self._jobs.wish, ids, "clean")

    async def renew(self, credential: Shown) -> None:
        """Jobs here hold a copy of the proxy: A-REX's own transfers use the new one from now on."""
        owner = await asyncio.to_thread(self._owner)
        if owner.pem is not None:
            await self._call(self._jobs.renew, owner)

    async def capacity(self) -> Capacity:
        return await self._call(self._jobs.capacity, self._place.now())

    def diagnose(self, environments: Collection[str] = ()) -> AsyncIterator[Finding]:
        queue, account = self._options.queue, _account(self._control.uid)
        return Diagnosis(self._place, queue, self._control, self._conf, account, environments).steps()

    async def close(self) -> None:
        """Nothing is kept open."""

    async def _call(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await self._work(work, *args, **kwargs)
        except TimeoutError as err:
            raise Transient(f"{self._control.path}: no answer in time ({self._seconds:g} s)") from err

    async def _copy(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`_call` for files, which take longer and come one job at a time."""
        try:
            async with self._copying, asyncio.timeout(TRANSFER_S):
                return await self._in_thread(work, *args, **kwargs)
        except TimeoutError as err:
            raise Transient(f"{self._control.path}: files of a job take longer than {TRANSFER_S:.0f} s") from err

    async def _work(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        async with asyncio.timeout(self._seconds):
            return await self._in_thread(work, *args, **kwargs)

    async def _in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """File work where A-REX runs. Trouble with its directories is the CE's, and passes."""

        def checked() -> T:
            try:
                self._control.check()
            except ConfigError as err:
                raise ConfigError(self._complaint(err)) from err
            return work(*args, **kwargs)

        try:
            answer = await asyncio.to_thread(checked)
        except OSError as err:
            if isinstance(err, TimeoutError):
                raise
            raise Transient(f"{err.filename or self._control.path}: {err.strerror or err}") from err
        self.answers += 1
        return answer


def _account(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def open_arc_internal(place: Place) -> ArcInternalCe:
    """Entry point of the back end."""
    ce = ArcInternalCe(place, place.options(Options), os.geteuid())
    ce.check()
    return ce
