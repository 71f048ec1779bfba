"""What a CE understood of a job description, whatever the language."""

from collections.abc import Mapping
from dataclasses import dataclass, field


class BadDescription(Exception):
    """The text is no description; its message is the reason that the client gets."""


@dataclass(frozen=True, slots=True)
class Input:
    """A file that must be there before the job runs. No source: the client brings it."""

    name: str
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Output:
    """A file that is kept (no target) or sent away. `d/` is a directory, `/` all, `@f` a list in file `f`."""

    name: str
    target: str | None = None
    on_failure: bool = False  # sent even if the job failed


@dataclass(frozen=True, slots=True)
class Description:
    """Names of files are relative to the session directory, without a leading slash."""

    executable: str
    name: str = ""
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    stdin: str = ""
    stdout: str = ""
    stderr: str = ""
    inputs: tuple[Input, ...] = ()
    outputs: tuple[Output, ...] = ()
    delegations: tuple[str, ...] = ()
    queue: str = ""
    cores: int = 1
    walltime_s: int = 0  # 0: it names none
    reruns: int = 0
    proxy: bool = False  # a copy of the delegated proxy is wanted beside the job (`ENV/PROXY`)
    language: str = "emies:adl"
