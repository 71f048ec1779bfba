"""The methods of the new API: bound arguments in, envelope out. No I/O; the time comes with the call."""

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from act_core.simulators.panda_books import Books
from act_core.simulators.panda_fields import UPDATE_JOB, Refusal, Signature, bind
from act_core.simulators.panda_records import Job
from act_core.simulators.panda_roles import Identity
from act_core.simulators.panda_states import REPORTABLE, Phase
from act_core.simulators.panda_waiting import Wish
from act_core.simulators.panda_workers import Workers

INVALID = 50  # StatusCode
NO_ROLE = "no production/pilot role in VOMS FQANs or non pilot owner"
RESOURCE_TYPES = [
    {"resource_name": "SCORE", "mincore": 1, "maxcore": 1, "minrampercore": 0, "maxrampercore": 2000},
    {"resource_name": "SCORE_HIMEM", "mincore": 1, "maxcore": 1, "minrampercore": 2001, "maxrampercore": None},
    {"resource_name": "MCORE", "mincore": 2, "maxcore": None, "minrampercore": 0, "maxrampercore": 2000},
    {"resource_name": "MCORE_HIMEM", "mincore": 2, "maxcore": None, "minrampercore": 2001, "maxrampercore": None},
]

Envelope = dict[str, object]
Generation = Literal["v1", "legacy", "both"]


@dataclass
class Desk:
    """What the methods work on. `most` bounds one acquisition (a busy server gives fewer than asked).

    `api`: what is served; `v1` as panda-server 1.0.4, `legacy` as before the new API, `both` as 0.6 to 0.8.1.
    `lacks`: parameters of reports that came after this server.
    """

    books: Books
    workers: Workers
    statistics_period: timedelta = timedelta(0)
    most: int | None = None
    api: Generation = "v1"
    lacks: frozenset[str] = frozenset()
    snapshot: dict[tuple[str, str, str, str], int] = field(default_factory=dict)
    snapshot_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """Bound arguments, the caller (None only for methods open to all), the time."""

    desk: Desk
    arguments: Mapping[str, object]
    identity: Identity | None
    now: datetime

    def text(self, name: str) -> str | None:
        value = self.arguments.get(name)
        return None if value is None else str(value)

    def number(self, name: str) -> int | None:
        value = self.arguments.get(name)
        return value if isinstance(value, int) else None

    def numbers(self, name: str) -> list[int]:
        value = self.arguments.get(name)
        return [one for one in value if isinstance(one, int)] if isinstance(value, list) else []

    @property
    def caller(self) -> Identity:
        return self.identity or Identity("")


def envelope(success: bool, message: str = "", data: object = None) -> Envelope:
    return {"success": success, "message": message, "data": data}


def acquire_jobs(call: Call) -> Envelope:
    """Reserves jobs. Without the production role: only one's own analysis jobs."""
    label, user = call.text("prod_source_label"), call.text("prod_user_id")
    if not call.caller.production:
        if label != "user":
            return envelope(False, NO_ROLE)
        user = call.caller.owner
    jobs = hand_out(call, user)
    if not jobs:
        return envelope(False, "No jobs in PanDA")
    return envelope(True, data={"StatusCode": 0, "jobs": [call.desk.books.describe(job) for job in jobs]})


def hand_out(call: Call, user: str | None) -> list[Job]:
    """The jobs that are reserved for this call; None as user: of everybody."""
    books, queue, label = call.desk.books, str(call.arguments["site_name"]), call.text("prod_source_label")
    if books.queue_status.get(queue) == "test" and label in ("user", "managed", "unified"):
        label = "test"
    wish = Wish(
        label,
        call.text("computing_element"),
        call.number("memory"),
        call.number("disk_space"),
        call.number("remaining_time"),
        call.text("resource_type"),
        call.number("task_id"),
        user,
    )
    wanted = call.number("n_jobs") or 0
    if call.desk.most is not None:
        wanted = min(wanted, call.desk.most)
    jobs = books.acquire(queue, wish, wanted, call.now, _acquired_columns(call))
    harvester, worker = call.text("harvester_id") or call.text("scheduler_id"), call.number("worker_id")
    for job in jobs:
        job.worker = (harvester, worker) if harvester and worker is not None else job.worker
    return jobs


def _acquired_columns(call: Call) -> dict[str, object]:
    columns = {
        "modificationHost": call.text("node"),
        "computingElement": call.text("computing_element"),
        "schedulerID": call.text("scheduler_id"),
    }
    return {name: value for name, value in columns.items() if value is not None}


def update_job(call: Call) -> Envelope:
    """One report."""
    status = call.arguments["job_status"]
    if status not in REPORTABLE:
        message = f"Invalid job status: {status}"
        call.desk.books.refused(call.arguments["job_id"], status, message, call.now)
        return envelope(False, message, {"StatusCode": INVALID})
    command = call.desk.books.update(call.arguments, call.now)
    return envelope(True, data={"StatusCode": 0, "command": command})


def update_jobs_bulk(call: Call) -> Envelope:
    """Reports one after another, each with its own envelope; those before a broken element stay applied."""
    answers: list[Envelope] = []
    listed = call.arguments["job_list"]
    for report in listed if isinstance(listed, list) else []:
        for name in ("job_id", "job_status"):
            if name not in report:
                return envelope(False, f"failed with KeyError '{name}'", [])
        if "meta_data" in report:
            report["meta_data"] = str(report["meta_data"])
        answers.append(_one_of_many(call, report))
    return envelope(True, data=answers)


