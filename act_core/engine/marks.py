"""What travels with a job, so that its attempt can be rebuilt off the CE when the database is lost.

Base64 of JSON: letters that every dialect carries. It names the attempt, and keeps what of the description is needed
once a job has been sent. Not what it was given: arguments, inputs and their texts stay out of it.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from act_core.ce.base import RemoteId, Seen, SubmissionKey
from act_core.db.attempts import Attempt
from act_core.errors import BadInput
from act_core.jobspec import JobSpec

LONGEST = 256 * 1024  # characters that are read
_LEFT_OUT = ("inputs", "arguments", "environment", "stdin")


class Mark(BaseModel):
    """An attempt, as its job on the CE tells of it. `spec`: what is left of its description."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    app: str = Field(min_length=1, max_length=32)
    job: str = Field(min_length=1, max_length=64)
    attempt: int = Field(ge=1, le=1_000_000)
    share: str = Field(default="", max_length=128)
    bare: bool = False  # it waits for nothing of ours but the commit
    spec: JobSpec


@dataclass(frozen=True, slots=True)
class Found:
    """A job on a CE that carries our name, a key that is in no table, and the mark of its attempt."""

    remote_id: RemoteId
    key: SubmissionKey
    mark: Mark
    seen: Seen


def mark_of(attempt: Attempt, spec: JobSpec) -> Mark:
    """`spec`: the whole description."""
    kept = tuple(out for out in spec.outputs if out.target is None)
    empty = {name: JobSpec.model_fields[name].get_default(call_default_factory=True) for name in _LEFT_OUT}
    left = spec.model_copy(update=empty | {"outputs": kept})
    return Mark(
        app=attempt.app,
        job=attempt.app_job_id,
        attempt=attempt.attempt,
        share=attempt.share,
        bare=not spec.uploads,
        spec=left,
    )


def marked(attempt: Attempt, spec: JobSpec) -> JobSpec:
    """The description with the mark of this attempt, as the CE is given it."""
    return spec.model_copy(update={"mark": written(mark_of(attempt, spec))})


def written(mark: Mark) -> str:
    return urlsafe_b64encode(mark.model_dump_json(exclude_defaults=True).encode()).decode()


def read(text: str) -> Mark:
    """Foreign text: a CE may say anything. Raises BadInput."""
    if len(text) > LONGEST:
        raise BadInput(f"a mark of {len(text)} characters, more than {LONGEST}")
    try:
        return Mark.model_validate_json(urlsafe_b64decode(text.encode()))
    except (ValidationError, ValueError, binascii.Error, RecursionError) as err:
        raise BadInput(f"no mark of ours: {str(err).partition(chr(10))[0]}") from err
