"""The control port of the simulated CE: its books, its pace, its memory."""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from xml.sax.saxutils import escape

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from act_core.simulators.arc_description import BadDescription
from act_core.simulators.arc_pace import Pace
from act_core.simulators.arc_records import rest_state
from act_core.simulators.arc_service import Service
from act_core.simulators.arc_submission import LANGUAGES, make_job

_ADL = (
    '<ActivityDescription xmlns="http://www.eu-emi.eu/es/2010/12/adl"><ActivityIdentification><Name>{name}</Name>'
    "</ActivityIdentification><Application><Executable><Path>/bin/true</Path></Executable></Application>"
    "</ActivityDescription>"
)


class HandMade(BaseModel):
    """Jobs that somebody else submits: a whole description, or a name alone."""

    model_config = ConfigDict(extra="forbid")

    owner: str
    name: str = "by hand"
    description: str | None = None
    count: int = Field(default=1, ge=1, le=100_000)


class Amnesia(BaseModel):
    """Which jobs are forgotten: by id, by a pattern of the name (searched), or all. `for_now`: until `/memory`."""

    model_config = ConfigDict(extra="forbid")

    ids: list[str] | None = None
    name: str | None = None
    for_now: bool = False


class Moving(BaseModel):
    """Jobs, by id."""

    model_config = ConfigDict(extra="forbid")

    ids: frozenset[str]


class Mapping(BaseModel):
    """The account that a name has from now on; None: its own again. What it had stays with the former one."""

    model_config = ConfigDict(extra="forbid")

    owner: str
    account: str | None = None


class Ahead(BaseModel):
    """How far the CE's clock is ahead, where the ends of delegated proxies matter; in seconds."""

    model_config = ConfigDict(extra="forbid")

    ahead: float = Field(ge=0)


def _entry(job_id: str, name: str, owner: str, executions: int, ended: datetime | None) -> dict[str, object]:
    """Of a job that there is, or was; `ended`: ISO, when the CE was through with it."""
    when = ended.isoformat() if ended else None
    return {"id": job_id, "name": name, "owner": owner, "executions": executions, "ended": when}


class ArcControl:
    """Routes for the control port. `runs`: jobs really run; nobody has to say who he is here, so none is described."""

    def __init__(self, service: Service, runs: bool) -> None:
        self._service, self._runs = service, runs

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/jobs", self.jobs),
            web.get("/jobs/summary", self.summary),
            web.post("/amnesia", self.amnesia),
            web.post("/memory", self.memory),
            web.post("/moving", self.moving),
            web.post("/mapping", self.mapping),
            web.post("/submit", self.submit),
            web.post("/delegations", self.delegations),
            web.get("/pace", self.pace),
            web.post("/pace", self.repace),
            web.post("/provider", self.provider),
        ]

    async def jobs(self, _: web.Request) -> web.Response:
        """All jobs that there ever were."""
        return web.json_response({"jobs": list(self._books())})

    async def summary(self, _: web.Request) -> web.Response:
        """Numbers of jobs: living ones by fresh state, removed ones, and how often they were executed."""
        books = self._service.books
        executions = [job.executions for job in books.jobs.values()] + [
            one.executions for one in books.removed.values()
        ]
        return web.json_response(
            {
                "by_state": Counter(rest_state(job) for job in books.jobs.values()),
                "present": len(books.jobs),
                "removed": len(books.removed),
                "executions": sum(executions),
                "executed_twice": sum(number > 1 for number in executions),
                "running": self._service.life.running,
            }
        )

    def _books(self) -> Iterator[dict[str, object]]:
        seen_state = self._service.provider.seen_state
        for job in self._service.books.jobs.values():
            told = {"state": rest_state(job), "seen_state": seen_state(job), "removed": False}
            yield _entry(job.id, job.about.name, job.owner, job.executions, job.ended) | told
        for gone in self._service.books.removed.values():
            told = {"state": gone.state, "seen_state": "None", "removed": True}
            yield _entry(gone.id, gone.name, gone.owner, gone.executions, gone.ended) | told

    async def amnesia(self, request: web.Request) -> web.Response:
        """The CE forgets jobs, whatever their state."""
        try:
            wish = Amnesia.model_validate_json(await request.read() or b"{}")
            pattern = re.compile(wish.name or "")
        except (ValidationError, re.error) as err:
            return web.json_response({"error": str(err)}, status=400)
        jobs = self._service.books.jobs
        chosen = jobs.values() if wish.ids is None else [jobs[job_id] for job_id in wish.ids if job_id in jobs]
        lost = [job for job in chosen if pattern.search(job.about.name)]
        if wish.for_now:
            self._service.books.hidden |= {job.id for job in lost}
        else:
            for job in lost:
                self._service.life.forget(job)
        return web.json_response({"forgotten": len(lost)})

    async def memory(self, _: web.Request) -> web.Response:
        """What was forgotten for now is known again; it has lived on meanwhile."""
        hidden = self._service.books.hidden
        n = len(hidden)
        hidden.clear()
        return web.json_response({"remembered": n})

    async def moving(self, request: web.Request) -> web.Response:
        """These jobs' states, and no others, are between two directories from now on."""
        try:
            wish = Moving.model_validate_json(await request.read())
        except ValidationError as err:
            return web.json_response({"error": str(err)}, status=400)
        for job in self._service.books.jobs.values():
            job.moving = job.id in wish.ids
        return web.json_response({"moving": sum(job.moving for job in self._service.books.jobs.values())})

    async def mapping(self, request: web.Request) -> web.Response:
        try:
            wish = Mapping.model_validate_json(await request.read())
        except ValidationError as err:
            return web.json_response({"error": str(err)}, status=400)
        accounts = self._service.books.accounts
        accounts.pop(wish.owner, None)
        if wish.account:
            accounts[wish.owner] = wish.account
        return web.json_response({"accounts": accounts})

    async def delegations(self, request: web.Request) -> web.Response:
        try:
            wish = Ahead.model_validate_json(await request.read())
        except ValidationError as err:
            return web.json_response({"error": str(err)}, status=400)
        self._service.delegations.ahead = timedelta(seconds=wish.ahead)
        return web.json_response({"ahead": wish.ahead})

    async def submit(self, request: web.Request) -> web.Response:
        try:
            order = HandMade.model_validate_json(await request.read())
            if self._runs and order.description:
                return web.json_response({"error": "jobs really run here: a name alone is taken"}, status=403)
            text = order.description or _ADL.format(name=escape(order.name))
            language = LANGUAGES.get(text.lstrip()[:1], LANGUAGES["<"])
            made = [make_job(self._service, order.owner, text, language) for _ in range(order.count)]
        except (ValidationError, BadDescription) as err:
            return web.json_response({"error": str(err)}, status=400)
        for job in made:
            self._service.life.accept(job)
        return web.json_response({"ids": [job.id for job in made]}, status=201)

    async def pace(self, _: web.Request) -> web.Response:
        return web.json_response(self._service.life.pace.model_dump(mode="json"))

    async def repace(self, request: web.Request) -> web.Response:
        """Any of the fields of `Pace`; the others stay."""
        try:
            change = dict(await request.json())
            pace = Pace.model_validate({**self._service.life.pace.model_dump(), **change})
        except (ValueError, TypeError) as err:
            return web.json_response({"error": str(err)}, status=400)
        self._service.life.repace(pace)
        return web.json_response(pace.model_dump(mode="json"))

    async def provider(self, _: web.Request) -> web.Response:
        """One run of the information provider, now."""
        return web.json_response({"written": self._service.provider.write()})
