"""The typed configuration of the applications (aCTConfigAPP.yaml): each key, its unit and its default."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from act_core.settings.quantities import FilePath, Seconds, Switch
from act_core.settings.section import Section

INSTANCE = r"^[a-z][a-z0-9_]{0,10}$"  # a name of an instance; its jobs' application; a part of `origin` in tables
ANALYSIS = frozenset({"user", "panda"})  # labels of users' jobs
APPLICATIONS = ("atlas", "manual", "simple")
PRODUCTION = "production"  # the role that PanDA's new API asks of everything that writes (panda.md 1.3)


class Panda(Section):
    """The workload system. Addresses without /api: `https://host:25443`."""

    server: str = "https://pandaserver.cern.ch:25443"
    api: Literal["v1", "legacy", "auto"] = "auto"  # legacy: servers up to 0.8.1; auto: the server is asked
    cacert: FilePath | None = None  # file or directory; default: voms.cacertdir
    proxy: FilePath | None = None  # production role; default: voms.proxypath
    role: str | None = None  # one of voms.roles; default: production if it is among them, else the first
    tokenfile: FilePath | None = None  # bearer token instead of the proxy, re-read every 10 minutes
    origin: str = "atlas.production"  # sent with a token
    schedulerid: str = "act"
    workers: bool = True  # attempts are registered at PanDA, so that its page of a job shows CE, batch id and logs
    harvesterid: str | None = Field(
        default=None, min_length=1, max_length=50
    )  # as whose workers; default: `<schedulerid>-<tower id>`. Never the same for two towers
    heartbeattime: Seconds = timedelta(minutes=30)
    senttime: Seconds = timedelta(minutes=25)  # a job taken from PanDA is sent to a CE so long without its answer …
    pilotpatience: Seconds = timedelta(minutes=20)  # so long after its CE job ended a true pilot's last word is awaited
    livetime: Seconds = timedelta(
        minutes=90
    )  # … and so long after PanDA last took a report; then it waits for the next
    asktime: Seconds = timedelta(minutes=5)  # PanDA is asked about a job taken longer ago before it is described
    forgottentime: Seconds = timedelta(
        days=8
    )  # what PanDA says is at work, and no attempt stands for, is reported as failed after so long
    timeout: Seconds = timedelta(seconds=180)
    getjobs: int = Field(default=100, ge=1, le=1000)  # jobs in one acquire call
    minjobs: int = Field(default=20, ge=0)  # a queue with so many unsubmitted jobs gets no more
    fetchpause: Seconds = timedelta(seconds=30)  # after a queue had no jobs
    threads: int = Field(default=4, ge=1, le=64)  # calls at a time
    sites: Mapping[str, "PandaSite"] = Field(default_factory=dict)

    @field_validator("server")
    @classmethod
    def _base(cls, server: str) -> str:
        """The original's address went down to `/server/panda/`."""
        return server.rstrip("/").removesuffix("/server/panda")


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
    # address of the downtimes; "": none are read; default: those of the server's host, none where `server` is a file
    downtimes: str | None = None
    jsonfilename: FilePath | None = None  # the last good copy; default: cric.json in the state directory
    pilotmanager: str = "aCT"  # queues whose pilot_manager is this are served; `all`: every queue
    harvester: str | None = (
        None  # this tower in CRIC's field `harvester`, where it is set; default: panda.harvesterid, schedulerid
    )
    handedby: tuple[str, ...] = ()  # Harvester instances that hand their jobs to this tower (docs/harvester.md)
    pilotversion: str | None = None
    maxjobs: int = Field(default=999_999, ge=0)


class Executable(Section):
    """Where the CE fetches the pilot from."""

    wrapperurl: str = "https://atlas-tier3-sw.web.cern.ch/repo/pilot/runpilot2-wrapper.sh"
    wrapperurlrc: str | None = None
    p3tarurl: str | None = None  # native queues: the pilot as a tarball
    p3tarurlrc: str | None = None
    p3tarurldev: str | None = None
    queuedata: str = "http://pandaserver.cern.ch:25085/cache/schedconfig/{queue}.all.json"  # native queues; "": none
    replicas: str = (
        "rucio://rucio-lb-prod.cern.ch;rucioaccount=pilot;transferprotocol=https;httpgetpartial=no;"
        "cache=invariant;accesslatency=disk/replicas/{scope}/{lfn}"
    )  # the source of an input file


class SpecialSite(Section):
    """What is asked for differently for jobs of some queues. Keys that are not set change nothing."""

    queues: tuple[str, ...] = Field(min_length=1)  # names of PanDA queues, with * and ?
    labels: tuple[str, ...] = ()  # prodSourceLabels; empty: all
    why: str = ""
    walltime_factor: float | None = Field(default=None, gt=0, le=10)
    walltime_least: int | None = Field(default=None, ge=1)  # minutes
    walltime_most: int | None = Field(default=None, ge=1)  # minutes
    own_walltime: bool | None = None  # true pilots on ARC: the job's own time, not all that the queue allows
    one_core_cputime: bool | None = None  # CPU time is counted as of one core
    memory_mb: int | None = Field(default=None, ge=1)  # of the whole job, whatever it says
    one_core_memory: float | None = Field(default=None, gt=0, le=10)  # a factor, for jobs on one core
    disk: bool | None = None  # ask for scratch space
    priority: int | None = Field(default=None, ge=0, le=100)
    proxy: bool | None = None  # whether native analysis jobs get a copy of the proxy


