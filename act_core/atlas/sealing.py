"""The secrets of PanDA's jobs in the tower: sealed in the job's row, and again in what the pilot is to read."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import SecretStr

from act_core.atlas.books import Booked
from act_core.atlas.wire import MalformedJob, PandaJob
from act_core.credentials.vault import Vault
from act_core.db.panda_models import LARGEST_SECRETS
from act_core.errors import CredentialError
from act_core.logs import log
from act_core.runtime import Runtime
from act_core.settings.model import Settings

logger = log(__name__)
LONGEST = LARGEST_SECRETS * 7 // 10  # bytes of a job's secrets: sealed they are a third longer


def fitting(job: PandaJob | MalformedJob) -> PandaJob | MalformedJob:
    """A job whose secrets no row can hold is refused by name."""
    if isinstance(job, PandaJob) and (size := len(_text(job).encode())) > LONGEST:
        return MalformedJob(job.panda_id, job.attempt_nr, f"its secrets are {size} bytes, more than {LONGEST}")
    return job


def sealed(key: Vault, job: PandaJob) -> bytes | None:
    """What the row of the job holds. Raises CredentialError: there is no key."""
    return key.seal(_text(job)) if job.secrets else None


def secrets_of(key: Vault, row: Booked) -> Mapping[str, SecretStr]:
    """Raises CredentialError: there is no key, or another one has sealed them."""
    if row.secrets is None:
        return {}
    return {name: SecretStr(value) for name, value in json.loads(key.open(row.secrets).get_secret_value()).items()}


def _text(job: PandaJob) -> str:
    return json.dumps({name: secret.get_secret_value() for name, secret in job.secrets.items()})


@dataclass(frozen=True, slots=True)
class Unbooked:
    """A job that PanDA handed out, and what its row is to be, but for the secrets."""

    job: PandaJob
    row: Mapping[str, Any]
    until: datetime  # PanDA takes it back soon after


class Waiting:
    """Jobs whose secrets cannot be sealed, by queue. Only this process has them: they may lie nowhere in the clear."""

    def __init__(self, _settings: Settings) -> None:
        self._jobs: dict[str, list[Unbooked]] = {}

    def keep(self, queue: str, jobs: Sequence[Unbooked]) -> None:
        self._jobs[queue] = [*self._jobs.get(queue, ()), *jobs]

    def take(self, queue: str, now: datetime) -> list[Unbooked]:
        """Those for which PanDA still waits; they are the caller's now."""
        jobs = self._jobs.pop(queue, [])
        _lost([one for one in jobs if one.until <= now])
        return [one for one in jobs if one.until > now]

    async def close(self) -> None:
        _lost([one for jobs in self._jobs.values() for one in jobs])
        self._jobs.clear()


def _lost(jobs: Sequence[Unbooked]) -> None:
    if jobs:
        numbers = ", ".join(str(one.job.panda_id) for one in jobs)
        logger.error("reserved in PanDA, and not booked for want of a key for their secrets: %s", numbers)


def waiting(rt: Runtime) -> Waiting:
    return rt.kept(Waiting, Waiting)


def rows_of(key: Vault, jobs: Sequence[Unbooked]) -> tuple[list[Mapping[str, Any]], list[Unbooked], str | None]:
    """Rows to be booked; jobs that have to wait for the key; and why."""
    rows: list[Mapping[str, Any]] = []
    left: list[Unbooked] = []
    why = None
    for one in jobs:
        try:
            rows.append({**one.row, "secrets": sealed(key, one.job)})
        except CredentialError as err:
            left.append(one)
            why = str(err)
    return rows, left, why
