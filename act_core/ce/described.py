"""What the readers of job descriptions share."""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TypeVar

from pydantic import ValidationError

from act_core.errors import BadInput
from act_core.jobspec import InputFile, JobSpec, OutputFile
from act_core.settings.complaints import sentences

Home = Callable[[str], str]  # where a source lies: a URL as it is, a path made absolute
Written = TypeVar("Written")
MOST_TOLD = 10


def each(jobs: Sequence[Written], read: Callable[[Written], JobSpec]) -> list[JobSpec]:
    """All jobs of a file. Raises BadInput; where there are several jobs, it tells the number of the bad one."""
    made: list[JobSpec] = []
    for job in jobs:
        try:
            made.append(read(job))
        except BadInput as err:
            raise BadInput(f"job {len(made) + 1}: {err}" if len(jobs) > 1 else str(err)) from err
    return made


def plain(path: str) -> str:
    """`./a` is `a`: A-REX fails a job that names an input in both ways."""
    return re.sub("^(?:[.]/+)+", "", path) or path


def everything(outputs: Collection[OutputFile], log_dir: str | None) -> tuple[str, ...]:
    """What ARC's output `/` without a target asks for: all that the job leaves, what it names, and the CE's log."""
    named = [out.name for out in outputs if out.target is None and not out.optional]
    return ("/", *named, *([f"diagnose={log_dir.rstrip('/')}/"] if log_dir else ()))


def complaint(err: ValidationError) -> str:
    """What is wrong with a job or a part of one, in a line."""
    told = [words for _key, words in sentences(JobSpec, err)]
    more = [f"… and {len(told) - MOST_TOLD} more"] if len(told) > MOST_TOLD else []
    return "; ".join([*told[:MOST_TOLD], *more])


def brought_along(
    executable: str | None, stdin: str | None, inputs: Collection[InputFile], home: Home
) -> Iterator[InputFile]:
    """A program with a relative path and a stdin are inputs too, named or not (reference: act.md 5)."""
    there = {file.name for file in inputs}
    for name, runs in ((executable, True), (stdin, False)):
        if name and not name.startswith(("/", "$")) and name not in there:
            there.add(name)
            yield InputFile(name=name, source=home(name), executable=runs)
