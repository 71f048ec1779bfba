"""The typed configuration: what each key means, its unit and its default. How it is read: `load`."""

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from act_core.settings.app_model import AppSettings
from act_core.settings.instances import settings_of
from act_core.settings.limits import Limits
from act_core.settings.policy import (
    BlackHole,
    Brake,
    Clean,
    Disk,
    Downtime,
    Errors,
    Fill,
    Reconcile,
    Secrets,
    Token,
    Voms,
)
from act_core.settings.quantities import FilePath, Seconds
from act_core.settings.retention import Retention, one_meaning
from act_core.settings.section import Section
from act_core.settings.web import Web
from act_core.words import redact

_CONDOR = re.compile(r"[^/\s]+:9619")


class Db(Section):
    """The state tables."""

    type: Literal["sqlite", "mysql"] = "sqlite"
    file: FilePath | None = None  # sqlite; default: act.sqlite in the state directory
    name: str = "act"
    user: str = "act"
    password: SecretStr = SecretStr("")
    host: str = "127.0.0.1"
    port: int = Field(default=3306, ge=1, le=65535)
    socket: FilePath | None = None
    tls_ca: FilePath | None = None  # verified TLS to the server, with this CA; a server without TLS is refused
    tls_cert: FilePath | None = None  # our certificate, where the server wants one
    tls_key: FilePath | None = None  # its key; default: in the same file
    pool: int = Field(default=8, ge=1, le=100)  # connections of one process, and threads that use them

    @model_validator(mode="after")
    def _verified(self) -> Self:
        """We show ourselves only to a server that is known."""
        if (self.tls_cert or self.tls_key) and self.tls_ca is None:
            raise ValueError("tls_cert and tls_key want tls_ca")
        if self.tls_key and self.tls_cert is None:
            raise ValueError("tls_key wants tls_cert")
        return self


NO_LIMIT = 999_999  # jobs


class Site(Section):
    """One computing element."""

    endpoint: str = ""
    kind: str = "arc-rest"  # a back end: `act ces list --kinds`
    maxjobs: int = Field(default=NO_LIMIT, ge=0)
    status: Literal["online", "offline"] = "online"
    proxy: FilePath | None = None  # default: the proxy of `role`, or voms.proxypath
    role: str | None = None  # of voms.roles; default: the first
    token: str | None = None  # a name of `tokens`
    credential: Literal["proxy", "token", "both"] = "proxy"  # what is shown to the CE
    queuefraction: float | None = Field(default=None, ge=0)  # a; None: jobs.queuefraction
    queueoffset: int | None = Field(default=None, ge=0)  # b; None: jobs.queueoffset
    two_phase: bool | None = None  # None: on where the back end can
    batch: int | None = Field(default=None, ge=1, le=1000)  # jobs in one submission; None: the back end's own
    poll: Seconds | None = None  # pause between full polls; None: jobs.checkinterval
    patience: Seconds = timedelta(hours=1)  # how long a job may be absent from good answers before it is lost
    deadline: Seconds = timedelta(seconds=60)  # of one call, all its chunks and retries included
    options: Mapping[str, Any] = Field(default_factory=dict)  # the back end's own keys

    @field_validator("endpoint")
    @classmethod
    def _bare(cls, endpoint: str) -> str:
        """Endpoints are shown to everybody."""
        if redact(endpoint) != endpoint:
            raise ValueError("no password can stand in it: a CE is shown a proxy or a token (`credential`)")
        return endpoint

    @model_validator(mode="before")
    @classmethod
    def _by_port(cls, given: Any) -> Any:
        """The original's files name no kind: an address without a scheme at HTCondor-CE's port is one."""
        if isinstance(given, dict) and "kind" not in given and _CONDOR.fullmatch(str(given.get("endpoint"))):
            return {**given, "kind": "htcondor"}
        return given


class Jobs(Limits):
    """How the engine treats jobs."""

    checkinterval: Seconds = timedelta(seconds=60)  # between full status polls of one CE
    checkmintime: Seconds = timedelta(seconds=2)  # between looks for ended jobs of one CE
    attempts: int = Field(default=5, ge=0, le=100)  # resubmissions that an attempt row may still have
    spread: Seconds = timedelta(seconds=5)  # a job's first candidate has so long to take it before the others may
    senddeadline: Seconds = timedelta(seconds=30)  # from the intent to the last moment at which the request is written
    grace: Seconds | None = None  # after the send deadline until absence from a listing counts; None: the back end's
    fetchtries: int = Field(default=8, ge=1, le=100)
    fetchbackoff: Seconds = timedelta(seconds=15)  # doubles with each try, at most an hour
    maxtimecancelling: Seconds = timedelta(hours=1)  # then the kill is sent again
    queuefraction: float = Field(default=0.15, ge=0)  # a of queued ≤ a·running + b
    queueoffset: int = Field(default=100, ge=0)  # b, shared among the shares with waiting work
    queuetime: Seconds = timedelta(hours=12)  # in a CE's queue, for which a worker node's proxy has to last, too
    archiveafter: Seconds = timedelta(hours=1)  # rows at rest move to the archive


