"""Try a CE with two short jobs of our own, step by step; nothing of them is left there, whatever happens."""

import asyncio
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from act_core.ce.base import ComputingElement, Fetched, FetchPlan, OutcomeLost, Refused, RemoteId, Seen, SubmissionKey
from act_core.ce.diagnosis import Diagnosable, Finding, Verdict
from act_core.db.attempts import new_key
from act_core.engine.submit import to_upload
from act_core.errors import ActError, CredentialError, ProtocolError
from act_core.ids import TowerId, trial_key
from act_core.jobspec import InputFile, JobSpec, OutputFile
from act_core.states import ENDED, CeState
from act_core.words import redact

SEND = timedelta(seconds=30)
LONGEST_PAUSE = 5.0
SECOND_SLEEPS = 600  # seconds that the job to be killed would run
_OK, _BAD, _SKIPPED = Verdict.OK, Verdict.BAD, Verdict.SKIPPED
_STARTED = (CeState.RUNNING, CeState.FINISHING, CeState.FINISHED, CeState.FAILED)
_OVER = ENDED | {CeState.CANCELLED, CeState.LOST}
UNKNOWN_HERE = ("address", "TLS", "identity", "mapping", "RTEs", "delegation")  # to a back end that tells no more


@dataclass(frozen=True, slots=True)
class Plan:
    """`sleep`: how long the first job runs; `deadline`: for both jobs, from their start on; all in seconds."""

    sleep: float = 60
    deadline: float = 900
    watch: float = 10  # that a job without its input does not start
    leave: float = 120  # until a kill is confirmed, and for cleaning up
    pause: float = 0.5  # between looks at the beginning
    environments: tuple[str, ...] = ()
    quick: bool = False  # no jobs


