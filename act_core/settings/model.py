"""The typed configuration: what each key means, its unit and its default. How it is read: `load`."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from act_core.settings.quantities import FilePath, Seconds


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


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
    tls_ca: FilePath | None = None  # verified TLS to the server, with this CA
    pool: int = Field(default=8, ge=1, le=100)  # connections of one process, and threads that use them


class Site(Section):
    """One computing element."""

    endpoint: str = ""
    kind: str = "arc-rest"  # a back end: `act ces list --kinds`
    maxjobs: int = Field(default=999_999, ge=0)
    status: Literal["online", "offline"] = "online"
    proxy: FilePath | None = None  # default: voms.proxypath
    two_phase: bool | None = None  # None: on where the back end can
    batch: int | None = Field(default=None, ge=1, le=1000)  # jobs in one submission; None: the back end's own
    poll: Seconds | None = None  # pause between full polls; None: jobs.checkinterval
    patience: Seconds = timedelta(hours=1)  # how long a job may be absent from good answers before it is lost
    deadline: Seconds = timedelta(seconds=60)  # of one call, all its chunks and retries included
    options: Mapping[str, Any] = Field(default_factory=dict)  # the back end's own keys


class Jobs(Section):
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
    archiveafter: Seconds = timedelta(hours=1)  # rows at rest move to the archive


class Breaker(Section):
    """When a CE rests after errors."""

    failures: int = Field(default=3, ge=1)  # in a row
    first: Seconds = timedelta(seconds=30)
    longest: Seconds = timedelta(minutes=15)


class Voms(Section):
    """The X.509 identity."""

    proxypath: FilePath | None = None
    cacertdir: FilePath = Path("/etc/grid-security/certificates")


class Tmp(Section):
    dir: FilePath | None = None  # outputs of jobs; default: results in the state directory


class Logger(Section):
    level: Literal["debug", "info", "warning", "error", "critical"] = "info"
    logdir: FilePath | None = None  # default: log in the state directory
    rotate: int = Field(default=14, ge=1)  # days

    @field_validator("level", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value


class Downtime(Section):
    stopsubmission: bool = False


class Prefect(Section):
    """The clock."""

    port: int = Field(default=4200, ge=1, le=65535)
    host: str = "127.0.0.1"
    database: SecretStr | None = None  # postgresql+asyncpg://…; default: SQLite in the state directory
    window: Seconds = timedelta(seconds=58)
    pause: float = Field(default=1.0, gt=0, le=30)  # seconds between looks for due CEs
    max_tasks: int = Field(default=25, ge=1)  # tasks of a window; above, CEs are grouped
    pool: str = "act"


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
    prefect: Prefect = Prefect()


class Panda(Section):
    """The workload system. Addresses without /api: `https://host:25443`."""

    server: str = "https://pandaserver.cern.ch:25443"
    cacert: FilePath | None = None  # file or directory; default: voms.cacertdir
    proxy: FilePath | None = None  # production role; default: voms.proxypath
    tokenfile: FilePath | None = None  # bearer token instead of the proxy, re-read every 10 minutes
    origin: str = "atlas.production"  # sent with a token
    schedulerid: str = "act"
    heartbeattime: Seconds = timedelta(minutes=30)
    timeout: Seconds = timedelta(seconds=180)
    getjobs: int = Field(default=100, ge=1, le=1000)  # jobs in one acquire call
    minjobs: int = Field(default=20, ge=0)  # a queue with so many unsubmitted jobs gets no more
    fetchpause: Seconds = timedelta(seconds=30)  # after a queue had no jobs
    threads: int = Field(default=4, ge=1, le=64)  # calls at a time
    sites: Mapping[str, "PandaSite"] = Field(default_factory=dict)


class PandaSite(Section):
    """What the configuration says of a PanDA queue; set keys win over CRIC."""

    endpoints: tuple[str, ...] = ()  # names of sites of aCTConfigARC.yaml, or endpoint URLs
    schedconfig: str | None = None
    type: Literal["production", "analysis", "unified"] | None = None
    corecount: int | None = Field(default=None, ge=1)
    maxjobs: int | None = Field(default=None, ge=0)
    status: Literal["online", "offline", "test", "brokeroff"] | None = None
    maxwalltime: int | None = Field(default=None, ge=1)  # minutes
    truepilot: bool | None = None
    push: bool | None = None
    cricjsons: bool = False


class Cric(Section):
    server: str = "https://atlas-cric.cern.ch/api/atlas/pandaqueue/query/?json"
    cacert: FilePath | None = None
    jsonfilename: FilePath | None = None  # the last good copy; default: cric.json in the state directory
    pilotmanager: str = "aCT"  # queues whose pilot_manager is this are served; `all`: every queue
    pilotversion: str | None = None
    maxjobs: int = Field(default=999_999, ge=0)


class Executable(Section):
    """Where the CE fetches the pilot from."""

    wrapperurl: str = "https://atlas-tier3-sw.web.cern.ch/repo/pilot/runpilot2-wrapper.sh"
    wrapperurlrc: str | None = None
    p3tarurl: str | None = None  # native queues: the pilot as a tarball
    p3tarurlrc: str | None = None
    p3tarurldev: str | None = None
    replicas: str = (
        "rucio://rucio-lb-prod.cern.ch;rucioaccount=pilot;transferprotocol=https;httpgetpartial=no;"
        "cache=invariant;accesslatency=disk/replicas/{scope}/{lfn}"
    )  # the source of an input file


class JobLog(Section):
    urlprefix: str = ""  # logs are published there; empty: no log URL is given to PanDA
    dir: FilePath | None = None  # default: joblog in the state directory


class Validation(Section):
    """Outputs on storage."""

    cacert: FilePath | None = None  # default: voms.cacertdir
    perhost: int = Field(default=6, ge=1, le=64)  # checks at a time at one storage host
    timeout: Seconds = timedelta(minutes=5)
    tries: int = Field(default=10, ge=1)  # rounds with an unreachable storage before the job fails


class Modules(Section):
    app: tuple[str, ...] = ("manual",)


class AppSettings(Section):
    """aCTConfigAPP.yaml."""

    modules: Modules = Modules()
    panda: Panda = Panda()
    cric: Cric = Cric()
    executable: Executable = Executable()
    joblog: JobLog = JobLog()
    validation: Validation = Validation()


class Settings(Section):
    """All that holds: both files, the environment, the defaults."""

    state_dir: Path  # $ACT_STATE_DIR, else $XDG_STATE_HOME/act-flows, else ~/.local/state/act-flows
    arc: ArcSettings = ArcSettings()
    app: AppSettings = AppSettings()
    lines: Mapping[str, str] = Field(default_factory=dict)  # dotted key → file:line, for messages
    files: Mapping[str, Path] = Field(default_factory=dict)  # arc, app → the file that was read; none: not there

    @property
    def sqlite_file(self) -> Path:
        return self.arc.db.file or self.state_dir / "act.sqlite"

    @property
    def results_dir(self) -> Path:
        return self.arc.tmp.dir or self.state_dir / "results"

    def where(self, key: str) -> str:
        """`file:line` of a dotted key such as `sites.ce1.endpoint`, as far as known, for messages."""
        while key:
            if key in self.lines:
                return self.lines[key]
            key = key.rpartition(".")[0]
        return "defaults"
