"""The legacy API of PanDA's simulator, `/server/panda/<method>`, as panda-server 0.8.1 answers (its pilot part)."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from act_core.simulators.panda_books import Books
from act_core.simulators.panda_legacy_fields import Unfit, arguments_of, bound
from act_core.simulators.panda_methods import NO_ROLE, Call, Desk, hand_out
from act_core.simulators.panda_records import Job
from act_core.simulators.panda_roles import Identity
from act_core.simulators.panda_states import REPORTABLE, Phase

SUCCESS, NO_JOBS, FAILED, ROLE = 0, 20, 30, 60  # StatusCode
ALWAYS_COUNTED = ("assigned", "activated", "running", "finished", "failed")
NO_TLS, NO_JSON = "SSL secure connection is required", "failed to load JSON"

Answer = str | dict[str, str]  # text, or `{"type": "json", "content": text}`


@dataclass(frozen=True, slots=True)
class Request:
    """Bound arguments (texts; in a bulk call's element any JSON), the caller, the time; `json`: it is accepted."""

    desk: Desk
    given: Mapping[str, object]
    identity: Identity | None
    now: datetime
    json: bool

    @property
    def books(self) -> Books:
        return self.desk.books

    @property
    def caller(self) -> Identity:
        return self.identity or Identity("")

    def text(self, name: str) -> str | None:
        value = self.given.get(name)
        return None if value is None else str(value)

    def number(self, name: str) -> int | None:
        """None for what is no number: the server looks away."""
        try:
            return int(float(self.text(name) or ""))
        except (ValueError, OverflowError):
            return None

    def answer(self, code: int, dialog: str | None = None, /, **nodes: object) -> Answer:
        """`dialog` is told only in JSON."""
        data = {"StatusCode": code} | ({"errorDialog": dialog} if dialog and self.json else {}) | nodes
        return encoded(data, as_json=self.json)


def encoded(data: Mapping[str, object], *, as_json: bool) -> Answer:
    return {"type": "json", "content": json.dumps(data)} if as_json else urlencode(data)


def get_job(request: Request) -> Answer:
    """With `nJobs` a list, even of one; without it the flat job."""
    user = request.text("prodUserID") if request.caller.pilot else request.caller.owner
    if not request.caller.pilot and request.given.get("prodSourceLabel") != "user":
        return request.answer(ROLE, NO_ROLE)
    int(request.text("timeout") or 60)
    bulk = "nJobs" in request.given
    arguments = {
        "site_name": request.given["siteName"],
        "n_jobs": (request.number("nJobs") or 1) if bulk else 1,
        "memory": request.number("mem"),
        "disk_space": request.number("diskSpace"),
        "remaining_time": request.number("remaining_time"),
        "task_id": request.number("taskID"),
        "worker_id": request.number("worker_id"),
        "prod_source_label": request.text("prodSourceLabel"),
        "node": request.text("node"),
        "computing_element": request.text("computingElement"),
        "resource_type": request.text("resourceType"),
        "harvester_id": request.text("harvester_id"),
        "scheduler_id": request.text("schedulerID"),
    }
    jobs = hand_out(Call(request.desk, arguments, request.identity, request.now), user)
    if not jobs:
        return request.answer(NO_JOBS, "no jobs in PanDA")
    found = [request.books.describe(job) for job in jobs]
    if not bulk:
        return encoded(found[0], as_json=request.json)
    return request.answer(SUCCESS, None, jobs=found if request.json else json.dumps(found))


def update_job(request: Request) -> Answer:
    """One report. Success without a command: nothing was applied."""
    given, books = request.given, request.books
    if not request.caller.pilot:
        return request.answer(ROLE, NO_ROLE)
    if given["jobId"] == "NULL":
        return request.answer(SUCCESS)
    state = given["state"]
    if state not in REPORTABLE:
        books.refused(_number(given["jobId"]), state, "invalid state, and nobody was told", request.now)
        return request.answer(SUCCESS)
    try:
        arguments = arguments_of(given)
    except Unfit as unfit:
        books.refused(_number(given["jobId"]), state, f"{unfit} does not fit its column", request.now)
        return request.answer(FAILED)
    if given.get("metaData") and state != "failed" and arguments["job_id"] not in books.jobs:
        return request.answer(SUCCESS)  # the metadata cannot be kept: it goes no further
    return request.answer(SUCCESS, None, command=books.update(arguments, request.now))


def _number(job: object) -> int | None:
    return int(str(job)) if str(job).isdigit() else None


def update_jobs_in_bulk(request: Request) -> Answer:
    """One after another; the first one that Python cannot bind or convert ends the call, those before it stay."""
    answers: list[Answer] = []
    try:
        for report in json.loads(request.text("jobList") or ""):
            job, state = report.pop("jobId"), report.pop("state")
            if "metaData" in report:
                report["metaData"] = str(report["metaData"])
            given = {"jobId": job, "state": state} | report
            try:
                bound("updateJob", given, request.desk.lacks)
                answers.append(update_job(Request(request.desk, given, request.identity, request.now, request.json)))
            except (TypeError, ValueError, OverflowError) as error:
                request.books.refused(_number(job), state, str(error), request.now)
                raise
    except (TypeError, ValueError, OverflowError, LookupError, AttributeError) as error:
        words = f"updateJobsInBulk {request.text('harvester_id')} failed with {type(error).__name__} {error}"
        return json.dumps([False, words])
    return json.dumps([True, answers])


def get_status(request: Request) -> Answer:
    """Active and archived jobs, joined by `+`; url-encoded whatever is accepted."""
    request.books.tick(request.now)
    jobs = [_known(request, number) for number in (request.text("ids") or "").split()]
    statuses = "+".join(job.status if job else "notfound" for job in jobs)
    attempts = "+".join(str(job.order.attempt) if job else "0" for job in jobs)
    return encoded({"StatusCode": SUCCESS, "status": statuses, "attemptNr": attempts}, as_json=False)


def check_job_status(request: Request) -> Answer:
    """Active jobs, without ids; JSON whatever is accepted."""
    request.books.tick(request.now)
    jobs = (_known(request, number) for number in (request.text("ids") or "").split(","))
    data = [
        {"command": job.command, "status": job.status}
        if job and job.phase is not Phase.ARCHIVED
        else {"command": "tobekilled", "status": "unknown"}
        for job in jobs
    ]
    return encoded({"StatusCode": SUCCESS, "data": data}, as_json=True)


def _known(request: Request, number: str) -> Job | None:
    return request.books.jobs.get(int(number)) if number.isdigit() else None


def statistics(request: Request) -> Answer:
    """Queue, label, resource type, status, number: ended jobs and zeros, too; `{}` for an empty system."""
    request.books.tick(request.now)
    sites: dict[str, dict[str, dict[str, dict[str, int]]]] = {}
    for (queue, resource, label, status, _), n in request.books.counts.items():
        counted = sites.setdefault(queue, {}).setdefault(label, {}).setdefault(resource, {})
        counted[status] = counted.get(status, 0) + n
        for word in ALWAYS_COUNTED:
            counted.setdefault(word, 0)
    return json.dumps(sites)


def get_voms_attributes(request: Request) -> Answer:
    """What the TLS module found in the proxy (of a token: what its role stands for), a line each."""
    caller = request.caller
    named = [f"GRST_CRED_0 : X509USER 1795000000 1895000000 1 {caller.owner}\n"] if caller.dn.startswith("/") else []
    return "".join(
        named + [f"GRST_CRED_{n} : VOMS 1795000000 1895000000 0 {fqan}\n" for n, fqan in enumerate(caller.fqans, 1)]
    )


def update_workers(request: Request) -> Answer:
    if request.identity is None:
        return json.dumps([False, NO_TLS])
    try:
        workers = json.loads(request.text("workers") or "")
    except ValueError:
        return json.dumps([False, NO_JSON])
    return json.dumps([True, request.desk.workers.update(str(request.given["harvesterID"]), workers, request.now)])


def harvester_is_alive(request: Request) -> Answer:
    if request.identity is None:
        return json.dumps([False, NO_TLS])
    try:
        json.loads(request.text("data") or "{}")
    except ValueError:
        return json.dumps([False, NO_JSON])
    known = request.desk.workers.heartbeat(str(request.given["harvesterID"]), request.now)
    return json.dumps([True, "OK"] if known else [False, "database error in the PanDA server"])


METHODS: Mapping[str, Callable[[Request], Answer]] = {
    "isAlive": lambda _: "alive=yes",
    "getVomsAttr": get_voms_attributes,
    "getJob": get_job,
    "updateJob": update_job,
    "updateJobsInBulk": update_jobs_in_bulk,
    "getStatus": get_status,
    "checkJobStatus": check_job_status,
    "get_job_statistics_per_site_label_resource": statistics,
    "harvesterIsAlive": harvester_is_alive,
    "updateWorkers": update_workers,
}
