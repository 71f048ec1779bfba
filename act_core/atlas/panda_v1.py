"""PanDA's new API, `/api/v1`: JSON both ways, an envelope around every answer (reference: panda.md 1.1)."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from act_core.atlas.panda_access import Access
from act_core.atlas.panda_client import as_many, in_shards, items, read_job, register_all, taken, tell_all
from act_core.atlas.panda_connection import JSON, PandaConnection
from act_core.atlas.reports import (
    UNKNOWN_FIELD,
    ActiveJobs,
    Attributes,
    JobStatus,
    Outcome,
    Update,
    UpdateAnswer,
    Worker,
    offending,
    read_answer,
)
from act_core.atlas.wire import MalformedJob, PandaJob
from act_core.errors import ActError, CredentialError, OutcomeUnknown, ProtocolError, Transient
from act_core.foreign import read_json
from act_core.settings.app_model import Panda

API = "/api/v1"
NO_JOBS = "No jobs in PanDA"
TIMED_OUT = "Timed out"  # its database goes on, and may reserve jobs all the same (panda.md 1.1)
_EMPTY_STATISTICS = "Database failure"  # what a server without any job answers
_NO_ROLE = ("production or pilot role required", "no production/pilot role", "SSL secure connection is required")
_OUR_BUG = ("Argument error", "Type error", "expecting GET", "expecting POST")


@dataclass(frozen=True, slots=True)
class Envelope:
    """What every method answers."""

    success: bool
    message: str
    data: object

    def must(self, method: str) -> object:
        """The data of an answer that may not be a refusal. Raises by the server's words."""
        if self.success:
            return self.data
        said = f"PanDA refuses {method}: {self.message[:300]}"
        if any(word in self.message for word in _NO_ROLE):
            raise CredentialError(said)
        if self.message.startswith(_OUR_BUG):
            raise ProtocolError(said)
        raise Refused(said)


class Refused(Transient):
    """An answer without success and without a reason that we know."""


