"""What a campaign is to do: read from a file or a directory, and checked to the last job before one is added."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from math import prod
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from act_core.ce.described import complaint
from act_core.ce.descriptions import absolute, from_mapping, read_descriptions
from act_core.errors import BadInput
from act_core.foreign import read_yaml
from act_core.jobspec import JobSpec

MOST_JOBS = 10_000
NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,47}$"
PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}")
DESCRIPTIONS = {".yaml", ".yml", ".xrsl", ".adl"}
Row = Mapping[str, Any]  # a job's parameters


class Wanted(BaseModel):
    """A campaign's file. `jobs`, `parameters` or `files` says how many jobs there are."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    campaign: Annotated[str, Field(pattern=NAME)]
    template: dict[str, Any]  # a job description; {{name}} stands for a parameter
    jobs: int | None = Field(default=None, ge=1, le=MOST_JOBS)
    parameters: tuple[dict[str, Any], ...] | dict[str, tuple[Any, ...]] | None = None  # rows, or all combinations
    files: str | None = None  # a job for each file of this pattern: {{file}}, {{stem}}
    ces: tuple[str, ...] = ()
    resubmissions: int = Field(default=2, ge=0, le=100)
    share: str = Field(default="", max_length=128)
    directory: Path | None = None  # of the results

    @model_validator(mode="after")
    def _one_count(self) -> "Wanted":
        if sum(one is not None for one in (self.jobs, self.parameters, self.files)) != 1:
            raise ValueError("one of jobs, parameters, files says how many jobs there are")
        return self


class Plan(BaseModel):
    """A campaign that can be added."""

    model_config = ConfigDict(frozen=True)
    name: str
    specs: tuple[JobSpec, ...]
    ces: tuple[str, ...] = ()
    resubmissions: int = 2
    share: str = ""
    directory: Path | None = None


def read_file(text: str, file: Path) -> Plan:
    """Raises BadInput that names the file, and of a job its number."""
    try:
        said = read_yaml(text)
    except ValueError as err:
        raise BadInput(f"{file}: no YAML of a campaign: {err}") from err
    try:
        wanted = Wanted.model_validate(said)
    except ValidationError as err:
        raise BadInput(f"{file}: {complaint(err)}") from err
    if isinstance(wanted.parameters, dict):
        _check_count(prod(len(values) for values in wanted.parameters.values()), file)
    rows = list(_rows(wanted, file))
    _check_count(len(rows), file)
    specs = tuple(_spec(wanted, number, row, file) for number, row in enumerate(rows, 1))
    return Plan(
        name=wanted.campaign,
        specs=specs,
        ces=wanted.ces,
        resubmissions=wanted.resubmissions,
        share=wanted.share,
        directory=wanted.directory and (file.parent / wanted.directory).absolute(),
    )


def read_directory(directory: Path) -> Plan:
    """A campaign named as the directory, with the jobs of its descriptions in the order of their names."""
    files = sorted(one for one in directory.iterdir() if one.suffix in DESCRIPTIONS and one.is_file())
    specs = [spec for one in files for spec in _described(one)]
    if not 0 < len(specs) <= MOST_JOBS:
        kinds = ", ".join(sorted(DESCRIPTIONS))
        raise BadInput(f"{directory}: 1 to {MOST_JOBS} jobs are wanted, in files *{kinds}; there are {len(specs)}")
    return Plan(name=directory.absolute().name, specs=tuple(specs))


def _described(file: Path) -> list[JobSpec]:
    try:
        return read_descriptions(file.read_text(encoding="utf-8"), file)
    except UnicodeDecodeError as err:
        raise BadInput(f"{file}: not UTF-8, at byte {err.start}") from err


def good_name(name: str) -> str:
    """Raises BadInput."""
    if not re.fullmatch(NAME, name):
        raise BadInput(f"a campaign cannot be named {name[:60]!r}: up to 48 letters, digits, _ and -")
    return name


def _check_count(jobs: int, file: Path) -> None:
    if not 0 < jobs <= MOST_JOBS:
        raise BadInput(f"{file}: a campaign has 1 to {MOST_JOBS} jobs, and this one {jobs}")


def _rows(wanted: Wanted, file: Path) -> Iterator[Row]:
    if wanted.files is not None:
        try:
            found = sorted(path for path in file.parent.glob(wanted.files) if path.is_file())
        except (ValueError, NotImplementedError, OSError) as err:
            raise BadInput(f"{file}: files: {wanted.files[:100]!r}: {err}") from err
        for one in found:
            yield {"file": str(one.absolute()), "stem": one.stem}
    elif isinstance(wanted.parameters, dict):
        for values in product(*wanted.parameters.values()):
            yield dict(zip(wanted.parameters, values, strict=True))
    elif wanted.parameters is not None:
        yield from wanted.parameters
    else:
        yield from ({} for _ in range(wanted.jobs or 0))


def _spec(wanted: Wanted, number: int, row: Row, file: Path) -> JobSpec:
    known = {"campaign": wanted.campaign, "number": number, **row}
    try:
        filled = {"name": f"{wanted.campaign}.{number}", **_filled(wanted.template, known)}
        return from_mapping(filled, partial(absolute, file=file))
    except BadInput as err:
        raise BadInput(f"{file}: job {number}: {err}") from err


def _filled(value: Any, row: Row) -> Any:
    """With the parameters in their places; one that stands alone keeps its type."""
    if isinstance(value, Mapping):
        return {key: _filled(one, row) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_filled(one, row) for one in value]
    if not isinstance(value, str):
        return value
    if alone := PLACEHOLDER.fullmatch(value):
        return _parameter(alone[1], row)
    return PLACEHOLDER.sub(lambda match: str(_parameter(match[1], row)), value)


def _parameter(name: str, row: Row) -> Any:
    if name not in row:
        raise BadInput(f"{{{{{name}}}}} is no parameter; there are {', '.join(row)}")
    return row[name]
