"""Job descriptions of people: our YAML, xRSL or ADL, told apart by how they begin."""

from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from act_core.ce.adl_reader import read_adl
from act_core.ce.described import Home, complaint, each
from act_core.ce.xrsl import read_xrsl
from act_core.errors import BadInput
from act_core.foreign import LONGEST_YAML, TooMuch, read_yamls
from act_core.jobspec import JobSpec
from act_core.settings.quantities import Seconds

LARGEST = LONGEST_YAML  # characters, of any language
MOST_JOBS = 100_000
_TIMES = ("walltime", "cputime")
_SECONDS: TypeAdapter[timedelta] = TypeAdapter(Seconds)


def read_descriptions(text: str, file: Path) -> list[JobSpec]:
    """Every job of a file. Relative paths of inputs are relative to the file. Raises BadInput that names the file."""
    if len(text) > LARGEST:
        raise BadInput(f"{file}: more than {LARGEST} characters")
    text = text.removeprefix("\ufeff")  # some editors write one
    begin = text.lstrip()[:1]
    readers = {"&": read_xrsl, "+": read_xrsl, "(": read_xrsl, "<": read_adl}  # a bracket: of a comment
    try:
        jobs = readers.get(begin, _read_yaml)(text, partial(absolute, file=file))
    except BadInput as err:
        raise BadInput(f"{file}: {err}") from err
    if len(jobs) > MOST_JOBS:
        raise BadInput(f"{file}: more than {MOST_JOBS} jobs")
    return jobs


def _read_yaml(text: str, home: Home) -> list[JobSpec]:
    return each(_documents(text), partial(from_mapping, home=home))


def _documents(text: str) -> list[Any]:
    try:
        found = [one for one in read_yamls(text) if one is not None]
    except TooMuch as err:
        raise BadInput(str(err)) from err
    except ValueError as err:
        raise BadInput(f"neither xRSL nor ADL nor YAML: {err}") from err
    jobs = [job for one in found for job in (one if isinstance(one, list) else [one])]
    if not jobs:
        raise BadInput("no job is described")
    return jobs


def from_mapping(job: object, home: Home) -> JobSpec:
    """A job of our YAML, parsed; `home` makes the paths of its inputs absolute. Raises BadInput."""
    if not isinstance(job, dict):
        raise BadInput(f"a job is a mapping of keys (executable, arguments, …), not {type(job).__name__}")
    fields = dict(job)
    problems = [words for key in _TIMES if fields.get(key) is not None and (words := _read_time(fields, key))]
    inputs = fields.get("inputs")
    if isinstance(inputs, list):
        fields["inputs"] = [_home_path(one, home) for one in inputs]
    try:
        spec = JobSpec.model_validate(fields)
    except ValidationError as err:
        raise BadInput("; ".join([*problems, complaint(err)])) from err
    if problems:
        raise BadInput("; ".join(problems))
    return spec


def _read_time(fields: dict[Any, Any], key: str) -> str | None:
    """Make it a time; what is none is taken out, so that the rest can be looked at, and complained of."""
    try:
        fields[key] = _SECONDS.validate_python(fields[key])
    except ValidationError as err:
        del fields[key]
        return f"{key}: {complaint(err)}"
    return None


def _home_path(one: object, home: Home) -> object:
    """In YAML a source may be a relative path, or the name alone may stand for a file beside the description."""
    if isinstance(one, str):
        one = {"name": Path(one).name, "source": one}
    if isinstance(one, dict) and isinstance(one.get("source"), str):
        return {**one, "source": home(one["source"])}
    return one


def absolute(source: str, file: Path) -> str:
    """A URL as it is; a path, from the description's directory. `file:` without a host is a path."""
    path = source.removeprefix("file:").removeprefix("//")
    if source.startswith("file://") and not path.startswith("/"):
        return source  # on another host: the CE's to understand
    return path if "://" in path else str((file.parent / path).absolute())
