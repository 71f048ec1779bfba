"""PanDA's simulator without TLS, and a client of it."""

import json
from dataclasses import dataclass, field
from datetime import timedelta

from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient
from pydantic import SecretStr

from act_core.simulators.panda_books import Books
from act_core.simulators.panda_http import Clock
from act_core.simulators.panda_jobs import JobOrder
from act_core.simulators.panda_methods import Desk
from act_core.simulators.panda_records import Patience
from act_core.simulators.panda_roles import Token

NAME = "/DC=test/CN=Robot Act"
JSON_HEADERS = {"Accept": "application/json", "Content-Type": "application/json"}
TOKENS = (Token(SecretStr("good")), Token(SecretStr("pilots"), role="pilot"))


@dataclass
class House:
    """The simulator without TLS: `name` is what the certificate would say."""

    books: Books = field(default_factory=lambda: Books(Patience(adder=timedelta(0))))
    clock: Clock = field(default_factory=Clock)
    name: str | None = NAME + "/CN=12345"
    client: TestClient | None = None  # type: ignore[type-arg]
    desk: Desk | None = None

    async def raw(self, verb: str, path: str, headers: dict[str, str] | None = None, **more: object) -> ClientResponse:
        assert self.client is not None
        return await self.client.request(verb, path, headers=JSON_HEADERS if headers is None else headers, **more)  # type: ignore[arg-type]

    async def post(self, method: str, **arguments: object) -> dict[str, object]:
        answer = await self.raw("POST", f"/api/v1/{method}", data=json.dumps(arguments))
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/plain")
        return json.loads(await answer.read())  # type: ignore[no-any-return]

    async def get(self, method: str, query: str = "") -> dict[str, object]:
        answer = await self.raw("GET", f"/api/v1/{method}{query}", {"Accept": "application/json"})
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/plain")
        return json.loads(await answer.read())  # type: ignore[no-any-return]

    def job(self, **order: object) -> int:
        return self.books.create(JobOrder.model_validate({"queue": "TEST_ARC"} | order))[0]
