"""A job as the simulated CE keeps it, and the words for its state."""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from act_core.simulators.arc_description import Description
from act_core.simulators.arc_payload import PayloadResult
from act_core.simulators.arc_session import Session

CANCELLED = "Job is canceled by external request"


class Internal(StrEnum):
    """The states of `diagnose/status`."""

    ACCEPTED = "ACCEPTED"
    PREPARING = "PREPARING"
    SUBMIT = "SUBMIT"
    INLRMS = "INLRMS"
    FINISHING = "FINISHING"
    FINISHED = "FINISHED"
    CANCELING = "CANCELING"


class Batch(StrEnum):
    """What the batch system says of a job in INLRMS."""

    QUEUED = "Q"
    RUNNING = "R"


_REST: Mapping[Internal, str] = {
    Internal.ACCEPTED: "ACCEPTING",
    Internal.PREPARING: "PREPARING",
    Internal.SUBMIT: "SUBMITTING",
    Internal.INLRMS: "RUNNING",
    Internal.FINISHING: "FINISHING",
    Internal.CANCELING: "KILLING",
}
_REST_PENDING: Mapping[Internal, str] = {
    Internal.ACCEPTED: "ACCEPTED",
    Internal.PREPARING: "PREPARED",
    Internal.INLRMS: "EXECUTED",
}


@dataclass(slots=True)
class Job:
    """Times are aware UTC."""

    id: str
    owner: str
    about: Description
    packed: bytes  # the description as received, compressed: 100,000 of them fit
    created: datetime
    reruns: int
    delegations: tuple[str, ...] = ()
    client: str = ""
    state: Internal = Internal.ACCEPTED
    pending: bool = False
    batch: Batch | None = None
    cancelled: bool = False
    failure: str = ""
    failed_state: str = ""
    told: str = ""  # the REST state of the late file; empty: not written yet
    documented: bool = False  # the late file came from the information provider
    to_clean: bool = False
    staged: bool = False  # inputs with a source are there
    ready: bool = False  # all inputs are there
    holds_slot: bool = False
    moving: bool = False  # its state is between two directories
    node: str = ""
    executions: int = 0
    missing: set[str] = field(default_factory=set)  # inputs that the client still has to bring
    arrived: list[str] = field(default_factory=list)
    result: PayloadResult | None = None
    started: datetime | None = None
    left_batch: datetime | None = None
    ended: datetime | None = None
    log: list[str] = field(default_factory=list)
    session: Session = field(default_factory=Session)

    @property
    def text(self) -> str:
        return zlib.decompress(self.packed).decode()

    @property
    def over(self) -> bool:
        return self.state is Internal.FINISHED


def packed(text: str) -> bytes:
    return zlib.compress(text.encode(), 1)


def internal_word(job: Job) -> str:
    """The content of `diagnose/status`."""
    return f"PENDING:{job.state}" if job.pending else str(job.state)


def rest_state(job: Job) -> str:
    """The fresh state with the batch system's word in it, as the information provider would write it."""
    if job.state is Internal.INLRMS and job.batch is Batch.QUEUED and not job.pending:
        return "QUEUING"
    if job.over and job.cancelled:
        return "KILLED"
    return listed_state(job)


def listed_state(job: Job) -> str:
    """The fresh state of `GET /jobs?state=`: does not ask the batch system, and takes killed jobs for failed ones."""
    if job.over:
        return "FAILED" if job.failure or job.cancelled else "FINISHED"
    return (_REST_PENDING if job.pending else _REST)[job.state]


@dataclass(frozen=True, slots=True)
class Removed:
    """What the books remember of a job that the CE does not know any more."""

    id: str
    name: str
    owner: str
    state: str
    executions: int
    ended: datetime | None = None


class Books:
    """All jobs of a CE. The control port sees them all, a client only its own."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.removed: dict[str, Removed] = {}
        self.hidden: set[str] = set()  # they live on, and no client is told of them
        self.accounts: dict[str, str] = {}  # names that are mapped to somebody else's account
        self._by_owner: dict[str, dict[str, None]] = {}
        self._holders: dict[tuple[str, str], set[str]] = {}  # (owner, delegation): jobs

    def add(self, job: Job) -> None:
        self.jobs[job.id] = job
        self._by_owner.setdefault(job.owner, {})[job.id] = None
        for delegation in job.delegations:
            self._holders.setdefault((job.owner, delegation), set()).add(job.id)

    def remove(self, job: Job) -> None:
        if self.jobs.pop(job.id, None) is None:
            return
        del self._by_owner[job.owner][job.id]
        for delegation in job.delegations:
            self._holders[job.owner, delegation].discard(job.id)
        self.removed[job.id] = Removed(job.id, job.about.name, job.owner, rest_state(job), job.executions, job.ended)

    def find(self, owner: str, job_id: str) -> Job | None:
        job = self.jobs.get(job_id)
        return job if job is not None and job.owner == owner and job_id not in self.hidden else None

    def of(self, owner: str) -> Iterable[str]:
        """Ids; in no order that anybody should rely on."""
        mine = self._by_owner.get(owner, {})
        return [job_id for job_id in mine if job_id not in self.hidden] if self.hidden else mine

    def jobs_of(self, owner: str) -> Iterator[Job]:
        return (self.jobs[job_id] for job_id in self.of(owner))

    def holds(self, owner: str, delegation: str) -> bool:
        return bool(self._holders.get((owner, delegation)))
