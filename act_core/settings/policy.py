"""The typed configuration of what the engine decides by: filling, errors, limits, reconciling, brakes, credentials."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator, model_validator

from act_core.settings.patterns import endless
from act_core.settings.quantities import FilePath, Room, Seconds, Switch
from act_core.settings.section import Section

Weight = Annotated[float, Field(gt=0)]


def _utc(moment: datetime) -> datetime:
    """Without a zone UTC is meant."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


Moment = Annotated[datetime, AfterValidator(_utc)]


class Fill(Section):
    """How full a CE is kept: queued ≤ a·running + b, with a and b in `jobs.queuefraction` and `jobs.queueoffset`."""

    unit: Literal["jobs", "slots"] = "jobs"
    stalled: Seconds = timedelta(hours=3)  # jobs queued and none started for so long: half of b, then a quarter
    capacityage: Seconds = timedelta(minutes=75)  # what a CE said of itself counts as unknown when it is older
    rate: float | None = Field(default=None, gt=0)  # jobs a minute that one CE gets; None: no limit
    shares: Mapping[str, Weight] = Field(default_factory=dict)  # weights of shares; others have 1


class Announced(Section):
    """A downtime that is known before."""

    ce: str  # a site's name or endpoint, or *
    start: Moment
    end: Moment
    mode: Literal["stop", "offline"] = "stop"  # offline: nobody asks the CE anything meanwhile
    reason: str = Field(default="", max_length=255)

    @model_validator(mode="after")
    def _ordered(self) -> "Announced":
        if self.end <= self.start:
            raise ValueError("the end comes after the start")
        return self


class Downtime(Section):
    stopsubmission: bool = False
    fit: bool = True  # before an announced downtime only jobs that end before it are sent
    clusters: tuple[str, ...] = ()  # sites or endpoints that nobody asks anything, until they are no longer listed
    announced: tuple[Announced, ...] = ()


class BlackHole(Section):
    """CEs that end jobs far too fast, and badly."""

    mode: Annotated[Literal["off", "report", "rest"], Switch] = "report"  # rest: never the last CE of a share
    jobs: int = Field(default=20, ge=2)  # ended jobs of a share before anything is concluded
    failed: float = Field(default=0.8, gt=0, le=1)  # part of them that failed
    faster: float = Field(default=5, ge=1)  # times faster than the same share elsewhere
    within: Seconds = timedelta(hours=6)
    probe: Seconds = timedelta(hours=1)  # after so long one job is sent to see whether it is well again


Action = Literal["resubmit", "rerun", "fail", "hold", "rest"]


class Rule(Section):
    """What is done about an error: the first rule whose pattern is found in its text counts."""

    regex: bool = False
    pattern: str = Field(min_length=1, max_length=500)  # a text, or a regular expression; case does not count
    action: Action
    name: str | None = Field(default=None, min_length=1, max_length=64)  # in `act errors`; default: the pattern
    kind: str | None = None  # only for CEs of this kind; `arc-*`: of these kinds
    why: str = ""  # for people

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str, info: ValidationInfo) -> str:
        if info.data.get("regex"):
            try:
                re.compile(pattern)
            except re.error as err:
                raise ValueError(f"it is no regular expression: {err}") from err
            if endless(pattern):
                raise ValueError(
                    "a repetition or an alternative inside a repetition, and more than two .*, could take for ever on "
                    "a text that a job makes up: write it without, or make the inner one possessive (++, *+)"
                )
        return pattern


class ToResubmit(Section):
    # the original's key: instead of the shipped list of ARC errors
    arcerrors: tuple[Annotated[str, Field(min_length=1)], ...] | None = None


class Errors(Section):
    """Errors of jobs and what follows from them."""

    rules: tuple[Rule, ...] = ()  # before the shipped ones
    toresubmit: ToResubmit = ToResubmit()
    releases: int = Field(default=3, ge=0, le=100)  # of a held job by rules of the action `rerun`
    restafter: int = Field(default=3, ge=1)  # so many jobs must say so within `restwithin` before a CE rests
    restwithin: Seconds = timedelta(minutes=10)
    restfor: Seconds = timedelta(minutes=30)


