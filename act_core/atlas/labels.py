"""What a prodSourceLabel stands for, as a table: the first row that matches counts."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

JobType = Literal["managed", "user"]
Tarball = Literal["tarball_rc", "tarball_dev"]  # a key of TranslateSettings


@dataclass(frozen=True, slots=True)
class Label:
    """One row. `arguments` go to the wrapper; `tarball`: the pilot that is tried out; `wrapper_rc`: the wrapper too."""

    pattern: str
    what: str
    source: str
    job_type: JobType = "managed"
    tarball: Tarball | None = None
    arguments: tuple[str, ...] = ()
    wrapper_rc: bool = False


LABELS: tuple[Label, ...] = (
    Label("managed", "production", "10 arguments"),
    Label("user", "analysis", "10 arguments", job_type="user"),
    Label("panda", "analysis: build job", "10 arguments", job_type="user"),
    Label("test", "test", "panda.md 2.1"),
    Label("prod_test", "test", "panda.md 2.1"),
    Label("install", "test: installation of software", "panda.md 2.1"),
    Label("rc_alrb", "release candidate of ALRB", "10 arguments", arguments=("-i", "ALRB"), wrapper_rc=True),
    Label(
        "rc_test*", "release candidate of the pilot", "10 arguments, pilot tarball", tarball="tarball_rc",
        arguments=("-d", "-i", "RC"), wrapper_rc=True,
    ),
    Label("rc_*", "another release candidate", "10 executable", wrapper_rc=True),
    Label("ptest*", "development version of the pilot", "10 pilot tarball", tarball="tarball_dev"),
    Label("*", "anything else, as production", "10 arguments"),
)  # fmt: skip


def label_of(word: str) -> Label:
    return next(label for label in LABELS if fnmatchcase(word, label.pattern))