class PandaV1:
    """The new API."""

    def __init__(self, settings: Panda, access: Access) -> None:
        self._settings = settings
        self._wire = PandaConnection(settings, API, access)
        self._lacking: set[str] = set()  # parameters of update_job that this server does not have

    async def is_alive(self) -> bool:
        try:
            return (await self._get("system/is_alive")).success
        except ProtocolError:
            return False

    async def attributes(self) -> Attributes:
        method = "system/get_user_attributes"
        data = (await self._get(method)).must(method)
        if not isinstance(data, Mapping):
            raise ProtocolError(f"{method}: no object")
        fqans = data.get("fqans")
        return Attributes(
            str(data.get("user_dn_clean") or data.get("user_dn_raw") or ""),
            tuple(str(fqan) for fqan in fqans) if isinstance(fqans, list) else (),
            data.get("is_production_user") is True,
        )

    async def acquire_jobs(
        self, queue: str, n: int, label: str | None = None, resource_type: str | None = None
    ) -> list[PandaJob | MalformedJob]:
        method = "pilot/acquire_jobs"
        body: dict[str, object] = {
            "site_name": queue,
            "n_jobs": n,
            "timeout": max(int(self._settings.timeout.total_seconds()) - 10, 20),
            "scheduler_id": self._settings.schedulerid,
        }
        body |= {"prod_source_label": label} if label else {}
        body |= {"resource_type": resource_type} if resource_type else {}
        said = await self._wire.post_once(method, json.dumps(body).encode(), JSON)
        try:
            answer = _envelope(method, said)
        except ProtocolError as err:
            raise OutcomeUnknown(str(err)) from err
        if not answer.success and answer.message == NO_JOBS:
            return []
        if not answer.success and answer.message.startswith(TIMED_OUT):
            raise OutcomeUnknown(f"PanDA, {method}: {answer.message}")
        data = answer.must(method)
        jobs = data.get("jobs") if isinstance(data, Mapping) else None
        if not isinstance(jobs, list):
            raise OutcomeUnknown(f"{method}: success without a list of jobs")
        return [read_job(job) for job in jobs]

    async def update_jobs_bulk(self, updates: Collection[Update]) -> Mapping[int, UpdateAnswer]:
        return await tell_all(self._update, updates)

    async def _update(self, updates: Sequence[Update]) -> Mapping[int, UpdateAnswer]:
        """Said again without a field that PanDA does not take of a report, as long as it names one."""
        without: dict[int, set[str]] = {update.job_id: set() for update in updates}
        answers: dict[int, UpdateAnswer] = {}
        left = updates
        while left:
            try:
                answers |= await self._told(left, without)
            except ActError:
                if not answers:
                    raise
                break  # what was answered stands, refusals too: they are sent again later
            left = [one for one in left if self._does_without(answers[one.job_id], without[one.job_id])]
        return {job: replace(answer, left_out=tuple(sorted(without[job]))) for job, answer in answers.items()}

    def _does_without(self, answer: UpdateAnswer, without: set[str]) -> bool:
        """Whether the report is to be told again, without one more field."""
        name = offending(answer.message) if answer.outcome is Outcome.REFUSED else None
        if name is None or name in without:
            return False
        without.add(name)
        if answer.message.startswith(UNKNOWN_FIELD):
            self._lacking.add(name)
        return True

    async def _told(self, updates: Sequence[Update], without: Mapping[int, set[str]]) -> Mapping[int, UpdateAnswer]:
        method = "pilot/update_jobs_bulk"
        reports = [
            {name: value for name, value in one.body().items() if name not in self._lacking | without[one.job_id]}
            for one in updates
        ]
        body = {"harvester_id": self._settings.schedulerid, "job_list": reports}
        elements = as_many(method, (await self._post(method, body)).must(method), updates, "jobs asked about")
        return {update.job_id: read_answer(element) for update, element in zip(updates, elements, strict=True)}

    async def get_job_status(self, panda_ids: Collection[int]) -> Mapping[int, JobStatus]:
        return await in_shards(self._statuses, sorted(panda_ids), lambda _ids, _err: {})

    async def _statuses(self, panda_ids: Sequence[int]) -> Mapping[int, JobStatus]:
        method = "pilot/get_job_status"
        query = [("job_ids", str(panda_id)) for panda_id in panda_ids]
        elements = (await self._get(method, query)).must(method)
        if not isinstance(elements, list):
            raise ProtocolError(f"{method}: no list")
        found = (_status(element) for element in elements)
        return {status.panda_id: status for status in found if status is not None and status.panda_id in panda_ids}

    async def queue_statistics(self) -> Mapping[str, Sequence[ActiveJobs]]:
        method = "statistics/active_job_detailed_stats_by_site"
        answer = await self._get(method)
        if not answer.success and answer.message.startswith(_EMPTY_STATISTICS):
            return {}
        return {queue: tuple(_flat(stats)) for queue, stats in items(answer.must(method))}

    async def harvester_alive(self, harvester_id: str, data: Mapping[str, str]) -> bool:
        method = "harvester/heartbeat"
        try:
            (await self._post(method, {"harvester_id": harvester_id, "data": dict(data)})).must(method)
        except Refused:
            return False
        return True

    async def update_workers(self, harvester_id: str, workers: Collection[Worker]) -> Mapping[int, bool]:
        async def register(some: Sequence[Worker]) -> Mapping[int, bool]:
            method = "harvester/update_workers"
            body = {"harvester_id": harvester_id, "workers": [worker.body() for worker in some]}
            return taken(some, as_many(method, (await self._post(method, body)).must(method), some, "workers"))

        return await register_all(register, workers)

    async def _get(self, method: str, query: Sequence[tuple[str, str]] = ()) -> Envelope:
        return _envelope(method, await self._wire.get(method, query))

    async def _post(self, method: str, body: Mapping[str, object]) -> Envelope:
        return _envelope(method, await self._wire.post(method, json.dumps(body).encode(), JSON))

    async def close(self) -> None:
        await self._wire.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()


def _envelope(method: str, body: bytes) -> Envelope:
    try:
        answer = read_json(body)
    except ValueError as err:
        raise ProtocolError(f"PanDA's answer to {method} is not JSON: {body[:100]!r}") from err
    if not isinstance(answer, dict) or not isinstance(answer.get("success"), bool):
        raise ProtocolError(f"PanDA's answer to {method} is no envelope: {body[:100]!r}")
    return Envelope(answer["success"], str(answer.get("message") or ""), answer.get("data"))


def _status(element: object) -> JobStatus | None:
    if not isinstance(element, Mapping):
        return None
    number, status, attempt = element.get("job_id"), element.get("status"), element.get("attempt_number")
    if not isinstance(number, int) or not isinstance(status, str):
        return None
    return JobStatus(number, status, attempt if isinstance(attempt, int) else 0)


def _flat(stats: object) -> Iterator[ActiveJobs]:
    """resource type → label → status → number."""
    for resource_type, labels in items(stats):
        for label, statuses in items(labels):
            for status, count in items(statuses):
                if isinstance(count, int):
                    yield ActiveJobs(resource_type, label, status, count)
