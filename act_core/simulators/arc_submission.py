"""`POST /jobs?action=new`: from a body to jobs, one answer for each description."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from aiohttp import web

from act_core.simulators import arc_adl, arc_xrsl
from act_core.simulators.arc_description import BadDescription, Description
from act_core.simulators.arc_records import Job, packed
from act_core.simulators.arc_service import Call, Service
from act_core.simulators.arc_wire import Refusal, Tree, new_id

LARGEST_BODY = 100 * 1024 * 1024
MOST_INSTANCES = 10000


@dataclass(frozen=True)
class Language:
    """How to cut a body into descriptions, and how to read one."""

    split: Callable[[str], list[str | BadDescription]]
    parse: Callable[[str], Description]


_ADL, _XRSL = Language(arc_adl.split, arc_adl.parse), Language(arc_xrsl.split, arc_xrsl.parse)
LANGUAGES: Mapping[str, Language] = {"<": _ADL, "&": _XRSL, "+": _XRSL}


@dataclass(frozen=True)
class Defaults:
    """What the query of a 1.1 request says for all descriptions."""

    queue: str = ""
    delegation: str = ""
    instances: int = 1


async def submit(call: Call) -> web.Response:
    """HTTP says 201 whatever becomes of the single jobs."""
    body, whole = await _received(call.request)
    text = body.decode("utf-8", "replace").lstrip()
    language = LANGUAGES.get(text[:1])
    if not body:
        raise Refusal(500, "Missing payload")
    if not text:
        raise Refusal(500, "Payload is empty")
    if language is None:
        raise Refusal(500, "Payload is not recognized")
    if not whole and language is _ADL:
        raise Refusal(500, "Failed to read payload")  # nobody is there to hear it
    service = call.service
    if service.max_jobs and len(service.books.jobs) >= service.max_jobs:
        raise Refusal(500, "No more jobs allowed")
    defaults = _defaults(call)
    entries: list[Tree] = []
    for part in language.split(text):
        for _ in range(defaults.instances):
            entries.append(_submitted(service, call.owner, part, language, defaults, call.request.remote or ""))
    return call.answer("jobs", {"job": entries}, 201)


def _submitted(
    service: Service, owner: str, part: str | BadDescription, language: Language, defaults: Defaults, client: str
) -> Tree:
    try:
        if isinstance(part, BadDescription):
            raise part
        job = make_job(service, owner, part, language, defaults, client)
    except BadDescription as bad:
        return {"status-code": "500", "reason": str(bad)}
    service.life.accept(job)
    return {"status-code": "201", "reason": "Created", "id": job.id, "state": "ACCEPTING"}


def make_job(
    service: Service, owner: str, text: str, language: Language, defaults: Defaults | None = None, client: str = ""
) -> Job:
    """Raises BadDescription with the reason for the client."""
    defaults = defaults or Defaults()
    about = language.parse(text)
    about = replace(about, queue=about.queue or defaults.queue or service.queues[0])
    if about.queue not in service.queues:
        raise BadDescription(f"Requested queue {about.queue} is not allowed for this user")
    delegations = about.delegations or ((defaults.delegation,) if defaults.delegation else ())
    return Job(
        id=new_id(service.flavour),
        owner=owner,
        about=about,
        packed=packed(text),
        created=datetime.now(UTC),
        reruns=about.reruns,
        delegations=delegations,
        client=client,
        missing={one.name for one in about.inputs if not one.sources},
    )


def _defaults(call: Call) -> Defaults:
    if call.version == "1.0":
        return Defaults()
    query = call.request.query
    instances = query.get("instances", "1")
    if not instances.isdigit() or not 1 <= int(instances) <= MOST_INSTANCES:
        raise Refusal(500, "Wrong number of instances")
    return Defaults(query.get("queue", ""), query.get("delegation_id", ""), int(instances))


async def _received(request: web.Request) -> tuple[bytes, bool]:
    """The body as far as it came, and whether it is all."""
    parts: list[bytes] = []
    size = 0
    try:
        async for part in request.content.iter_any():
            size += len(part)
            if size > LARGEST_BODY:
                raise Refusal(500, "Payload is too big")
            parts.append(part)
    except (ConnectionError, web.RequestPayloadError):
        return b"".join(parts), False
    return b"".join(parts), True