class Breaker(Section):
    """When a CE rests after errors."""

    failures: int = Field(default=3, ge=1)  # in a row
    first: Seconds = timedelta(seconds=30)
    longest: Seconds = timedelta(minutes=15)


class Tmp(Section):
    dir: FilePath | None = None  # outputs of jobs; default: results in the state directory


class Logger(Section):
    level: Literal["debug", "info", "warning", "error", "critical"] = "info"
    logdir: FilePath | None = None  # default: log in the state directory
    rotate: int = Field(default=14, ge=1)  # days; the same as retention.logs

    @field_validator("level", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value


class Prefect(Section):
    """The clock."""

    port: int = Field(default=4200, ge=1, le=65535)
    host: str = "127.0.0.1"
    database: SecretStr | None = None  # postgresql+asyncpg://…; default: SQLite in the state directory
    window: Seconds = timedelta(seconds=58)
    pause: float = Field(default=1.0, gt=0, le=30)  # seconds between looks for due CEs
    max_tasks: int = Field(default=25, ge=1)  # tasks of a window; above, CEs are grouped
    pool: str = "act"
    workers: int = Field(default=1, ge=1, le=20)  # of the tower: so many windows of a stage at a time
    elsewhere: int = Field(default=0, ge=0)  # of them, on other machines (`act worker`); `act up` starts the rest

    @model_validator(mode="after")
    def _one_here(self) -> Self:
        if self.elsewhere >= self.workers:
            raise ValueError(f"of {self.workers} workers at most {self.workers - 1} can be elsewhere")
        return self


class Monitor(Section):
    """Numbers for Prometheus."""

    prometheusport: int | None = Field(default=None, ge=1, le=65535)  # of the worker; None: nothing is served
    host: str = "127.0.0.1"


class Observing(Section):
    """How much of its work the tower does."""

    observe: bool = False  # all is read, translated and shown; nothing is taken, sent, killed, reported or cleaned


class ArcSettings(Section):
    """aCTConfigARC.yaml."""

    db: Db = Db()
    sites: Mapping[str, Site] = Field(default_factory=dict)
    tmp: Tmp = Tmp()
    logger: Logger = Logger()
    jobs: Jobs = Jobs()
    breaker: Breaker = Breaker()
    downtime: Downtime = Downtime()
    voms: Voms = Voms()
    tokens: Mapping[str, Token] = Field(default_factory=dict)
    secrets: Secrets = Secrets()
    fill: Fill = Fill()
    blackhole: BlackHole = BlackHole()
    errors: Errors = Errors()
    reconcile: Reconcile = Reconcile()
    brake: Brake = Brake()
    clean: Clean = Clean()
    disk: Disk = Disk()
    retention: Retention = Retention()
    prefect: Prefect = Prefect()
    monitor: Monitor = Monitor()
    web: Web = Web()
    tower: Observing = Observing()

    _one_meaning = model_validator(mode="before")(one_meaning)


class Settings(Section):
    """All that holds: both files, the environment, the defaults."""

    state_dir: Path  # $ACT_STATE_DIR, else $XDG_STATE_HOME/act-flows, else ~/.local/state/act-flows
    arc: ArcSettings = ArcSettings()
    app: AppSettings = AppSettings()
    lines: Mapping[str, str] = Field(default_factory=dict)  # dotted key → file:line, for messages
    files: Mapping[str, Path] = Field(default_factory=dict)  # arc, app → the file that was read; none: not there
    instance: str | None = None  # whose settings of applications these are; None: the first's

    def seen_by(self, instance: str) -> Self:
        """The settings as this instance of an application has them."""
        return self.model_copy(update={"app": settings_of(self.app, instance), "instance": instance})

    def everybody(self) -> "tuple[Settings, ...]":
        """These, and those of every other instance."""
        return (self, *(self.seen_by(name) for name in self.app.instances))

    @property
    def app_dir(self) -> Path:
        """Where an instance keeps its files."""
        return self.state_dir / "instances" / self.instance if self.instance else self.state_dir

    @property
    def sqlite_file(self) -> Path:
        return self.arc.db.file or self.state_dir / "act.sqlite"

    @property
    def results_dir(self) -> Path:
        return self.arc.tmp.dir or self.state_dir / "results"

    @property
    def page_password(self) -> Path:
        """Of the page's first user, where none is configured."""
        return self.state_dir / "web" / "password"

    def where(self, key: str) -> str:
        """`file:line` of a dotted key such as `sites.ce1.endpoint`, as far as known, for messages."""
        own = f"instances.{self.instance}.{key}"
        if self.instance and own in self.lines:
            return self.lines[own]
        while key:
            if key in self.lines:
                return self.lines[key]
            key = key.rpartition(".")[0]
        return "defaults"