@dataclass(slots=True)
class Trial:
    """One trial of one CE. `tell` hears each finding, `doing` the step that begins. The tables are not touched."""

    ce: ComputingElement
    tower: TowerId
    plan: Plan
    now: Callable[[], datetime]
    tell: Callable[[Finding], None]
    doing: Callable[[str], None] = lambda _step: None
    clock: Callable[[], float] = time.monotonic
    good: bool = True
    _word: str = field(default_factory=lambda: secrets.token_hex(8))
    _sent: dict[SubmissionKey, RemoteId | None] = field(default_factory=dict)  # None: the answer is not known
    _specs: dict[SubmissionKey, JobSpec] = field(default_factory=dict)
    _began: float = 0.0  # the inputs were sent

    async def run(self) -> bool:
        """Whether all went well. What it sent is removed also when it is cancelled."""
        try:
            if await self._diagnosed() and not self.plan.quick:
                await self._jobs()
        finally:
            if self._sent:
                await self._step("clean", self._leave_nothing)
        return self.good

    def _told(self, found: Finding) -> bool:
        self.good = self.good and not found.bad
        self.tell(replace(found, words=redact(found.words)))
        return not found.bad

    async def _step(self, name: str, check: Callable[[], Awaitable[Finding]]) -> bool:
        self.doing(name)
        try:
            found = await check()
        except ActError as err:
            found = Finding(name, _BAD, str(err), remedy(err))
        except OSError as err:
            do = "That is of this machine, not of the CE: mend it, or name another directory in TMPDIR."
            found = Finding(name, _BAD, f"{err.filename or 'here'}: {err.strerror or err}", do)
        return self._told(found)

    async def _diagnosed(self) -> bool:
        """Whether jobs make sense."""
        kind = self.ce.traits.kind
        if isinstance(self.ce, Diagnosable):
            self.doing("looking")
            async for found in self.ce.diagnose(self.plan.environments):
                self._told(found)
        else:
            for step in UNKNOWN_HERE:
                self._told(Finding(step, _SKIPPED, f"a {kind} CE has none, or tells nothing of it"))
            await self._step("answer", self._answers)
        return self.good

    async def _answers(self) -> Finding:
        said = await self.ce.capacity()
        told = [f"{n} {what}" for n, what in ((said.total_slots, "slots"), (said.queued, "queued")) if n is not None]
        words = (
            ", ".join([*([said.version] if said.version else []), *told, *said.queues]) or "it tells nothing of itself"
        )
        return Finding("answer", _OK, words)

    async def _jobs(self) -> None:
        if not await self._step("submit", self._submitted):
            return
        first, second = (job for job in self._sent.values() if job)
        good = await self._step("two-phase", self._waits) and await self._step("inputs", self._committed)
        if not good:
            return
        self._began = self.clock()
        await self._step("kill", lambda: self._killed(second))
        if await self._step("run", lambda: self._ran(first)):
            await self._step("output", lambda: self._output(first))

    def _spec(self, sleep: float) -> JobSpec:
        return JobSpec(
            name="trial",
            executable="/bin/sh",
            arguments=("-c", f"sleep {sleep:g} && cat in.txt > out.txt"),
            inputs=(InputFile(name="in.txt", content=self._word),),
            outputs=(OutputFile(name="out.txt"),),
            walltime=timedelta(seconds=max(sleep * 10, 1800)),
        )

    async def _submitted(self) -> Finding:
        keys = [trial_key(new_key(self.tower)) for _ in range(2)]
        self._specs = dict(zip(keys, (self._spec(self.plan.sleep), self._spec(SECOND_SLEEPS)), strict=True))
        self._sent = dict.fromkeys(keys)
        answers = await self.ce.submit(self._specs, self.now() + SEND)
        for key in keys:
            answer = answers.get(key)
            if isinstance(answer, Refused):
                del self._sent[key]
            elif answer is not None and not isinstance(answer, OutcomeLost):
                self._sent[key] = answer
        odd = [one.why for one in answers.values() if isinstance(one, Refused | OutcomeLost)]
        if odd or not all(self._sent.values()):
            do = "Its own words say what it misses: queue (options.queue), rights, or room for jobs."
            return Finding("submit", _BAD, f"not taken: {odd[0] if odd else 'the answer speaks of one job only'}", do)
        return Finding("submit", _OK, f"taken as {' and '.join(map(str, self._sent.values()))}")

    async def _waits(self) -> Finding:
        """A job must not start before its input has come: on that rests that none runs twice."""
        if not self.ce.traits.two_phase:
            return Finding("two-phase", _SKIPPED, "it is off for this CE (two_phase)")
        jobs = [job for job in self._sent.values() if job]
        ends = self.clock() + self.plan.watch
        async for seen in self._looks(jobs):
            if begun := [f"{job} is {one.native}" for job, one in seen.items() if one.state in _STARTED]:
                do = "Exactly once cannot be promised there: set two_phase to false, and tell the site and us."
                return Finding("two-phase", _BAD, f"it does not wait for its input: {', '.join(begun)}", do)
            if self.clock() >= ends:
                break
        return Finding("two-phase", _OK, "the jobs wait for their input")

    async def _committed(self) -> Finding:
        files = {job: to_upload(self._specs[key], self.ce.traits) for key, job in self._sent.items() if job}
        answers = await self.ce.put_inputs(files)
        if refused := [
            one.why if one else "no answer" for job in files if (one := answers.get(job, Refused("", False)))
        ]:
            return Finding(
                "inputs", _BAD, f"not taken: {refused[0]}", "The CE must take files from here: ask the site."
            )
        return Finding("inputs", _OK, "sent")

    async def _killed(self, job: RemoteId) -> Finding:
        answer = (await self.ce.cancel([job])).get(job)
        if isinstance(answer, Refused):
            return Finding("kill", _BAD, f"refused: {answer.why}", "Ask the site to kill it.")
        said, ends = "…", self.clock() + self.plan.leave
        async for seen in self._looks([job]):
            if job not in seen or seen[job].state in _OVER:
                word = seen[job].native if job in seen else "it knows it no more"
                return Finding("kill", _OK, f"{job} has ended (the CE's word: {word})")
            said = seen[job].native
            if self.clock() >= ends:
                break
        return Finding("kill", _BAD, f"the kill was taken, and {job} is still {said}", "Ask the site to kill it.")

    async def _ran(self, job: RemoteId) -> Finding:
        said = "…"
        async for seen in self._looks([job]):
            state = seen[job].state if job in seen else None
            said = seen[job].native if job in seen else "unknown to the CE"
            self.doing(f"run ({said})")
            if state is CeState.FINISHED:
                return Finding("run", _OK, f"{job} ended well after {self.clock() - self._began:.0f} s")
            if state in _OVER:
                return await self._failed(job, said)
            if self.clock() >= self._began + self.plan.deadline:
                break
        do = "Is there room in its queue? A busy CE needs a longer --deadline; else ask the site."
        return Finding("run", _BAD, f"after {self.plan.deadline:g} s {job} is still {said}", do)

    async def _failed(self, job: RemoteId, said: str) -> Finding:
        facts = (await self.ce.details([job])).get(job)
        why = facts.error if facts and facts.error else "no reason told"
        code = f", exit code {facts.exit_code}" if facts and facts.exit_code is not None else ""
        return Finding("run", _BAD, f"{job} is {said}: {why}{code}", "Send these words to the site.")

    async def _output(self, job: RemoteId) -> Finding:
        with tempfile.TemporaryDirectory(prefix="act-trial-") as folder:
            home = Path(folder) / "home"
            answer = (await self.ce.fetch({job: FetchPlan(home, ("out.txt",), ("out.txt",))})).get(job)
            if not isinstance(answer, Fetched):
                why = answer.why if isinstance(answer, Refused) else "the CE does not know it any more"
                return Finding("output", _BAD, f"it does not come home: {why}", "Ask the site.")
            text = await asyncio.to_thread((home / "out.txt").read_text, errors="replace")
        if text.strip() != self._word:
            return Finding("output", _BAD, f"it is not what went there: {text[:40]!r}", "Ask the site.")
        return Finding("output", _OK, "what went there came back")

    async def _looks(self, jobs: Collection[RemoteId]) -> AsyncIterator[dict[RemoteId, Seen]]:
        """What the CE says of jobs, again and again; the fresh list of ended jobs before late documents."""
        pause = self.plan.pause
        while True:
            said = {**await self.ce.states(jobs), **await self.ce.ended(set(jobs))}
            yield said
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE)

    async def _leave_nothing(self) -> Finding:
        """Kill and clean until the CE knows none of them; a job whose id never came is looked for by its name."""
        ends, said = self.clock() + self.plan.leave, ""
        left: set[RemoteId] = {job for job in self._sent.values() if job}
        try:
            async with asyncio.timeout(self.plan.leave):
                left |= await self._unanswered()
                if left:
                    await self.ce.cancel(left)
                async for seen in self._looks(left):
                    left = {job for job in left if job in seen and seen[job].state is not CeState.LOST}
                    if not left:
                        return Finding("clean", _OK, "nothing of ours is left there")
                    await self.ce.clean(left)
                    if self.clock() >= ends:
                        break
        except TimeoutError:
            said = " (no answer in time)"
        except ActError as err:
            said = f" ({err})"
        names = ", ".join(map(str, left)) or ", ".join(self._sent)
        do = "Ask the site to remove them; those that got no input file end by themselves."
        return Finding("clean", _BAD, f"left there: {names}{said}", do)

    async def _unanswered(self) -> set[RemoteId]:
        """A CE that has a job shows it within its grace time."""
        lost = {key for key, job in self._sent.items() if job is None}
        if not lost:
            return set()
        ends = self.clock() + self.ce.traits.grace.total_seconds()
        while True:
            listing = await self.ce.list_mine(self.tower, frozenset())
            found = {job for job, key in listing.mine.items() if key in lost}
            if len(found) == len(lost) or self.clock() >= ends:
                return found
            await asyncio.sleep(self.plan.pause)


def remedy(err: ActError) -> str:
    """Who acts."""
    if isinstance(err, CredentialError):
        return "Ask the site whether it takes this identity for that, too."
    if isinstance(err, ProtocolError):
        return "The CE says what this program does not understand: report it."
    return "Try again; if it stays so, ask the site."
