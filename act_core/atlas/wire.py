"""The PanDA job, typed at the door (reference: panda.md 2.3), and its form for the pilot."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Self
from urllib.parse import parse_qsl, urlencode

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from act_core.atlas.lenient import LARGEST_WHOLE, Text, Whole, csv, present, text, whole
from act_core.errors import BadInput
from act_core.foreign import read_json
from act_core.settings.app_model import ANALYSIS

SECRET_FIELDS = ("secrets", "pilotSecrets")

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+@=~-]{0,254}")
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_LARGEST_INT = 2**31 - 1
LARGEST_JOB = 2 * 1024 * 1024  # characters for the pilot; the databases take 16 MB in one piece


class MalformedJob(BadInput):
    """A job that cannot be read. What could be read of its identity serves to fail it in PanDA."""

    def __init__(self, panda_id: int | None, attempt_nr: int | None, why: str) -> None:
        super().__init__(f"PanDA job {panda_id if panda_id is not None else 'without a PandaID'}: {why}")
        self.panda_id = panda_id
        self.attempt_nr = attempt_nr


@dataclass(frozen=True, slots=True)
class InFile:
    """One input. `checksum`: `adler32:0a0b0c0d` or `md5:…`; size in bytes."""

    lfn: str
    scope: str
    guid: str | None = None
    size: int | None = None
    checksum: str | None = None
    dataset: str | None = None
    endpoint: str | None = None  # DDM endpoint that it is read from


@dataclass(frozen=True, slots=True)
class OutFile:
    """One output or the log."""

    lfn: str
    scope: str | None
    dataset: str | None = None
    endpoint: str | None = None
    log: bool = False


def _soft_number(value: object) -> int | None:
    try:
        return whole(value)
    except ValueError:
        return None


def _identity(value: object, most: int = LARGEST_WHOLE) -> int | None:
    number = _soft_number(value)
    return number if number is not None and 0 <= number <= most else None


def _name(value: object) -> str | None:
    name = text(value)
    if name is not None and not _FILE_NAME.fullmatch(name):
        raise ValueError(f"{name[:60]!r} is no name of a file")
    return name


def _word(value: object) -> str | None:
    word = text(value)
    if word is not None and not _WORD.fullmatch(word):
        raise ValueError(f"{word[:60]!r} is not one word")
    return word


def _number(default: int) -> BeforeValidator:
    """A number that may be missing."""

    def read(value: object) -> int:
        number = whole(value)
        return default if number is None else number

    return BeforeValidator(read)


def _cores(value: object) -> int:
    return max(whole(value) or 1, 1)


class PandaJob(BaseModel):
    """What the tower uses of a job; `raw` is all of it but for its secrets, as PanDA sent it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    panda_id: Annotated[int, BeforeValidator(whole), Field(gt=0)] = Field(alias="PandaID")
    attempt_nr: Annotated[int, _number(0), Field(ge=0, le=_LARGEST_INT)] = Field(default=0, alias="attemptNr")
    label: Annotated[str, BeforeValidator(_word)] = Field(alias="prodSourceLabel")
    cores: Annotated[int, BeforeValidator(_cores), Field(le=10_000)] = Field(default=1, alias="coreCount")
    memory_mb: Whole = Field(default=None, alias="minRamCount")  # of the whole job
    cpu_s: Whole = Field(default=None, alias="maxCpuCount")  # CPU time per core, so about its walltime
    walltime_s: Whole = Field(default=None, alias="maxWalltime")
    disk_mb: Whole = Field(default=None, alias="maxDiskCount")  # scratch, without inputs
    resource_type: Annotated[str | None, BeforeValidator(_word)] = None
    priority: Annotated[int | None, BeforeValidator(_soft_number)] = Field(default=None, alias="currentPriority")
    name: Text = Field(default=None, alias="jobName")
    user: Text = Field(default=None, alias="prodUserID")
    log_file: Annotated[str | None, BeforeValidator(_name)] = Field(default=None, alias="logFile")
    inputs: tuple[InFile, ...] = ()
    outputs: tuple[OutFile, ...] = ()
    raw: Mapping[str, object] = Field(default_factory=dict, repr=False)
    secrets: Mapping[str, SecretStr] = Field(default_factory=dict)

    @classmethod
    def parse(cls, job: object) -> Self:
        """One element of acquire_jobs' answer. Raises MalformedJob, which names the job and the field."""
        if not isinstance(job, Mapping):
            raise MalformedJob(None, None, f"not an object but {type(job).__name__}")
        raw = {str(key): value for key, value in job.items() if key not in SECRET_FIELDS}
        secrets = {key: SecretStr(str(job[key])) for key in SECRET_FIELDS if present(job.get(key)) is not None}
        try:
            _must_fit(raw)
            files = {"inputs": _inputs(raw), "outputs": _outputs(raw)}
            return cls.model_validate(raw | files | {"raw": raw, "secrets": secrets})
        except ValidationError as err:
            first = err.errors(include_url=False)[0]
            field = ".".join(str(part) for part in first["loc"])
            why = f"{field}: {first['msg'].removeprefix('Value error, ')}"
        except ValueError as err:
            why = str(err)
        panda_id, attempt_nr = _identity(raw.get("PandaID")), _identity(raw.get("attemptNr"), _LARGEST_INT)
        raise MalformedJob(panda_id, attempt_nr, why)

    @property
    def analysis(self) -> bool:
        return self.label in ANALYSIS

    @property
    def log_name(self) -> str:
        """The name of the pilot's stdout."""
        return (self.log_file or "LOGFILE").removesuffix(".tgz")


