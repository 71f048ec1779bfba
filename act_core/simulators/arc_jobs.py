"""`/jobs`: the list, and the actions on lists of ids."""

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from act_core.simulators.arc_records import Job, listed_state
from act_core.simulators.arc_service import Call, listed_ids, unsupported
from act_core.simulators.arc_submission import submit
from act_core.simulators.arc_wire import Refusal, Tree

Entry = dict[str, Tree]


async def jobs(call: Call) -> web.Response:
    """Without a job's id in the path."""
    if call.reads():
        return call.answer("jobs", {"job": _listed(call)})
    if call.method != "POST":
        raise unsupported()
    if call.action == "new":
        return await submit(call)
    act = _ACTIONS.get(call.action)
    if act is None:
        raise Refusal(501, "Action not implemented")
    entries: list[Tree] = []
    for job_id in await listed_ids(call):
        job = call.job(job_id)
        entries.append(_unknown(call, job_id) if job is None else act(call, job))
    return call.answer("jobs", {"job": entries}, 201)


def _listed(call: Call) -> list[Tree]:
    """With a filter: fresh states, and only those that it names.

    As a real A-REX: a job whose state is moved just now is in no list, or passes for one that was removed.
    """
    wanted = set(filter(None, call.request.query.get("state", "").split(",")))
    if not wanted:
        books = call.service.books
        return [{"id": job_id} for job_id in books.of(call.owner) if not books.jobs[job_id].moving]
    states = ((job.id, "WIPED" if job.moving else listed_state(job)) for job in call.service.books.jobs_of(call.owner))
    return [{"id": job_id, "state": state} for job_id, state in states if state in wanted]


def _entry(code: str, reason: str, job_id: str, **more: Tree) -> Entry:
    return {"status-code": code, "reason": reason, "id": job_id, **more}


def _unknown(call: Call, job_id: str) -> Entry:
    blank: dict[str, Entry] = {"status": {"state": "None"}, "info": {"info_document": ""}}
    return _entry("404", "Job not found", job_id, **blank.get(call.action, {}))


def _status(call: Call, job: Job) -> Entry:
    return _entry("200", "OK", job.id, state=call.service.provider.seen_state(job))


def _info(call: Call, job: Job) -> Entry:
    return _entry("200", "OK", job.id, info_document={"ComputingActivity": call.service.document(job)})


def _kill(call: Call, job: Job) -> Entry:
    call.service.life.kill(job)
    return _entry("202", "Queued for killing", job.id)


def _clean(call: Call, job: Job) -> Entry:
    call.service.life.clean(job)
    return _entry("202", "Queued for cleaning", job.id)


def _restart(call: Call, job: Job) -> Entry:
    refusal = call.service.life.restart(job)
    return _entry("505", refusal, job.id) if refusal else _entry("202", "Queued for restarting", job.id)


def _delegations(_: Call, job: Job) -> Entry:
    entry = _entry("200", "OK", job.id)
    return entry | {"delegation_id": list(job.delegations)} if job.delegations else entry


_ACTIONS: Mapping[str, Callable[[Call, Job], Entry]] = {
    "status": _status,
    "info": _info,
    "kill": _kill,
    "clean": _clean,
    "restart": _restart,
    "delegations": _delegations,
}

Handler = Callable[[Call], Awaitable[web.Response]]
