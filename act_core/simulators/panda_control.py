"""The control port of PanDA's simulator: jobs are made here, and the books are read."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import timedelta
from itertools import islice
from typing import get_args

from aiohttp import web
from pydantic import ValidationError

from act_core.simulators.panda_http import Clock
from act_core.simulators.panda_jobs import InputName, JobOrder, inputs_of
from act_core.simulators.panda_methods import Desk, Generation
from act_core.simulators.panda_records import Job

REGISTER_AT_ONCE = 5000  # input files per call to the storage

Register = Callable[[Sequence[InputName]], Awaitable[None]]


def summary(desk: Desk) -> dict[str, object]:
    """Numbers of jobs by status, of reports, of jobs acquired or finally reported more than once."""
    by_status: dict[str, int] = {}
    for (_, _, _, status, _), n in desk.books.counts.items():
        by_status[status] = by_status.get(status, 0) + n
    jobs = desk.books.jobs.values()
    return {
        "jobs": len(desk.books.jobs),
        "by_status": {status: n for status, n in by_status.items() if n},
        "tallies": dict(desk.books.tallies),
        "unknown_jobs_reported": len(desk.books.unknown),
        "acquired_twice": sum(job.acquisitions > 1 for job in jobs),
        "finals_twice": sum(job.finals > 1 for job in jobs),
    }


def page_of(job: Job) -> dict[str, object]:
    """One job as the books show it."""
    return {
        "status": job.status,
        "phase": job.phase.value,
        "queue": job.order.queue,
        "label": job.order.source_label,
        "attempt": job.order.attempt,
        "command": job.command,
        "acquisitions": job.acquisitions,
        "final_reports": job.finals,
        "modified": job.modified.isoformat() if job.modified else None,
        "columns": job.columns,
        "updates": [
            {
                "at": update.at.isoformat(),
                "status": update.status,
                "attempt": update.attempt,
                "command": update.command,
                "refused": update.refused,
            }
            for update in job.updates
        ],
    }


class Control:
    """Routes for the control port; `register` tells a storage about the inputs of new jobs."""

    def __init__(self, desk: Desk, clock: Clock, register: Register | None = None) -> None:
        self._desk, self._clock, self._register = desk, clock, register

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/jobs", self.create),
            web.get("/books", self.books),
            web.get("/books/summary", self.books_summary),
            web.get("/books/jobs/{number}", self.book_of_one),
            web.get("/books/workers/{number}", self.workers_of_one),
            web.post("/kill", self.kill),
            web.post("/queues", self.queues),
            web.post("/clock", self.clock),
            web.post("/most", self.most),
            web.post("/api", self.api),
        ]

    async def create(self, request: web.Request) -> web.Response:
        """One JobOrder or a list of them; answers with the first and last number of each."""
        asked = await request.json()
        try:
            orders = [JobOrder.model_validate(order) for order in (asked if isinstance(asked, list) else [asked])]
        except ValidationError as error:
            return web.json_response({"error": str(error)}, status=400)
        made = [self._desk.books.create(order) for order in orders]
        for order, numbers in zip(orders, made, strict=True):
            await self._tell_storage(order, numbers)
        return web.json_response({"jobs": [{"first": numbers[0], "last": numbers[-1]} for numbers in made]})

    async def _tell_storage(self, order: JobOrder, numbers: Sequence[int]) -> None:
        if self._register is None or not order.inputs:
            return
        wanted = numbers[:1] if order.shared_inputs else numbers
        files = (file for number in wanted for file in inputs_of(order, number))
        while chunk := list(islice(files, REGISTER_AT_ONCE)):
            await self._register(chunk)

    async def books(self, request: web.Request) -> web.Response:
        """`?status=&queue=&limit=`: summary and jobs by number."""
        self._desk.books.tick(self._clock.now())
        limit = int(request.query.get("limit", "1000000"))
        pages = {job.number: page_of(job) for job in islice(self._asked_for(request), limit)}
        return web.json_response({"summary": summary(self._desk), "jobs": pages})

    def _asked_for(self, request: web.Request) -> Iterator[Job]:
        status, queue = request.query.get("status"), request.query.get("queue")
        for job in self._desk.books.jobs.values():
            if status in (None, job.status) and queue in (None, job.order.queue):
                yield job

    async def books_summary(self, _: web.Request) -> web.Response:
        self._desk.books.tick(self._clock.now())
        return web.json_response(summary(self._desk))

    async def book_of_one(self, request: web.Request) -> web.Response:
        self._desk.books.tick(self._clock.now())
        job = self._desk.books.jobs.get(int(request.match_info["number"]))
        return web.json_response(page_of(job)) if job else web.json_response({"error": "no such job"}, status=404)

    async def workers_of_one(self, request: web.Request) -> web.Response:
        """The harvester workers that were linked to a job, by their number."""
        return web.json_response(self._desk.workers.of_job(int(request.match_info["number"])))

    async def kill(self, request: web.Request) -> web.Response:
        """`{"jobs": [...], "code": n}`."""
        asked = await request.json()
        killed = self._desk.books.kill(asked["jobs"], asked.get("code"), self._clock.now())
        return web.json_response({"killed": killed})

    async def queues(self, request: web.Request) -> web.Response:
        """`{queue: status}`: paused queues know no time-outs, those in test give test jobs only."""
        self._desk.books.queue_status.update(await request.json())
        return web.json_response(self._desk.books.queue_status)

    async def clock(self, request: web.Request) -> web.Response:
        """`{"advance_s": seconds}`: the server's daemons see the later time at once."""
        self._clock.advance(timedelta(seconds=float((await request.json())["advance_s"])))
        self._desk.books.tick(self._clock.now())
        return web.json_response({"now": self._clock.now().isoformat()})

    async def most(self, request: web.Request) -> web.Response:
        """`{"most": n}`: an acquisition gives at most so many; null: as many as asked."""
        self._desk.most = (await request.json())["most"]
        return web.json_response({"most": self._desk.most})

    async def api(self, request: web.Request) -> web.Response:
        """`{"api": "v1" | "legacy" | "both"}`: what is served from now on, as after an upgrade."""
        api = (await request.json())["api"]
        if api not in get_args(Generation):
            return web.json_response({"error": f"one of {', '.join(get_args(Generation))} is wanted"}, status=400)
        self._desk.api = api
        return web.json_response({"api": api})