def encode_for_pilot(raw: Mapping[str, object], secrets: Mapping[str, SecretStr] | None = None) -> str:
    """The text of `pandaJobData.out`: the flat job, url-encoded as the legacy server wrote it (None is `None`)."""
    return with_secrets(urlencode(raw), secrets or {})


def with_secrets(encoded: str, secrets: Mapping[str, SecretStr]) -> str:
    """The same text with the job's secrets, which are kept apart until the pilot gets it."""
    shown = urlencode({key: secret.get_secret_value() for key, secret in secrets.items()})
    return "&".join(part for part in (encoded, shown) if part)


def decode_for_pilot(encoded: str) -> dict[str, str]:
    """What the pilot reads out of `pandaJobData.out`: the job as text. Raises BadInput.

    Two forms are in use: url-encoded, and of pilots that harvester or PanDA's pods start `{"<PandaID>": {…}}`.
    """
    try:
        if encoded.lstrip().startswith("{"):
            (job,) = read_json(encoded).values()
            return {str(key): str(value) for key, value in job.items()}
        pairs = parse_qsl(encoded, keep_blank_values=True, strict_parsing=bool(encoded))
    except (ValueError, AttributeError) as err:
        raise BadInput(f"no job for a pilot: {err}") from err
    job = dict(pairs)
    if len(job) != len(pairs):
        raise BadInput("no job for a pilot: a field is there twice")
    return job


def _must_fit(raw: Mapping[str, object]) -> None:
    """Text that cannot be encoded can be neither kept nor sent."""
    if (length := len(encode_for_pilot(raw))) > LARGEST_JOB:
        raise ValueError(f"{length} characters, more than {LARGEST_JOB}")
    json.dumps(
        raw, ensure_ascii=False
    ).encode()  # as it is kept: in a list, halves of characters were spelled out above


def _inputs(raw: Mapping[str, object]) -> tuple[InFile, ...]:
    found: dict[str, InFile] = {}
    names = _names(raw, "inFiles")
    columns = _columns(raw, names, "inFiles", "scopeIn", "GUID", "fsize", "checksum", "realDatasetsIn", "ddmEndPointIn")
    for lfn, (scope, guid, size, checksum, dataset, endpoint) in zip(names, columns, strict=True):
        if scope is None or not _WORD.fullmatch(scope):
            raise ValueError(f"scopeIn: {scope!r} is no scope of {lfn}")
        found.setdefault(lfn, InFile(lfn, scope, guid, _size(lfn, size), _checksum(lfn, checksum), dataset, endpoint))
    return tuple(found.values())


def _outputs(raw: Mapping[str, object]) -> tuple[OutFile, ...]:
    names = _names(raw, "outFiles")
    log = text(raw.get("logFile"))
    scopes = iter(csv(raw.get("scopeOut")))
    if (given := len(csv(raw.get("scopeOut")))) not in (0, sum(lfn != log for lfn in names)):
        raise ValueError(f"scopeOut: {given} scopes for {len(names)} outFiles, the log among them")
    log_scope = text(raw.get("scopeLog"))
    columns = _columns(raw, names, "outFiles", "realDatasets", "ddmEndPointOut")
    return tuple(
        OutFile(lfn, log_scope if lfn == log else next(scopes, None), dataset, endpoint, lfn == log)
        for lfn, (dataset, endpoint) in zip(names, columns, strict=True)
    )


def _names(raw: Mapping[str, object], key: str) -> list[str]:
    names = []
    for item in csv(raw.get(key)):
        if item is None or not _FILE_NAME.fullmatch(item):
            raise ValueError(f"{key}: {str(item)[:60]!r} is no name of a file")
        names.append(item)
    return names


def _columns(raw: Mapping[str, object], names: list[str], first: str, *others: str) -> Iterator[tuple[str | None, ...]]:
    """The lists that go in step with `names`, zipped; a list that is not there is all None."""
    columns = []
    for key in others:
        column = csv(raw.get(key)) or [None] * len(names)
        if len(column) != len(names):
            raise ValueError(f"{key}: {len(column)} entries for {len(names)} of {first}")
        columns.append(column)
    return zip(*columns, strict=True)


def _size(lfn: str, size: str | None) -> int | None:
    number = whole(size)
    if number is not None and number < 0:
        raise ValueError(f"fsize: {number} is no size of {lfn}")
    return number


def _checksum(lfn: str, checksum: str | None) -> str | None:
    if checksum is None:
        return None
    kind, _, digits = checksum.rpartition(":")
    words = {"ad": "adler32", "adler32": "adler32", "md5": "md5", "": "adler32" if len(digits) <= 8 else "md5"}
    if kind not in words or not re.fullmatch(r"[0-9a-fA-F]{1,32}", digits):
        raise ValueError(f"checksum: {checksum[:60]!r} is no checksum of {lfn}")
    return f"{words[kind]}:{digits.lower().rjust(8, '0')}"
