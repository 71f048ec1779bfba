"""PanDA's legacy API, `/server/panda/<method>`: servers up to 0.8.1. Forms go out; what pickles is not called."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Self
from urllib.parse import urlencode

from act_core.atlas.panda_access import Access
from act_core.atlas.panda_client import as_many, in_shards, items, read_job, register_all, taken, tell_all
from act_core.atlas.panda_connection import PandaConnection
from act_core.atlas.panda_legacy_dialect import (
    GONE,
    NO_JOBS,
    NO_ROLE,
    OVER,
    SUCCESS,
    VERDICTS,
    code_of,
    lacking,
    must,
    must_pair,
    not_applied,
    read,
    read_answer,
    read_attributes,
    read_jobs,
    read_statistics,
    read_statuses,
    report,
    words_of,
)
from act_core.atlas.reports import ActiveJobs, Attributes, JobStatus, Outcome, Update, UpdateAnswer, Worker
from act_core.atlas.wire import MalformedJob, PandaJob
from act_core.errors import ActError, CredentialError, OutcomeUnknown, ProtocolError, Transient
from act_core.foreign import read_json
from act_core.logs import log
from act_core.settings.app_model import Panda

logger = log(__name__)
API = "/server/panda"
NOT_FOUND = "not found"  # as the new API spells it
NOBODY = {"jobId": "NULL", "state": "running"}  # a report that the server checks the role of, and drops
_FORM = "application/x-www-form-urlencoded"


class PandaLegacy:
    """The old API. Its answers come url-encoded or, as it is asked to, in JSON: both are read."""

    def __init__(self, settings: Panda, access: Access) -> None:
        self._settings = settings
        self._wire = PandaConnection(settings, API, access)
        self._lacking: set[str] = set()  # parameters of updateJob that this server does not have

    async def is_alive(self) -> bool:
        try:
            return (await self._post("isAlive")).strip() == "alive=yes"
        except ProtocolError:
            return False

    async def attributes(self) -> Attributes:
        """Not by getAttr: that sends back the whole environment, tokens included."""
        method = "updateJob"
        said = await self._post("getVomsAttr")
        answer = read(await self._post(method, NOBODY))
        production = code_of(answer) not in NO_ROLE
        if production:
            must(method, answer)
        return read_attributes(said, production)

    async def acquire_jobs(
        self, queue: str, n: int, label: str | None = None, resource_type: str | None = None
    ) -> list[PandaJob | MalformedJob]:
        method = "getJob"
        form = {
            "siteName": queue,
            "nJobs": str(n),
            "timeout": str(max(int(self._settings.timeout.total_seconds()) - 10, 20)),
            "schedulerID": self._settings.schedulerid,
        }
        form |= {"prodSourceLabel": label} if label else {}
        form |= {"resourceType": resource_type} if resource_type else {}
        answer = read(_text(await self._wire.post_once(method, _encoded(form), _FORM)))
        code = code_of(answer)
        if code == NO_JOBS:
            return []
        if code != SUCCESS and code not in VERDICTS:
            raise OutcomeUnknown(f"PanDA, {method}: {words_of(answer)}")
        jobs = read_jobs(must(method, answer))
        if jobs is None:
            raise OutcomeUnknown(f"{method}: success without a list of jobs")
        return [read_job(job) for job in jobs]

    async def update_jobs_bulk(self, updates: Collection[Update]) -> Mapping[int, UpdateAnswer]:
        return await tell_all(self._update, updates)

    async def _update(self, updates: Sequence[Update]) -> Mapping[int, UpdateAnswer]:
        method = "updateJobsInBulk"
        elements = as_many(method, await self._told(method, updates), updates, "jobs asked about")
        said = {update.job_id: read(element) for update, element in zip(updates, elements, strict=True)}
        if all(code_of(answer) in NO_ROLE for answer in said.values()):
            raise CredentialError(f"PanDA refuses {method}: {words_of(read(elements[0]))}")
        answers = {job: read_answer(answer) for job, answer in said.items()}
        return {**answers, **await self._ended([job for job, answer in said.items() if not_applied(answer)])}

    async def _told(self, method: str, updates: Sequence[Update]) -> object:
        """Said again without what the server turns out to be too old to know."""
        while True:
            without = frozenset(self._lacking)  # calls beside this one learn, too
            reports = json.dumps([report(update, without) for update in updates])
            try:
                form = {"jobList": reports, "harvester_id": self._settings.schedulerid}
                return must_pair(method, await self._post(method, form))
            except ProtocolError as err:
                name = lacking(str(err))
                if name is None or name in without:
                    raise
                if name not in self._lacking:
                    logger.warning("%s does not know %s, which is left out of reports", self._settings.server, name)
                self._lacking.add(name)

    async def _ended(self, panda_ids: Sequence[int]) -> Mapping[int, UpdateAnswer]:
        """Reports that were not applied though nothing failed: jobs that are over would be told of for ever."""
        try:
            statuses = await self._statuses(panda_ids) if panda_ids else {}
        except ActError:
            return {}  # later
        over = (status for status in statuses.values() if not status.known or status.status in OVER)
        return {
            status.panda_id: UpdateAnswer(Outcome.ACCEPTED, "tobekilled", f"PanDA has it as {status.status}")
            for status in over
        }

    async def get_job_status(self, panda_ids: Collection[int]) -> Mapping[int, JobStatus]:
        return await in_shards(self._statuses, sorted(panda_ids), lambda _ids, _err: {})

    async def _statuses(self, panda_ids: Sequence[int]) -> Mapping[int, JobStatus]:
        method = "getStatus"
        answer = must(method, read(await self._post(method, {"ids": " ".join(map(str, panda_ids))})))
        statuses = read_statuses(answer, len(panda_ids))
        if statuses is None:
            raise ProtocolError(f"{method}: the answer does not match the {len(panda_ids)} jobs asked about")
        return {
            panda_id: JobStatus(panda_id, NOT_FOUND if status == GONE else status, attempt)
            for panda_id, (status, attempt) in zip(panda_ids, statuses, strict=True)
        }

    async def queue_statistics(self) -> Mapping[str, Sequence[ActiveJobs]]:
        """By the only method that answers in JSON; those of the original pickle."""
        method = "get_job_statistics_per_site_label_resource"
        said = await self._post(method, {"time_window": "1"})  # minutes; bounds what is counted of ended jobs
        try:
            queues = read_json(said)
        except ValueError as err:
            raise ProtocolError(f"PanDA's answer to {method} is not JSON: {said[:100]!r}") from err
        found = {queue: tuple(read_statistics(stats)) for queue, stats in items(queues)}
        return {queue: active for queue, active in found.items() if active}

    async def harvester_alive(self, harvester_id: str, data: Mapping[str, str]) -> bool:
        method = "harvesterIsAlive"
        form = {"harvesterID": harvester_id, "data": json.dumps(dict(data))}
        said = await self._post(method, form)
        try:
            must_pair(method, said)
        except Transient:
            return False
        return True

    async def update_workers(self, harvester_id: str, workers: Collection[Worker]) -> Mapping[int, bool]:
        async def register(some: Sequence[Worker]) -> Mapping[int, bool]:
            method = "updateWorkers"
            form = {"harvesterID": harvester_id, "workers": json.dumps([worker.body() for worker in some])}
            return taken(some, as_many(method, must_pair(method, await self._post(method, form)), some, "workers"))

        return await register_all(register, workers)

    async def _post(self, method: str, form: Mapping[str, str] | None = None) -> str:
        return _text(await self._wire.post(method, _encoded(form or {}), _FORM))

    async def close(self) -> None:
        await self._wire.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()


def _encoded(form: Mapping[str, str]) -> bytes:
    return urlencode(form, errors="replace").encode()


def _text(body: bytes) -> str:
    return body.decode("utf-8", "replace")