class Translation(Section):
    """How PanDA's numbers become ours, where sites differ (docs/translation.md)."""

    corepower: float | None = Field(default=None, gt=0, le=1000)  # of the core that maxCpuCount is for; None: of any
    special: tuple[SpecialSite, ...] = ()  # after the rows that are shipped
    pilotuser: str = Field(default="ATLAS", pattern=r"^[A-Za-z0-9_-]{1,32}$")  # whose workflow the pilot runs
    environment: str = "APPS/HEP/ATLAS-SITE"  # runtime environment of native jobs at ARC CEs; "": none


class JobLog(Section):
    """Logs of jobs for people (docs/logs.md)."""

    urlprefix: str = ""  # address of the web server's area; empty: no logs are published
    dir: FilePath | None = None  # that area; default: joblog in the state directory
    analysis: Annotated[Literal["private", "public", "off"], Switch] = (
        "private"  # of users' jobs; private: below private-jobs, not for all
    )
    size: int = Field(default=10_000_000, ge=10_000)  # bytes of one file; of a longer one head and tail are kept
    keep: Seconds = timedelta(days=14)


class Validation(Section):
    """Outputs on storage."""

    cacert: FilePath | None = None  # default: voms.cacertdir
    perhost: int = Field(default=6, ge=1, le=64)  # checks at a time at one storage host
    connect: Seconds = Field(default=timedelta(seconds=15), gt=timedelta(0))
    timeout: Seconds = Field(
        default=timedelta(minutes=5), gt=timedelta(0)
    )  # for one file: a cold one is read whole before storage answers
    deadline: Seconds = Field(
        default=timedelta(minutes=10), gt=timedelta(0)
    )  # for the files of one storage host in one round
    failures: int = Field(default=5, ge=1)  # in a row, after which a storage host rests
    rest: Seconds = timedelta(seconds=30)  # the first one; each further one is twice as long
    longestrest: Seconds = timedelta(minutes=15)
    tokenfile: FilePath | None = None  # a bearer token beside the proxy, for https
    tokenhosts: tuple[str, ...] = ()  # hosts that may see it; `.example.org`: all below
    filedirs: tuple[FilePath, ...] = ()  # file:// is looked at below these directories, and nowhere else
    on_missing: Literal["retry", "rerun", "fail"] = "rerun"  # an output is not there
    on_different: Literal["retry", "rerun", "fail"] = "rerun"  # …of another size or checksum
    on_unverifiable: Literal["accept", "retry", "rerun", "fail"] = "accept"  # storage cannot tell
    on_unreachable: Literal["retry", "rerun", "fail"] = "retry"  # no answer, or our credential is refused
    tries: int = Field(default=10, ge=1)  # times that storage is asked in vain before `retry` fails the job
    patience: Seconds = timedelta(hours=24)  # …and after so long it fails, whether storage was asked or not
    delete: Annotated[Literal["off", "dry-run", "on"], Switch] = (
        "dry-run"  # a dead attempt's outputs, before the next one is sent
    )
    fence: Seconds = timedelta(minutes=15)  # so long, at most, the next attempt waits for that

    @property
    def longest(self) -> timedelta:
        """One file takes no longer."""
        return min(self.timeout, self.deadline)

    @model_validator(mode="after")
    def _time_to_delete(self) -> "Validation":
        if self.delete == "on" and self.fence < self.longest + timedelta(minutes=2):
            raise ValueError("`fence` is at least two minutes longer than `timeout`, or nothing could be deleted")
        return self


class Books(Section):
    """When a job counts as unaccounted for (docs/books.md)."""

    stuck: Seconds = Field(default=timedelta(days=1), gt=timedelta(0))  # in a state that passes by itself
    longest: Seconds = Field(default=timedelta(days=10), gt=timedelta(0))  # waiting or running at a CE


class Modules(Section):
    """Which applications there are (docs/applications.md)."""

    app: tuple[str, ...] = ("manual",)  # names of installed ones, or dotted paths of packages with an `APP`
    path: tuple[FilePath, ...] = ()  # directories of packages that are not installed


class Atlas(Section):
    """What the ATLAS application is told of one PanDA server and all around it."""

    panda: Panda = Panda()
    cric: Cric = Cric()
    executable: Executable = Executable()
    translation: Translation = Translation()
    joblog: JobLog = JobLog()
    validation: Validation = Validation()


class Instance(Atlas):
    """An instance of the ATLAS application beside the first: another server, VO or role (docs/instances.md).

    Keys that are set win over those of the same section outside; queues (`panda.sites`) are each instance's own.
    """


class AppSettings(Atlas):
    """aCTConfigAPP.yaml."""

    modules: Modules = Modules()
    apps: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)  # applications' own keys, by name
    books: Books = Books()
    instances: Mapping[Annotated[str, Field(pattern=INSTANCE)], Instance] = Field(default_factory=dict)

    @field_validator("instances")
    @classmethod
    def _apart(cls, instances: Mapping[str, Instance], info: ValidationInfo) -> Mapping[str, Instance]:
        """Jobs are known by server and number: two instances of one server would report each other's."""
        common = info.data["panda"].server if "panda" in info.data else None
        taken = {common: "panda.server"}
        for name, one in instances.items():
            if name in APPLICATIONS:
                raise ValueError(f"{name} is an application: an instance needs another name")
            server = one.panda.server if "server" in one.panda.model_fields_set else common
            if server in taken:
                raise ValueError(f"{name} needs a panda.server of its own: {server} is that of {taken[server]}")
            taken[server] = name
        return instances
