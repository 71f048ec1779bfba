"""The protocol of a computing element and its values. A back end takes a batch and answers with a mapping."""

from collections.abc import Collection, Container, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from act_core.credentials.values import Credential, Shown
from act_core.ids import RemoteId, SubmissionKey, TowerId, key_belongs
from act_core.jobspec import InputFile, JobSpec
from act_core.states import CeState

__all__ = [
    "Accepted",
    "Capacity",
    "ComputingElement",
    "Credential",
    "Facts",
    "FetchPlan",
    "Fetched",
    "Gone",
    "Listing",
    "OutcomeLost",
    "Refused",
    "RemoteId",
    "Seen",
    "Shown",
    "SubmissionKey",
    "TowerId",
    "Traits",
    "key_belongs",
]


@dataclass(frozen=True, slots=True)
class Refused:
    """The CE answered for this job, and the answer is no."""

    why: str
    for_good: bool  # False: asking again later may help


@dataclass(frozen=True, slots=True)
class Accepted:
    """The CE took the request; its effect shows in a later poll."""


@dataclass(frozen=True, slots=True)
class Gone:
    """The CE says that it does not know the job, asked with the identity that submitted it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A CE's word on a job's state."""

    state: CeState | None  # None: a word that the dialect does not know, or one that moves nothing
    native: str  # the CE's own word, for people


@dataclass(frozen=True, slots=True)
class Facts:
    """What a CE says of a job beyond its state. None: it does not say. Memory in kB, times in seconds."""

    complete: bool = True  # False: the document is older than the job's end; ask again
    exit_code: int | None = None
    error: str | None = None
    node: str | None = None
    batch_id: str | None = None  # what its batch system calls the job
    queue: str | None = None
    wall_s: int | None = None
    cpu_s: int | None = None
    memory_kb: int | None = None
    cores: int | None = None
    started: datetime | None = None
    ended: datetime | None = None
    restart_at: str | None = None  # the CE's state from which a failed job can be restarted; None: it cannot


@dataclass(frozen=True, slots=True)
class FetchPlan:
    """What of a job comes home and where to. The directory is made new: what lay there is replaced."""

    directory: Path
    patterns: tuple[str, ...]  # grammar: :class:`act_core.jobspec.JobSpec.fetch`
    declared: tuple[str, ...] = ()  # outputs that must be there: their absence is a refusal


@dataclass(frozen=True, slots=True)
class Fetched:
    """Everything asked for lies in the plan's directory."""

    files: int
    size: int  # bytes
    bare: bool = False  # the CE knows the job, and the directory that was to be looked through is not there


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a CE says of itself. None: it does not say."""

    total_slots: int | None = None
    free_slots: int | None = None
    running: int | None = None
    queued: int | None = None
    version: str | None = None
    queues: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Traits:
    """What a back end can do; the engine adapts to it."""

    kind: str
    two_phase: bool  # a job that waits for a file of ours does not run before we send it
    needs_credential: bool
    grace: timedelta = timedelta(seconds=60)  # after the send deadline, until absence from a listing is believed
    input_patience: timedelta = timedelta(minutes=10)  # the CE fails a job whose inputs have not come by then
    batch: int = 100  # jobs in one submission
    restarts: bool = False  # can continue a failed stage-in or stage-out, or a held job
    may_go_back: bool = False  # a running job may be told as queued again (HTCondor)
    together: int = 1  # jobs in one call of `fetch` and `put_inputs`: the quick ones of a call wait for the slow ones


@dataclass(frozen=True, slots=True)
class OutcomeLost:
    """The request with this job left and its answer was lost: the job may be there."""

    why: str


@dataclass(frozen=True, slots=True)
class Listing:
    """A complete list of a CE's jobs under our identity.

    `mine`: jobs of this tower that were not known; `nameless`: ids whose name the CE does not tell yet, with the time
    at which they were first listed.
    """

    mine: Mapping[RemoteId, SubmissionKey]
    total: int
    foreign: int
    nameless: Mapping[RemoteId, datetime] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return not self.nameless

    def complete_since(self, intent: datetime) -> bool:
        """Whether absence from it says something of a job that was sent after `intent`: older ones are not it."""
        return all(first < intent for first in self.nameless.values())


class ComputingElement(Protocol):
    """One endpoint. All calls are bounded in time and chunked inside; answers are matched by id.

    A missing key in an answer of `states`, `ended` and `details` means: the CE does not know this job; in one of
    `fetch` and `put_inputs`: it was not answered for. A call raises only for the whole batch: `Transient` (did not
    happen, or can be repeated), `OutcomeUnknown` (`submit` only: the request left, the answer was lost),
    `CredentialError`, `ProtocolError`, `DiskError` (`fetch` and `put_inputs` only: our own disk).
    """

    @property
    def traits(self) -> Traits: ...

    @property
    def answers(self) -> int:
        """How many answers the CE has given so far, whatever they said; trouble of the server itself is none."""
        ...

    async def submit(
        self, specs: Mapping[SubmissionKey, JobSpec], deadline: datetime | None = None
    ) -> Mapping[SubmissionKey, RemoteId | Refused | OutcomeLost]:
        """Create the jobs. Nothing is written to the CE after `deadline`; what was not sent is `Refused` for now."""
        ...

    async def put_inputs(self, files: Mapping[RemoteId, Collection[InputFile]]) -> Mapping[RemoteId, Refused | None]:
        """Upload: the commit (architecture rule 5). Can be repeated."""
        ...

    async def list_mine(self, tower: TowerId, known: Container[RemoteId]) -> Listing:
        """All jobs on the CE whose name carries our tower id, but for the ones already known."""
        ...

    async def marks(self, ids: Collection[RemoteId]) -> Mapping[RemoteId, str]:
        """`JobSpec.mark` of these jobs, as it was sent; empty: they carry none. A missing id: it was not told now."""
        ...

    async def ended(self, ids: Container[RemoteId]) -> Mapping[RemoteId, Seen]:
        """Those of `ids` (only asked `in`, never walked) that are over: fresh and cheap. A missing id says nothing."""
        ...

    async def states(self, ids: Collection[RemoteId]) -> Mapping[RemoteId, Seen]: ...

    async def details(self, ids: Collection[RemoteId]) -> Mapping[RemoteId, Facts]:
        """What the CE says of them; of one whose newest documents cannot be read, what an older one says."""
        ...

    async def fetch(self, wanted: Mapping[RemoteId, FetchPlan]) -> Mapping[RemoteId, Fetched | Gone | Refused]: ...

    async def cancel(self, ids: Collection[RemoteId]) -> Mapping[RemoteId, Accepted | Gone | Refused]: ...

    async def restart(self, ids: Collection[RemoteId]) -> Mapping[RemoteId, Accepted | Gone | Refused]: ...

    async def clean(self, ids: Collection[RemoteId]) -> Mapping[RemoteId, Accepted | Gone | Refused]:
        """Remove ended jobs. `Gone` and `Accepted` both mean that nothing is left or will be left."""
        ...

    async def renew(self, credential: Shown) -> None:
        """Give the CE a fresh delegation, or a copy, where jobs hold one that is old or of a former proxy or token."""
        ...

    async def capacity(self) -> Capacity: ...

    async def close(self) -> None: ...
