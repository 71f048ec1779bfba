"""What PanDA's books hold of one job, and how long its daemons wait for news of it."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from act_core.simulators.panda_columns import TIME_FORMAT
from act_core.simulators.panda_jobs import JobOrder
from act_core.simulators.panda_states import Phase, status_word

URGENT = 800  # priority above which holding is bounded like a user's
LOST_HEARTBEAT, SENT_TIMEOUT, HOLDING_TIMEOUT, TRANSFER_TIMEOUT = 100, 102, 103, 104  # jobDispatcherErrorCode


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the server's daemons wait. Zero for the adder: within the call."""

    sent: timedelta = timedelta(minutes=30)
    heartbeat: timedelta = timedelta(hours=2)
    holding: timedelta = timedelta(hours=48)
    holding_urgent: timedelta = timedelta(hours=3)
    transferring_user: timedelta = timedelta(hours=2)
    adder: timedelta = timedelta(seconds=1)
    ddm: timedelta = timedelta(0)  # `transferring` after the adder, before `finished`
    archive: timedelta = timedelta(minutes=1)  # a failed job stays in the active table


@dataclass(slots=True)
class Update:
    """One report as it came: what it said and what was answered (`refused`: why nothing was applied)."""

    at: datetime
    status: str
    attempt: int | None
    command: str = ""
    refused: str = ""


@dataclass(slots=True)
class Job:
    """One PanDA job. `columns` is what reports and daemons wrote into it."""

    number: int
    order: JobOrder
    phase: Phase = Phase.ACTIVATED
    outcome: str = ""
    modified: datetime | None = None
    command: str | None = None
    columns: dict[str, object] = field(default_factory=dict)
    updates: list[Update] = field(default_factory=list)
    finals: int = 0  # final reports that reached the adder
    report: tuple[str, str] | None = None  # status and job_output_report, until the adder has read it
    watched: bool = False
    acquisitions: int = 0
    worker: tuple[str, int] | None = None

    @property
    def status(self) -> str:
        return status_word(self.phase, self.outcome)


def limit_of(job: Job, patience: Patience) -> timedelta | None:
    """How long a job may stay in its phase without news; None: for ever."""
    user = job.order.source_label == "user"
    return {
        Phase.SENT: patience.sent,
        Phase.STARTING: patience.heartbeat,
        Phase.RUNNING: patience.heartbeat,
        Phase.HOLDING: patience.holding_urgent if user or job.order.priority > URGENT else patience.holding,
        Phase.TRANSFERRING: patience.transferring_user if user else None,
    }.get(job.phase)


def timeout_of(job: Job) -> tuple[int, str]:
    """jobDispatcherErrorCode and diag of a job whose time is over."""
    lost = (LOST_HEARTBEAT, f"lost heartbeat : {job.modified:{TIME_FORMAT}}")
    return {
        Phase.SENT: (SENT_TIMEOUT, "Sent job didn't receive reply from pilot within 30 min"),
        Phase.HOLDING: (HOLDING_TIMEOUT, "not completed in holding"),
        Phase.TRANSFERRING: (TRANSFER_TIMEOUT, "transfer timeout"),
    }.get(job.phase, lost)
