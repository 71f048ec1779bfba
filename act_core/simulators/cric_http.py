"""The HTTP half of CRIC's simulator, and its control routes."""

import json
from collections.abc import Sequence

from aiohttp import web
from pydantic import ValidationError

from act_core.simulators.cric_queues import QueueDescription, entry_of

QUEUES = "/api/atlas/pandaqueue/query/"
DOWNTIMES = "/api/core/downtime/query/"


class Cric:
    """The feed as it is now: entries by queue name (anything at all, where somebody wants a bad one), downtimes."""

    def __init__(self, queues: Sequence[QueueDescription]) -> None:
        self.entries: dict[str, object] = {queue.name: entry_of(queue) for queue in queues}
        self.downtimes: object = {}
        self.asked = 0

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes([web.get(QUEUES, self.queues), web.get(DOWNTIMES, self.down)])
        return app

    def control(self) -> list[web.RouteDef]:
        return [
            web.get("/entries", self.shown),
            web.post("/queues", self.add),
            web.patch("/entries/{name}", self.change),
            web.put("/entries/{name}", self.replace),
            web.delete("/entries/{name}", self.remove),
            web.put("/downtimes", self.replace_downtimes),
        ]

    async def queues(self, request: web.Request) -> web.Response:
        """The whole feed; without `json` in the query the real one answers with a page for people."""
        self.asked += 1
        return _feed(request, self.entries)

    async def down(self, request: web.Request) -> web.Response:
        return _feed(request, self.downtimes)

    async def shown(self, _: web.Request) -> web.Response:
        return web.json_response({"asked": self.asked, "entries": self.entries})

    async def add(self, request: web.Request) -> web.Response:
        """A QueueDescription."""
        try:
            queue = QueueDescription.model_validate(await request.json())
        except ValidationError as error:
            return web.json_response({"error": str(error)}, status=400)
        self.entries[queue.name] = entry_of(queue)
        return web.json_response(self.entries[queue.name])

    async def change(self, request: web.Request) -> web.Response:
        """Some keys of an entry."""
        name = request.match_info["name"]
        entry, change = self.entries.get(name), await request.json()
        if not isinstance(entry, dict) or not isinstance(change, dict):
            return web.json_response({"error": f"no entry {name}, or no object"}, status=404)
        self.entries[name] = entry | change
        return web.json_response(self.entries[name])

    async def replace(self, request: web.Request) -> web.Response:
        """Any JSON value in place of an entry: how a bad entry comes into the feed."""
        self.entries[request.match_info["name"]] = await request.json()
        return web.Response(status=204)

    async def remove(self, request: web.Request) -> web.Response:
        return web.Response(status=204 if self.entries.pop(request.match_info["name"], None) is not None else 404)

    async def replace_downtimes(self, request: web.Request) -> web.Response:
        self.downtimes = await request.json()
        return web.Response(status=204)


def _feed(request: web.Request, content: object) -> web.Response:
    if "json" not in request.query:
        return web.Response(text="<html><body>CRIC</body></html>", content_type="text/html")
    return web.json_response(text=json.dumps(content))