class Reconcile(Section):
    """Our rows and the CEs' lists."""

    orphans: Literal["report", "kill"] = "report"  # jobs with our name and a key that we do not know
    sightings: Seconds = timedelta(minutes=30)  # between the two that a kill takes
    giveup: Seconds = timedelta(hours=24)  # a CE unseen for so long: its attempts are abandoned


class Brake(Section):
    """No mass action on one witness: above max(floor, fraction of the living) within the window nothing moves."""

    floor: int = Field(default=50, ge=1)
    fraction: float = Field(default=0.05, gt=0, le=1)
    window: Seconds = timedelta(minutes=10)


class Disk(Section):
    """How much has to be free where the tower keeps results, state, logs and its SQLite file.

    A part of the file system (0.15, 15 %) or a size (20 GB); 0: no limit.
    """

    fetchjobs: Room = 0.15  # with less, no jobs are taken from PanDA
    downloads: Room = 0.05  # with less, outputs stay on the CEs


class Clean(Section):
    """What stays on CEs for a while."""

    keepfailed: Seconds = timedelta(hours=24)  # failed jobs stay so long, for the site to look at
    keepatmost: int = Field(default=50, ge=0)  # of one CE; the oldest go first


class Secrets(Section):
    """What jobs carry and nobody may read: sealed in the tables."""

    # The keys, mode 0600, the same on all machines; default: secrets.key in the state directory.
    keyfile: FilePath | None = None


class Token(Section):
    """A bearer token: read from a file that somebody renews, or fetched with client credentials (RFC 6749, 4.4)."""

    file: FilePath | None = None
    issuer: str | None = None  # https://…; its token endpoint is found by OpenID Connect discovery
    clientid: str | None = None
    clientsecret: SecretStr | None = None
    clientsecretfile: FilePath | None = None
    scopes: tuple[str, ...] = ("compute.read", "compute.modify", "compute.create", "compute.cancel")
    audience: str | None = None
    cacert: FilePath | None = None  # of the issuer's server, a file or a directory; default: the system's authorities

    @model_validator(mode="after")
    def _one_source(self) -> "Token":
        if (self.file is None) == (self.issuer is None):
            raise ValueError("one of `file` (somebody renews it) and `issuer` (the tower asks it) is wanted")
        if self.issuer is not None and not self.issuer.startswith("https://"):
            raise ValueError("the issuer is an https address")
        secret = self.clientsecret is not None or self.clientsecretfile is not None
        if self.issuer is not None and (self.clientid is None or not secret):
            raise ValueError("an issuer wants `clientid`, and `clientsecretfile` or `clientsecret`")
        return self


class Voms(Section):
    """The X.509 identity. Without `vo` the proxy in `proxypath` is used as it is, and somebody else renews it."""

    proxypath: FilePath | None = None  # a proxy; with `vo`: what proxies are made from (robot certificate, long proxy)
    cacertdir: FilePath = Path("/etc/grid-security/certificates")
    vo: str | None = None
    roles: tuple[str, ...] = ()  # one proxy each, /<vo>/Role=<role>; none: a plain one of the VO
    renewer: Literal["auto", "arcproxy", "voms-proxy-init", "none"] = "auto"
    bindir: FilePath | None = None  # where the renewer's program is
    proxylifetime: Seconds = timedelta(hours=96)
    minlifetime: Seconds = timedelta(hours=84)  # with less left a proxy is made anew
    proxystoredir: FilePath | None = None  # default: proxies in the state directory
    vomses: FilePath | None = None  # addresses of VOMS servers, a file or a directory; default: the renewer's
    vomsdir: FilePath | None = None  # the servers that are believed (.lsc); default: the renewer's
    margin: Seconds = timedelta(hours=2)  # a job's worker-node proxy must outlive queue limit + walltime by so much
