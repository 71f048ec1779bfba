"""The page as browsers and programs ask for it: the whole application in this process, by somebody signed in."""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from urllib.parse import quote

import httpx

from act_core.settings import Settings
from act_core.settings.web import User
from act_core.web import passwords, seat
from act_core.web.app import make_app
from benchmarks.costs import Call

BASE, NAME, PASSWORD = "http://127.0.0.1", "bench", "nobody-signs-in-with-this"
WORD = re.compile(r'name="word" value="(\w+)"')


@contextmanager
def requests(held: Settings, ce: str, queue: str, jobs: Sequence[tuple[str, str]]) -> Iterator[Mapping[str, Call]]:
    """What is measured, by name. `jobs`: application and id. What readers share is read anew by each."""
    user = User.model_validate({"role": "admin", "password": passwords.hashed(PASSWORD)})
    web = held.arc.web.model_copy(update={"users": {NAME: user}, "secure": False, "rootpath": ""})
    settings = held.model_copy(update={"arc": held.arc.model_copy(update={"web": web})})
    shared, seat.GLANCE_S = seat.GLANCE_S, 0.0
    transport = httpx.ASGITransport(make_app(settings))
    with asyncio.Runner() as runner:
        client = httpx.AsyncClient(transport=transport, base_url=BASE)
        try:
            runner.run(_sign_in(client))
            yield _calls(runner, client, ce, queue, jobs)
        finally:
            runner.run(client.aclose())
            seat.GLANCE_S = shared


async def _sign_in(client: httpx.AsyncClient) -> None:
    word = WORD.search((await client.get("/login")).text)
    form = {"name": NAME, "password": PASSWORD, "word": word[1] if word else "", "then": "/"}
    answer = await client.post("/login", data=form, headers={"Origin": BASE})
    if answer.status_code != 303:
        raise SystemExit(f"nobody could sign in: {answer.status_code}")


def _calls(
    runner: asyncio.Runner, client: httpx.AsyncClient, ce: str, queue: str, jobs: Sequence[tuple[str, str]]
) -> Mapping[str, Call]:
    stories = [f"/jobs/{quote(app)}/{quote(one)}" for app, one in jobs]
    lists = ("/ces", f"/ces/{quote(ce)}", "/queues?served=false", f"/queues/{quote(queue)}", "/jobs")
    pages = ("/", *lists, f"/jobs?ce={quote(ce)}&state=running", *stories, "/credentials", "/decisions", "/audit")
    api = ("/api/overview", *(f"/api{one}" for one in (*lists, *stories)))
    found: dict[str, Call] = {}
    for address in (*pages, *api):
        found[f"GET {address}"] = partial(_asked, runner, client, address, {})
    for address in pages:
        marks: dict[str, str] = {}
        found[f"GET {address}, open already"] = partial(_again, runner, client, address, marks)
    return found


def _asked(
    runner: asyncio.Runner, client: httpx.AsyncClient, address: str, headers: Mapping[str, str]
) -> httpx.Response:
    answer = runner.run(client.get(address, headers=dict(headers)))
    if answer.status_code not in (200, 304):
        raise SystemExit(f"{address}: {answer.status_code} {answer.text[:200]}")
    return answer


def _again(runner: asyncio.Runner, client: httpx.AsyncClient, address: str, marks: dict[str, str]) -> None:
    """As an open page looks whether something changed."""
    mark = {"If-None-Match": marks["mark"]} if marks else {}
    answer = _asked(runner, client, address, {"HX-Request": "true"} | mark)
    marks["mark"] = answer.headers["etag"]
