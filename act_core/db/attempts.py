"""An attempt as the engine sees it: a row that was picked, with the version that it had."""

import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, Select, select
from sqlalchemy.orm import Session

from act_core.db.models import CeJob
from act_core.ids import RemoteId, SubmissionKey, TowerId
from act_core.states import CeState, Request

AnyRow = Row[Any]
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's, lower case


@dataclass(frozen=True, slots=True, eq=False)
class Attempt:
    """What a step needs to know of a row of `ce_jobs`."""

    id: int
    version: int
    app: str
    app_job_id: str
    attempt: int
    attempts_left: int
    key: SubmissionKey
    state: CeState
    state_since: datetime
    request: Request | None
    request_at: datetime | None
    ce: str | None
    remote_id: RemoteId | None
    native_state: str | None
    send_deadline: datetime | None
    inputs_sent_at: datetime | None
    absent_since: datetime | None
    due_at: datetime | None
    tries: int
    reruns: int
    submit_before: datetime | None
    ce_clean_at: datetime | None
    superseded_by: str | None
    error: str | None
    wall_s: int | None
    exit_code: int | None
    description_id: int
    created: datetime
    released_at: datetime | None = None
    share: str = ""
    priority: int = 50
    cores_asked: int = 1
    walltime_s: int | None = None
    credential_id: int | None = None
    proxy_until: datetime | None = None
    proxy_copy: bool = False
    rule: str | None = None
    native_since: datetime | None = None
    vouched_until: datetime | None = None


_J = CeJob
_COLUMNS = (
    _J.id,
    _J.version,
    _J.app,
    _J.app_job_id,
    _J.attempt,
    _J.attempts_left,
    _J.submission_key,
    _J.state,
    _J.state_since,
    _J.request,
    _J.request_at,
    _J.ce,
    _J.remote_id,
    _J.native_state,
    _J.send_deadline,
    _J.inputs_sent_at,
    _J.absent_since,
    _J.due_at,
    _J.tries,
    _J.reruns,
    _J.submit_before,
    _J.ce_clean_at,
    _J.superseded_by,
    _J.error,
    _J.wall_s,
    _J.exit_code,
    _J.description_id,
    _J.created,
    _J.released_at,
    _J.share,
    _J.priority,
    _J.cores_asked,
    _J.walltime_s,
    _J.credential_id,
    _J.proxy_until,
    _J.proxy_copy,
    _J.rule,
    _J.native_since,
    _J.vouched_until,
)


def attempts() -> Select[Any]:
    """The select that `as_attempt` reads."""
    return select(*_COLUMNS)


def found(session: Session, question: Select[Any], **told: Any) -> list[Attempt]:
    """The attempts that a kept statement asks for, told what it leaves open. The ORM, which makes nothing of such rows,
    would cost more than the statement: it is passed by."""
    session.flush()
    return [as_attempt(row) for row in session.connection().execute(question, told).all()]


def as_attempt(row: AnyRow) -> Attempt:
    values = list(row)
    values[7] = CeState(values[7])
    values[9] = None if values[9] is None else Request(values[9])
    return Attempt(*values)


def new_key(tower: TowerId) -> SubmissionKey:
    """`act-<tower>-<26 characters>`: 48 bits of milliseconds, then 80 random ones, so that keys sort by time."""
    number = (int(time.time() * 1000) << 80) | secrets.randbits(80)
    characters = [_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5)]
    return SubmissionKey(f"act-{tower}-{''.join(characters)}")


def made_at(key: SubmissionKey) -> datetime | None:
    """When a key was made, by its own word; None: it does not say."""
    number = 0
    for letter in key[-26:]:
        if letter not in _ALPHABET:
            return None
        number = number << 5 | _ALPHABET.index(letter)
    try:
        return datetime.fromtimestamp((number >> 80) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def new_tower_id() -> TowerId:
    """Eight characters: enough that two towers on one CE never share one."""
    return TowerId("".join(secrets.choice(_ALPHABET) for _ in range(8)))


def checked_tower_id(text: str) -> TowerId:
    """Raises ValueError for what is no tower's id."""
    if not text or len(text) > 16 or not set(text) <= set(f"{_ALPHABET}ilou"):
        raise ValueError(f"{text[:40]!r} is no id of a tower")
    return TowerId(text)


def tower_of(key: str) -> TowerId:
    """The tower id in a submission key."""
    return TowerId(key.split("-")[1])
