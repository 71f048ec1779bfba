"""Figures that several views show."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

OTHERS = "others"  # the series of all that are too small for one of their own


@dataclass(frozen=True, slots=True)
class Counted:
    """Of when the counts are; `at` None: nobody has counted yet."""

    at: datetime | None
    age_s: float | None
    old: bool  # a tower that is up counts more often


@dataclass(frozen=True, slots=True)
class Cell:
    n: int
    cores: int
    oldest: datetime


@dataclass(frozen=True, slots=True)
class Totals:
    """Newest attempts, and what ended. `slots`: cores of the running ones; `rate`: ended within the last hour."""

    waiting: int
    queued: int
    running: int
    slots: int
    finishing: int
    other: int  # ended, and not at rest yet
    ended_today: int  # of both kinds
    failed_today: int
    rate: int


@dataclass(frozen=True, slots=True)
class StateRow:
    """Attempts at a CE by state. `ce` empty: they wait for one."""

    ce: str
    states: Mapping[str, Cell]
    n: int
    slots: int


@dataclass(frozen=True, slots=True)
class QueueStates:
    """PanDA jobs of a queue by our state of them."""

    server: str
    queue: str
    states: Mapping[str, Cell]
    n: int


@dataclass(frozen=True, slots=True)
class Series:
    name: str  # a CE, or `others`
    values: tuple[float, ...]  # one a point


@dataclass(frozen=True, slots=True)
class Chart:
    """Stacked series, the biggest first, `others` last. Points: hours `2026-11-21T09` or days `2026-11-21`, UTC."""

    points: tuple[str, ...]
    series: tuple[Series, ...]
    unit: str


@dataclass(frozen=True, slots=True)
class EndedChart:
    """Attempts by the day on which they ended. Cancelled and void ones are neither."""

    completed: Chart
    failed: Chart


@dataclass(frozen=True, slots=True)
class JobLine:
    """An attempt in a list. `wish`: the published word; `archived`: it is at rest."""

    id: int
    app: str
    app_job_id: str
    attempt: int
    ce: str | None
    share: str
    state: str
    wish: str | None
    since: datetime
    native_state: str | None
    rule: str | None
    exit_code: int | None
    error: str | None
    submission_key: str
    remote_id: str | None
    batch_id: str | None
    node: str | None
    cores: int
    created: datetime
    ended_at: datetime | None
    archived: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """A line of the ledger in sentences; `code` empty: what held is over. `job`: what its application calls it."""

    at: datetime
    topic: str
    code: str
    ce: str
    share: str
    job_id: int
    n: int
    why: str
    next: str
    do: str
    app: str = ""
    job: str = ""


@dataclass(frozen=True, slots=True)
class EventLine:
    """What happened to an attempt. `run`: of Prefect's runs the flow run's id, `stage` whose it was."""

    at: datetime
    job_id: int
    attempt: int
    from_state: str
    to_state: str
    reason: str
    actor: str
    ce: str | None
    run_id: int | None
    run: str | None = None
    stage: str | None = None
    app: str = ""
    job: str = ""


@dataclass(frozen=True, slots=True)
class ModeNow:
    """A mode that somebody set. `kind`: tower, queue, share or ce."""

    kind: str
    name: str
    mode: str
    owner: str | None
    reason: str | None
    since: datetime | None
    until: datetime | None
    server: str = ""


@dataclass(frozen=True, slots=True)
class RuleFailures:
    """Jobs to which an error rule was applied. `ces`: the most struck first; the example is the newest job."""

    rule: str
    n: int
    last_at: datetime
    ces: tuple[tuple[str, int], ...]
    job: JobLine | None = None


@dataclass(frozen=True, slots=True)
class Explained:
    """Why, since when, what happens next, what you can do."""

    subject: str
    why: tuple[str, ...]
    since: datetime | None
    next: tuple[str, ...]
    do: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DownSpan:
    """A time in which a CE was held back. `kind`: breaker, mode, unseen or blackhole; `until` None: it still is."""

    kind: str
    code: str
    since: datetime  # never before the line begins
    until: datetime | None
    why: str


@dataclass(frozen=True, slots=True)
class CredentialNow:
    """A credential as it stands. `trouble`: of its renewal; `state`: good, ending, expired or troubled."""

    id: int
    kind: str
    subject: str
    roles: str
    path: str
    expires: datetime
    left_s: float
    renewer: str  # empty: somebody else renews it
    renewed_at: datetime | None
    trouble: str | None
    state: str
    jobs: Mapping[str, int] = field(default_factory=dict)  # that outlive it or a copy of it, by CE