def _one_of_many(call: Call, report: Mapping[str, object]) -> Envelope:
    try:
        arguments = bind(_known(call.desk.lacks), report, query=False)
    except Refusal as refusal:
        call.desk.books.refused(report["job_id"], report["job_status"], str(refusal), call.now)
        return envelope(False, str(refusal))
    return update_job(Call(call.desk, arguments, call.identity, call.now))


def _known(lacks: Collection[str]) -> Signature:
    """update_job as this server has it."""
    kept = {name: parameter for name, parameter in UPDATE_JOB.parameters.items() if name not in lacks}
    return replace(UPDATE_JOB, parameters=kept) if lacks else UPDATE_JOB


def get_job_status(call: Call) -> Envelope:
    """Active and archived jobs."""
    jobs = call.desk.books.jobs
    call.desk.books.tick(call.now)
    return envelope(
        True,
        data=[
            {"job_id": number, "status": jobs[number].status, "attempt_number": jobs[number].order.attempt}
            if number in jobs
            else {"job_id": number, "status": "not found", "attempt_number": 0}
            for number in call.numbers("job_ids")
        ],
    )


def get_status(call: Call) -> Envelope:
    """Active jobs only, without ids: the order tells which is which."""
    call.desk.books.tick(call.now)
    jobs = (call.desk.books.jobs.get(number) for number in call.numbers("job_ids"))
    return envelope(
        True,
        data=[
            {"status": job.status, "command": job.command}
            if job and job.phase is not Phase.ARCHIVED
            else {"status": "unknown", "command": "tobekilled"}
            for job in jobs
        ],
    )


def kill(call: Call) -> Envelope:
    """Own jobs, or any with the production role."""
    books, caller = call.desk.books, call.caller
    return envelope(
        True,
        data=[
            (caller.production or (job is not None and job.order.user == caller.owner))
            and books.kill([number], call.number("code"), call.now)[0]
            for number in call.numbers("job_ids")
            for job in [books.jobs.get(number)]
        ],
    )


def _active(call: Call) -> Mapping[tuple[str, str, str, str], int]:
    desk = call.desk
    if desk.snapshot_at is None or call.now - desk.snapshot_at >= desk.statistics_period:
        desk.books.tick(call.now)
        desk.snapshot = {key[:4]: n for key, n in desk.books.counts.items() if n and not key[4]}
        desk.snapshot_at = call.now
    return desk.snapshot


def job_stats(call: Call) -> Envelope:
    """Queue, status, number; the words that harvester counts on are always there."""
    sites: defaultdict[str, dict[str, int]] = defaultdict(
        lambda: dict.fromkeys(("assigned", "activated", "running"), 0)
    )
    for (queue, _, _, status), n in _active(call).items():
        sites[queue][status] = sites[queue].get(status, 0) + n
    return envelope(True, data=sites)


def detailed_job_stats(call: Call) -> Envelope:
    """Queue, resource type, label, status, number; an empty system is a failure."""
    sites: dict[str, dict[str, dict[str, dict[str, int]]]] = {}
    for (queue, resource, label, status), n in _active(call).items():
        sites.setdefault(queue, {}).setdefault(resource, {}).setdefault(label, {})[status] = n
    return envelope(True, data=sites) if sites else envelope(False, "Database failure getting the statistics")


def get_user_attributes(call: Call) -> Envelope:
    caller = call.caller
    data = {
        "user_dn_raw": caller.dn,
        "user_dn_clean": caller.owner,
        "fqans": list(caller.fqans),
        "is_production_user": caller.production,
        "production_working_groups": [],
        "primary_working_group": None,
    }
    return envelope(True, json.dumps(data), data)


def heartbeat(call: Call) -> Envelope:
    known = call.desk.workers.heartbeat(str(call.arguments["harvester_id"]), call.now)
    return envelope(known, "" if known else "database error in the PanDA server")


def update_workers(call: Call) -> Envelope:
    workers = call.arguments["workers"]
    listed = workers if isinstance(workers, list) else []
    return envelope(True, data=call.desk.workers.update(str(call.arguments["harvester_id"]), listed, call.now))


METHODS: Mapping[str, Callable[[Call], Envelope]] = {
    "pilot/acquire_jobs": acquire_jobs,
    "pilot/update_job": update_job,
    "pilot/update_jobs_bulk": update_jobs_bulk,
    "pilot/get_job_status": get_job_status,
    "job/get_status": get_status,
    "job/kill": kill,
    "statistics/active_job_stats_by_site": job_stats,
    "statistics/active_job_detailed_stats_by_site": detailed_job_stats,
    "system/is_alive": lambda _: envelope(True),
    "system/get_user_attributes": get_user_attributes,
    "metaconfig/get_resource_types": lambda _: envelope(True, data=RESOURCE_TYPES),
    "harvester/heartbeat": heartbeat,
    "harvester/update_workers": update_workers,
    "harvester/get_current_worker_id": lambda call: envelope(
        True, data=call.desk.workers.current_id(str(call.arguments["harvester_id"]))
    ),
}
