"""What the REST handlers of one simulated CE share."""

import json
import re
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from aiohttp import web

from act_core.simulators.arc_adl import parse_xml
from act_core.simulators.arc_delegations import Delegations
from act_core.simulators.arc_description import BadDescription
from act_core.simulators.arc_info import Place, activity
from act_core.simulators.arc_life import Life
from act_core.simulators.arc_provider import Provider
from act_core.simulators.arc_records import Books, Job
from act_core.simulators.arc_wire import JSON, TRAITS, XML, Flavour, Refusal, Traits, Tree, answer

LARGEST_LIST = 1024 * 1024  # bytes of a list of ids; what comes after is not read
_COMPLETE_ID = re.compile(r'"id"\s*:\s*"([^"]+)"')
NOT_IMPLEMENTED = (501, "Not Implemented")


@dataclass(frozen=True)
class Service:
    """A CE: its name in documents, its books, and what moves its jobs."""

    flavour: Flavour
    host: str
    queues: tuple[str, ...]
    max_jobs: int  # 0: any number
    books: Books
    life: Life
    provider: Provider
    delegations: Delegations

    @property
    def traits(self) -> Traits:
        return TRAITS[self.flavour]

    @property
    def place(self) -> Place:
        return Place(self.flavour, self.host, self.queues[0])

    def document(self, job: Job) -> dict[str, Tree]:
        """The late `ComputingActivity` of a job."""
        return activity(job, self.provider.seen_state(job), self.provider.documented(job), self.place)


@dataclass(frozen=True)
class Call:
    """A request of somebody who is known. `rest`: the parts of the path after the functionality."""

    service: Service
    request: web.Request
    owner: str
    version: str
    rest: tuple[str, ...]

    @property
    def method(self) -> str:
        return self.request.method

    @property
    def action(self) -> str:
        return self.request.query.get("action", "")

    def answer(self, root: str, tree: dict[str, Tree], status: int = 200) -> web.Response:
        return answer(self.request, self.service.flavour, root, tree, status)

    def job(self, job_id: str) -> Job | None:
        return self.service.books.find(self.owner, job_id)

    def reads(self) -> bool:
        return self.method in ("GET", "HEAD")


def unsupported() -> Refusal:
    return Refusal(*NOT_IMPLEMENTED)


async def listed_ids(call: Call) -> list[str]:
    """The ids of the body, in order. What cannot be read, or has another content type, is an empty list."""
    body = (await call.request.read())[:LARGEST_LIST].decode("utf-8", "replace")
    kind = call.request.headers.get("Content-Type", "")
    if kind == JSON:
        return ids_in_json(body)
    return _ids_in_xml(body) if kind in ("", XML) else []


def ids_in_json(body: str) -> list[str]:
    """As far as it goes: a text that was cut gives the ids before the cut."""
    try:
        given = json.loads(body)
    except ValueError:
        return _complete_ids(body)
    jobs = given.get("job", []) if isinstance(given, dict) else []
    jobs = jobs if isinstance(jobs, list) else [jobs]
    return [job["id"] for job in jobs if isinstance(job, dict) and isinstance(job.get("id"), str) and job["id"]]


def _complete_ids(body: str) -> list[str]:
    if len(body) < LARGEST_LIST:
        return []
    return _COMPLETE_ID.findall(body)


def _ids_in_xml(body: str) -> list[str]:
    try:
        root: ET.Element = parse_xml(body)
    except BadDescription:
        return []
    return [text for job in root.findall("job") if (text := (job.findtext("id") or "").strip())]
