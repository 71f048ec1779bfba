"""Each route of the page: who may use it, and what odd numbers and letters do to it."""

import httpx
import pytest
from fastapi.routing import APIRoute

from act_core.db import audit
from act_core.db.session import Database
from act_core.settings import Settings
from act_core.web.app import ROUTERS
from act_core.web.people import Role
from tests.web.conftest import Person, deed, found_word, origin, web
from tests.web.filled import ANALYSIS
from tests.web.served import served

# The smallest role that gets anything done there. A new route that changes something is entered here by hand.
CHANGES = {
    "/login": Role.NONE,
    "/logout": Role.NONE,
    "/do/ce": Role.OPERATOR,
    "/do/queue": Role.OPERATOR,
    "/do/share": Role.OPERATOR,
    "/do/tower": Role.ADMIN,
    "/do/brake": Role.ADMIN,
    "/do/jobs": Role.OPERATOR,
    "/do/jobs/all": Role.OPERATOR,
    "/do/jobs/yes": Role.OPERATOR,
}
PROGRAMS = ("/do/ce", "/do/queue", "/do/share", "/do/tower", "/do/brake", "/do/jobs")
FIELDS = {
    "name": "condor-east", "mode": "on", "until": "", "brake": "1", "request": "fetch", "job": "atlas:none",
    "server": "x", "number": "none", "password": "none",
}  # fmt: skip
OPEN = {"/login", "/signed-in"}  # to who has not signed in
HUGE = 10**30


def routes() -> list[APIRoute]:
    found = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    assert len(found) > 30
    return found


def test_all_that_changes_something_is_known() -> None:
    changing = {route.path for route in routes() if set(route.methods or ()) - {"GET", "HEAD", "OPTIONS"}}
    assert changing == {*CHANGES, *(f"/api{place}" for place in PROGRAMS)}


@pytest.mark.parametrize("place", [one for one, role in CHANGES.items() if role > Role.NONE])
@pytest.mark.parametrize(("name", "role"), [(None, Role.NONE), ("vera", Role.VIEWER), ("otto", Role.OPERATOR)])
def test_nobody_does_what_his_role_may_not(person: Person, name: str | None, role: Role, place: str) -> None:
    if role >= CHANGES[place]:
        return
    client = person(name)
    if name:
        answer = deed(client, place, **FIELDS | {"mode": "drain"})
        assert (answer.status_code, "is needed" in answer.text) == (403, True)
    else:
        answer = client.post(place, data=FIELDS | {"mode": "drain"}, headers=origin(client))
        assert answer.headers.get("location", "").startswith("/login")


def test_all_that_is_read_wants_somebody(person: Person) -> None:
    client = person(None)
    for route in routes():
        if "GET" not in (route.methods or ()) or route.path in OPEN:
            continue
        place = route.path.replace("{name:path}", "x").replace("{number}", "1")
        place = place.replace("{app}", "atlas").replace("{one:path}", "x")
        answer = client.get(place, params={"name": "x", "attempt": 1, "q": "x"})
        assert answer.status_code in ((401,) if place.startswith("/api") else (303,)), place


@pytest.mark.parametrize(
    "place",
    [
        f"/jobs?cursor={HUGE}",
        f"/jobs?cursor=-{HUGE}",
        f"/decisions?cursor={HUGE}",
        f"/runs/{HUGE}",
        f"/runs/-{HUGE}",
        f"/api/jobs?cursor={HUGE}",
        f"/files/atlas/{ANALYSIS}?name=x&attempt={HUGE}",
        "/jobs?error=%00",
        "/jobs?ce=%00&share=%ff%fe",
        "/jobs/atlas/%00",
        "/ces/%ff",
        f"/search?q={HUGE}",
        "/search?q=%25%5f%00",
        f"/search?q=atlas:{HUGE}",
        f"/search?q={2**63}",
        "/search?q=%F0%9F%90%9B",
    ],
)
def test_what_nobody_meant_is_no_mistake_of_ours(person: Person, place: str) -> None:
    for method in ("GET", "HEAD"):
        assert person("otto").request(method, place).status_code < 500


@pytest.mark.parametrize("word", ["\u00e4" * 40, "\U0001f41b", "\x00"])
def test_a_word_in_other_letters_is_a_wrong_one(person: Person, word: str) -> None:
    client = person("anna")
    assert client.post("/do/ce", data={"word": word, **FIELDS}, headers=origin(client)).status_code == 403
    form = {"name": "anna", "password": "x", "word": word}
    client.get("/login")
    assert client.post("/login", data=form, headers=origin(client)).status_code == 403


@pytest.mark.parametrize("brake", ["9" * 18, "0", "1" * 300, "-1"])
def test_a_brake_that_is_not_there(person: Person, brake: str) -> None:
    assert deed(person("anna"), "/do/brake", brake=brake).status_code in (303, 400)


def test_whom_nobody_knows_fills_no_audit(settings: Settings) -> None:
    """It is kept for years."""
    seen = web(anonymous="viewer")
    arc = settings.arc.model_copy(update={"web": seen})
    db = Database(settings)
    before = db.read(audit.lines, 1)
    with served(settings.model_copy(update={"arc": arc})) as client:
        assert client.get("/").status_code == 200
        answer = client.post("/do/tower", data={"mode": "drain"}, headers=origin(client))
        assert answer.headers["location"].startswith("/login")
    assert db.read(audit.lines, 1)[0].id == before[0].id
    db.close()


def test_files_in_a_form_are_refused(person: Person) -> None:
    client: httpx.Client = person("anna")
    word = found_word(client.get("/").text)
    answer = client.post("/do/ce", data={"word": word}, files={"name": b"x" * 10}, headers=origin(client))
    assert answer.status_code == 400
