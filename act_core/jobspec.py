"""What a job needs, in nobody's dialect. ADL, ClassAd and a local process are renderings of this."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

# The tiny input that commits a job which waits for no other file of ours (architecture rule 5).
COMMIT_FILE = ".act-commit"
PROXY_ENVIRONMENT = "ENV/PROXY"

_Short = Annotated[str, Field(min_length=1, max_length=1024)]


def _inside(path: str) -> str:
    """A path below the session directory, or ValueError: foreign text never leaves its directory."""
    parts = path.split("/")
    if path.startswith("/") or ".." in parts or "\x00" in path or "\n" in path or not path.strip("/"):
        raise ValueError(f"{path!r} is not a path below the job's directory")
    return path


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class InputFile(_Model):
    """A file that must be there before the payload starts: from a URL, from this machine, or given as text.

    A sealed one is a text that is kept apart from the description, encrypted, until the CE is given it.
    """

    name: _Short
    source: str | None = None  # a URL that the CE fetches, or an absolute path on the tower's machine
    content: str | None = Field(default=None, repr=False)  # UTF-8 text that the tower uploads
    sealed: bool = False
    executable: bool = False
    size: int | None = Field(default=None, ge=0)  # bytes
    checksum: str | None = None  # "adler32:0a0b0c0d"
    options: Mapping[str, str] = Field(default_factory=dict)  # of the source URL: cache, transferprotocol, …

    _name_inside = field_validator("name")(_inside)

    @model_validator(mode="after")
    def _one_origin(self) -> "InputFile":
        if sum((self.source is not None, self.content is not None, self.sealed)) != 1:
            raise ValueError(f"input {self.name!r} needs a source (URL or absolute path) or a content, one of both")
        if self.source is not None and not (self.by_ce or self.source.startswith("/")):
            raise ValueError(f"input {self.name!r}: source {self.source!r} is neither a URL nor an absolute path")
        return self

    @property
    def by_ce(self) -> bool:
        """Whether the CE fetches it; otherwise the tower uploads it."""
        return self.source is not None and bool(urlsplit(self.source).scheme)


class OutputFile(_Model):
    """A file that the payload leaves. Without a target it waits on the CE until the tower has fetched it."""

    name: _Short  # a trailing slash: a whole directory; a leading @: a list of outputs that the payload writes
    target: str | None = None  # a URL that the CE writes to
    options: Mapping[str, str] = Field(default_factory=dict)
    optional: bool = False  # its absence does not fail the job

    @field_validator("name")
    @classmethod
    def _name_inside(cls, name: str) -> str:
        _inside(name.removeprefix("@"))
        return name


class RuntimeEnvironment(_Model):
    """A runtime environment of the CE (ARC RTE), with its options."""

    name: _Short
    options: tuple[str, ...] = ()


class JobSpec(_Model):
    """One job. Amounts carry their unit in the name or the type.

    `fetch` says what comes home, in the grammar of the original's `downloadfiles` (reference: act.md 4.4): a plain
    path, a path with a trailing slash (everything below), `/` (all), `diagnose=<dir>/<name>` (a control file of the
    CE stored as `<dir>/<name>`; without a name: all of them). Empty: everything.
    """

    name: str = Field(default="job", min_length=1, max_length=200)
    executable: _Short
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = Field(default_factory=dict)
    stdin: str | None = None
    stdout: str | None = "stdout.txt"
    stderr: str | None = "stderr.txt"  # the same name as stdout: joined
    inputs: tuple[InputFile, ...] = ()
    outputs: tuple[OutputFile, ...] = ()
    log_dir: str | None = None  # the CE's own log of the job, as a directory beside the outputs (ARC: gmlog)
    cores: int = Field(default=1, ge=1, le=10_000)
    memory_mb: int | None = Field(default=None, ge=1, le=100_000_000)  # per core
    disk_mb: int | None = Field(default=None, ge=0, le=10_000_000_000)
    walltime: timedelta | None = None
    expected: timedelta | None = None  # that it will take, where `walltime` asks for more than that
    cputime: timedelta | None = None  # summed over the cores
    queue: str | None = None
    priority: int = Field(default=50, ge=0, le=100)
    runtime_environments: tuple[RuntimeEnvironment, ...] = ()
    reruns: int = Field(default=0, ge=0, le=10)  # restarts that the CE may allow after failed stage-in or stage-out
    fetch: tuple[str, ...] = ()
    memo: str | None = Field(default=None, max_length=65_536, repr=False)  # its application's, read again off the CE
    mark: str | None = Field(default=None, exclude=True, repr=False)  # of `engine.marks`: for the CE, stored nowhere

    @property
    def likely(self) -> timedelta | None:
        """For how long it will probably run: what downtimes and a proxy's life are compared with."""
        return self.expected or self.walltime

    @field_validator("environment")
    @classmethod
    def _names(cls, environment: Mapping[str, str]) -> Mapping[str, str]:
        for name in environment:
            if not name.replace("_", "a").isalnum() or name[0].isdigit() or not name.isascii():
                raise ValueError(f"{name!r} is no name of an environment variable")
        return environment

    @field_validator("walltime", "expected", "cputime")
    @classmethod
    def _positive(cls, time: timedelta | None) -> timedelta | None:
        if time is not None and not timedelta(seconds=1) <= time <= timedelta(days=366):
            raise ValueError(f"{time} is not a time from one second to a year")
        return time

    @field_validator("stdout", "stderr", "stdin", "log_dir")
    @classmethod
    def _streams_inside(cls, path: str | None) -> str | None:
        return None if path is None else _inside(path)

    @field_validator("fetch")
    @classmethod
    def _fetch_inside(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            if pattern != "/":
                _inside(pattern.removeprefix("diagnose="))
        return patterns

    @model_validator(mode="after")
    def _distinct(self) -> "JobSpec":
        seen: set[str] = set()
        for one in self.inputs:
            if one.name in seen:
                raise ValueError(f"input {one.name!r} is named twice")
            seen.add(one.name)
        return self

    @property
    def proxy_copy(self) -> bool:
        """Whether its worker node gets a copy of the proxy when it is submitted (ARC's runtime environment)."""
        return any(one.name == PROXY_ENVIRONMENT for one in self.runtime_environments)

    @property
    def sealed(self) -> tuple[str, ...]:
        """The names of inputs whose texts are kept apart."""
        return tuple(file.name for file in self.inputs if file.sealed)

    def opened(self, texts: Mapping[str, str]) -> Self:
        """With the texts of its sealed inputs; never to be stored or shown. Raises KeyError for one that is not there.

        Nothing is validated anew: an error would quote them.
        """
        inputs = tuple(
            file.model_copy(update={"content": texts[file.name], "sealed": False}) if file.sealed else file
            for file in self.inputs
        )
        return self.model_copy(update={"inputs": inputs})

    @property
    def uploads(self) -> tuple[InputFile, ...]:
        """The inputs that the tower itself sends."""
        return tuple(file for file in self.inputs if not file.by_ce)
