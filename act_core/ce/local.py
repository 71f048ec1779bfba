"""Jobs as processes on this machine: a directory a job, found again after the tower was killed.

The files are the truth, so that any process of the tower may look after the jobs at any time:
`job.json` (what the runner needs), `committed` (may start), `started` (pid), `finishing`, `ended.json`, `kill`.
"""

import asyncio
import contextlib
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Container, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from act_core.ce import local_files, local_runner
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
    key_belongs,
)
from act_core.ce.disk import make_folders
from act_core.ce.local_files import JobDir
from act_core.ce.registry import Place
from act_core.errors import ConfigError, DiskError, Transient
from act_core.jobspec import InputFile, JobSpec
from act_core.states import CeState

LAST_MOMENT_S = 2.0  # that a runner may take to end once its job is over
P = ParamSpec("P")
T = TypeVar("T")


class Options(BaseModel):
    """The keys of `options` of a local CE."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    root: Path | None = None  # default: local/<name> in the state directory
    slots: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1, le=10_000)


class LocalCe:
    """See the module. All file work of a call happens in one thread."""

    def __init__(self, place: Place, options: Options) -> None:
        self._root = (options.root or place.state_dir / "local" / place.name).absolute()
        self._slots = options.slots
        self._place = place
        self._children: list[tuple[subprocess.Popen[bytes], JobDir]] = []
        self.answers = 0
        self.traits = Traits(
            kind="local",
            two_phase=place.site.two_phase is not False,
            needs_credential=False,
            grace=timedelta(0),
            batch=place.site.batch or 100,
            restarts=True,
            together=100,
        )

    def check(self) -> None:
        """Make the directory. Raises ConfigError where it can be none."""
        try:
            make_folders(self._root, 0o700)
        except OSError as err:
            where = f"{self._place.where}: sites.{self._place.name}.options.root"
            raise ConfigError(f"{where}: {self._root} cannot be made: {err.strerror}") from err

    async def submit(
        self, specs: Mapping[SubmissionKey, JobSpec], deadline: datetime | None = None
    ) -> Mapping[SubmissionKey, RemoteId | Refused | OutcomeLost]:
        return await self._in_thread(self._submit, specs, deadline)

    def _submit(
        self, specs: Mapping[SubmissionKey, JobSpec], deadline: datetime | None
    ) -> dict[SubmissionKey, RemoteId | Refused | OutcomeLost]:
        answers: dict[SubmissionKey, RemoteId | Refused | OutcomeLost] = {}
        make_folders(self._root, 0o700)
        for key, spec in specs.items():
            if deadline and self._place.now() >= deadline:
                answers[key] = Refused("the send deadline has passed", for_good=False)
                continue
            try:
                local_files.create(self._root, key, spec, self._place, two_phase=self.traits.two_phase)
            except OSError as err:
                answers[key] = Refused(f"{self._root}: {err.strerror}", for_good=False)
            else:
                answers[key] = RemoteId(key)
        with contextlib.suppress(OSError):  # the jobs are there: their ids must not be lost
            self._advance()
        return answers

    async def put_inputs(self, files: Mapping[RemoteId, Collection[InputFile]]) -> Mapping[RemoteId, Refused | None]:
        return await self._in_thread(self._put_inputs, files)

    def _put_inputs(self, files: Mapping[RemoteId, Collection[InputFile]]) -> dict[RemoteId, Refused | None]:
        answers = {one: local_files.put(job, files[one]) for one, job in self._jobs(files)}
        self._advance()
        return answers

    async def list_mine(self, tower: TowerId, known: Container[RemoteId]) -> Listing:
        names = await self._in_thread(local_files.names, self._root)
        ours = {RemoteId(name): SubmissionKey(name) for name in names if key_belongs(name, tower)}
        mine = {job: key for job, key in ours.items() if job not in known}
        return Listing(mine, total=len(names), foreign=len(names) - len(ours))

    async def marks(self, ids: Collection[RemoteId]) -> Mapping[RemoteId, str]:
        return await self._in_thread(lambda: {one: job.mark() for one, job in self._jobs(ids)})

    async def ended(self, ids: Container[RemoteId]) -> Mapping[RemoteId, Seen]:
        return await self._in_thread(self._ended, ids)

    def _ended(self, ids: Container[RemoteId]) -> dict[RemoteId, Seen]:
        self._advance()
        asked = [RemoteId(name) for name in local_files.names(self._root) if RemoteId(name) in ids]
        seen = {one: job.seen(self._place.now(), self.traits) for one, job in self._jobs(asked)}
        over = (CeState.FINISHED, CeState.FAILED, CeState.CANCELLED)
        return {one: said for one, said in seen.items() if said.state in over}

    async def states(self, ids: Collection[RemoteId]) -> Mapping[RemoteId, Seen]:
        return await self._in_thread(self._states, ids)

    def _states(self, ids: Collection[RemoteId]) -> dict[RemoteId, Seen]:
        self._advance()
        return {one: job.seen(self._place.now(), self.traits) for one, job in self._jobs(ids)}

    async def details(self, ids: Collection[RemoteId]) -> Mapping[RemoteId, Facts]:
        return await self._in_thread(lambda: {one: job.facts() for one, job in self._jobs(ids)})

    async def fetch(self, wanted: Mapping[RemoteId, FetchPlan]) -> Mapping[RemoteId, Fetched | Gone | Refused]:
        return await self._in_thread(self._fetch, wanted)

    def _fetch(self, wanted: Mapping[RemoteId, FetchPlan]) -> dict[RemoteId, Fetched | Gone | Refused]:
        found = dict(self._jobs(wanted))
        answers: dict[RemoteId, Fetched | Gone | Refused] = {}
        for one, plan in wanted.items():
            try:
                answers[one] = local_files.bring(found[one], plan) if one in found else Gone()
            except DiskError:
                if not answers:
                    raise
                break  # what came home counts; the others are asked for again
        return answers

    async def cancel(self, ids: Collection[RemoteId]) -> Mapping[RemoteId, Accepted | Gone | Refused]:
        return await self._in_thread(self._each, ids, lambda job: job.kill(self._locked))

    async def restart(self, ids: Collection[RemoteId]) -> Mapping[RemoteId, Accepted | Gone | Refused]:
        return await self._in_thread(self._each, ids, local_files.restart)

    async def clean(self, ids: Collection[RemoteId]) -> Mapping[RemoteId, Accepted | Gone | Refused]:
        return await self._in_thread(self._each, ids, local_files.remove)

    async def renew(self, credential: Shown) -> None:
        """Processes here read the proxy file itself."""

    async def capacity(self) -> Capacity:
        def work() -> Capacity:
            running = sum(job.running() for _, job in self._jobs(map(RemoteId, local_files.names(self._root))))
            return Capacity(total_slots=self._slots, free_slots=max(0, self._slots - running), running=running)

        return await self._in_thread(work)

    async def _in_thread(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """File work of one call. Trouble with the directory is the CE's, and passes."""
        try:
            answer = await asyncio.to_thread(call, *args, **kwargs)
        except OSError as err:
            raise Transient(f"{self._root}: {err.strerror or err}") from err
        self.answers += 1
        return answer

    async def close(self) -> None:
        """Jobs go on; ended children are reaped, and those whose jobs are over end in a moment."""
        await asyncio.to_thread(self._reap, LAST_MOMENT_S)

    def _jobs(self, ids: Collection[RemoteId] | Iterator[RemoteId]) -> Iterator[tuple[RemoteId, JobDir]]:
        for one in ids:
            if local_files.is_name(one) and (self._root / one).is_dir():
                yield one, JobDir(self._root / one)

    def _each(self, ids: Collection[RemoteId], act: Any) -> dict[RemoteId, Accepted | Gone | Refused]:
        found = dict(self._jobs(ids))
        return {one: act(found[one]) if one in found else Gone() for one in ids}

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One process at a time starts or kills jobs here."""
        make_folders(self._root, 0o700)
        (self._root / ".lock").touch(mode=0o600)
        with (self._root / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _reap(self, moment: float = 0.0) -> None:
        for child, job in self._children:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(moment if job.over() else 0.0)
        self._children = [(child, job) for child, job in self._children if child.returncode is None]

    def _advance(self) -> None:
        """Start committed jobs while there are free slots."""
        self._reap()
        with self._locked():
            jobs = [JobDir(self._root / name) for name in local_files.names(self._root)]
            open_jobs = [job for job in jobs if not job.over()]
            free = self._slots - sum(job.started() for job in open_jobs)
            ready = [job for job in open_jobs if job.committed() and not job.started()]
            for job in sorted(ready, key=JobDir.turn)[: max(0, free)]:
                self._start(job)

    def _start(self, job: JobDir) -> None:
        with job.log().open("ab") as out:
            child = subprocess.Popen(  # noqa: S603 - our own runner
                [sys.executable, "-I", "-S", local_runner.__file__, str(job.path)],
                cwd=job.path,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"},
            )
        self._children.append((child, job))
        # The slot counts as taken once the runner has claimed the job.
        for _ in range(500):
            if job.started() or child.poll() is not None:
                return
            time.sleep(0.002)


def open_local(place: Place) -> LocalCe:
    """Entry point of the back end."""
    ce = LocalCe(place, place.options(Options))
    ce.check()
    return ce
