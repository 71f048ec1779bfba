"""PanDA in memory: the simulator's books behind the client's interface, calls that get lost; and a storage."""

import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from act_core.atlas.panda_server import PandaServer
from act_core.atlas.reports import ActiveJobs, Attributes, JobStatus, Update, UpdateAnswer, read_answer
from act_core.atlas.translate import HEARTBEAT, JOB_FILE
from act_core.atlas.wire import MalformedJob, PandaJob
from act_core.ce.base import Fetched, FetchPlan, Gone, Refused, RemoteId, SubmissionKey
from act_core.errors import ActError, OutcomeUnknown, Transient
from act_core.jobspec import JobSpec
from act_core.simulators import pilot
from act_core.simulators.panda_books import Books
from act_core.simulators.panda_waiting import Wish
from act_core.storage.base import Fate, Outcome, Permit, Place, Removal, Verdict, Wanted
from tests.walk.fake_ce import FakeCe, World

T = TypeVar("T")
BEGINNING = World().now
PILOTS = ("good", "good", "good", "bad", "silent", "garbage")  # how a native pilot ends
WORDS = ("running", "transferring", "finished", "failed")  # what a true pilot says


@dataclass
class AtlasWorld(World):
    """The CE, PanDA's books and the storage, on one clock. `told`: what the tower said and PanDA heard, in order."""

    books: Books = field(default_factory=Books)
    panda_fault: str | None = None
    told: list[Update] = field(default_factory=list)
    raw: dict[str, str] = field(default_factory=dict)  # PandaID → the job as its pilot reads it
    pilots: dict[str, str] = field(default_factory=dict)  # PandaID → one of PILOTS
    given_up: list[str] = field(default_factory=list)  # sent to the CE though PanDA's watchers had given them up
    storage: Outcome = Outcome.MATCH

    def take(self, key: SubmissionKey, spec: JobSpec) -> RemoteId:
        """The job's name is its PandaID from here on: its runs are counted by it."""
        (raw,) = (one.content for one in spec.inputs if one.name == JOB_FILE)
        assert raw is not None
        number = pilot.parse_job(raw)["PandaID"]
        self.raw[number] = raw
        self.books.tick(self.now)
        if self.books.jobs[int(number)].columns.get("jobDispatcherErrorCode"):
            self.given_up.append(number)
        return super().take(key, spec.model_copy(update={"name": number}))

    @property
    def days(self) -> int:
        """How many midnights have passed since it all began."""
        return (self.now.date() - BEGINNING.date()).days

    def panda_strikes(self) -> str | None:
        fault, self.panda_fault = self.panda_fault, None
        return fault

    def left_by(self, number: str) -> Mapping[str, bytes]:
        """What a native pilot leaves in its directory."""
        kind = self.pilots.get(number, "good")
        if kind == "silent":
            return {}
        if kind == "garbage":
            return {HEARTBEAT: b'{"state": "finis'}
        ran = pilot.Ran(
            self.now.timestamp() - 2, self.now.timestamp() - 1, problem="" if kind == "good" else "no input"
        )
        told = pilot.PilotArguments(storage="https://storage.example.org/out")
        made = pilot.produce(pilot.parse_job(self.raw[number]), told, ran).files
        return {name: made[name] for name in (HEARTBEAT, "output.list")}


class FakePanda(PandaServer):
    """The books without a network. Faults: `hang` (nothing is done), `lose` (done, unanswered), `half`, `busy`."""

    def __init__(self, world: AtlasWorld) -> None:
        self.world = world

    def _do_it(self, deed: Callable[[], T], lost: type[ActError] = Transient) -> T:
        fault = self.world.panda_strikes()
        if fault == "hang":
            raise Transient("PanDA does not answer")
        done = deed()
        if fault == "lose":
            raise lost("PanDA's answer is lost")
        if fault == "half" and isinstance(done, dict):
            return {key: done[key] for key in list(done)[::2]}  # type: ignore[return-value]
        return done

    async def is_alive(self) -> bool:
        return True

    async def attributes(self) -> Attributes:
        return Attributes("/CN=tower", ("/atlas/Role=production",), production=True)

    async def acquire_jobs(
        self, queue: str, n: int, label: str | None = None, resource_type: str | None = None
    ) -> list[PandaJob | MalformedJob]:
        books, now = self.world.books, self.world.now
        wish = Wish(label, resource_type=resource_type)
        return self._do_it(
            lambda: [PandaJob.parse(books.describe(job)) for job in books.acquire(queue, wish, n, now, {})],
            OutcomeUnknown,
        )

    async def update_jobs_bulk(self, updates: Collection[Update]) -> Mapping[int, UpdateAnswer]:
        if self.world.panda_fault == "busy":
            later = read_answer({"success": True, "message": "timed out", "data": {"StatusCode": 10}})
            return dict.fromkeys((update.job_id for update in updates), later)
        return self._do_it(lambda: {update.job_id: self._heard(update) for update in updates})

    def _heard(self, update: Update) -> UpdateAnswer:
        self.world.told.append(update)
        command = self.world.books.update(update.body(), self.world.now)
        return read_answer({"success": True, "message": "", "data": {"StatusCode": 0, "command": command}})

    async def get_job_status(self, panda_ids: Collection[int]) -> Mapping[int, JobStatus]:
        self.world.books.tick(self.world.now)
        jobs = self.world.books.jobs
        return self._do_it(
            lambda: {one: JobStatus(one, jobs[one].status, jobs[one].order.attempt) for one in panda_ids}
        )

    async def queue_statistics(self) -> Mapping[str, Sequence[ActiveJobs]]:
        return {}

    async def close(self) -> None: ...


class PilotCe(FakeCe):
    """A CE whose jobs leave behind what their pilots wrote."""

    world: AtlasWorld

    async def fetch(self, wanted: Mapping[RemoteId, FetchPlan]) -> Mapping[RemoteId, Fetched | Gone | Refused]:
        found = await super().fetch(wanted)
        for one, answer in found.items():
            if isinstance(answer, Fetched):
                _laid_down(self.world.left_by(self.world.jobs[one].name), wanted[one].directory)
        return found


def _laid_down(files: Mapping[str, bytes], directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (directory / name).write_bytes(content)


class FakeStorage:
    """One storage of which every file is the same; it never deletes."""

    def __init__(self, world: AtlasWorld) -> None:
        self.world = world

    async def look(self, place: Place, file: Wanted) -> Verdict:
        return Verdict(self.world.storage, "as the world has it")

    async def delete(self, place: Place, permit: Permit) -> Removal:
        return Removal(Fate.REFUSED, "not here")

    async def close(self) -> None: ...


def report_of_pilot(world: AtlasWorld, number: int, word: str) -> Update:
    """What a true pilot says of its job itself; of a finished one it lists every output."""
    job = world.books.jobs[number]
    described = world.books.describe(job)
    names = [*str(described["outFiles"]).split(","), str(described["logFile"])]
    file = {"guid": "a-b", "fsize": 1, "adler32": "00000001", "surl": "davs://se/x", "endpoint": "SE"}
    outputs = json.dumps(dict.fromkeys(filter(None, names), file)) if word == "finished" else None
    return Update.model_validate(
        {"job_id": number, "job_status": word, "attempt_nr": job.order.attempt, "job_output_report": outputs}
    )


def finals(told: Sequence[Update]) -> Counter[int]:
    """How many different final reports each job had from the tower."""
    texts = {(one.job_id, one.model_dump_json()) for one in told if one.job_status in ("finished", "failed")}
    return Counter(number for number, _ in texts)
