"""Whatever a browser or a program sends to the page: an answer that blames the sender, never a mistake of our own."""

import json
import socket
from collections.abc import Iterable
from urllib.parse import quote, urlencode

import httpx
import pytest
from hypothesis import strategies as st

from act_core.web.gate import LARGEST
from tests.fuzz.hostile import TEXTS, VALUES, fuzzed, written
from tests.web.conftest import Person, app_client, cookies, deed, found_word, origin, person, settings

__all__ = ["app_client", "cookies", "person", "settings"]  # fixtures
DEEDS = ("ce", "queue", "share", "tower", "brake", "jobs", "jobs/all", "jobs/yes")
FIELDS = ("name", "names", "mode", "until", "reason", "id", "job", "request", "number", "scope", "then", "state", "ce")
GIVEN = ("arc6", "offline", "on", "1h", "cancel", "resubmit", "a reason", "atlas", "1", "full", "yes")
FORMS = st.lists(st.tuples(st.sampled_from(FIELDS), st.one_of(st.sampled_from(GIVEN), TEXTS)), max_size=8)
KINDS = st.sampled_from(
    [
        "application/x-www-form-urlencoded",
        "application/x-www-form-urlencoded; charset=utf-7",
        "multipart/form-data",
        "multipart/form-data; boundary=b; charset=no-such",
        "multipart/form-data; boundary=" + "b" * 3000,
        "application/json",
        "text/plain; charset=\x7f",
        "",
    ]
)
PART = '--b\r\nContent-Disposition: form-data; name="reason"{}\r\n\r\n{}\r\n'
TOO_LONG = "a" * (LARGEST + 1)
BODIES = st.one_of(
    TEXTS,
    VALUES.map(written),
    st.integers(1, 3000).map(lambda n: "a=b&" * n),
    st.integers(1, 3000).map(lambda n: "&" * n),
    st.builds(lambda a, b: PART.format(a, b) + "--b--\r\n", st.sampled_from(["", '; filename="f"', ";" * 90]), TEXTS),
    st.integers(1, 1500).map(lambda n: PART.format("", "x") * n),
    st.sampled_from(["%", "%u0041", "%ff%fe", "a=%00", "--b", "--b--", "a" * LARGEST, "a=" * (LARGEST // 2), TOO_LONG]),
)
PAGES = (
    "/",
    "/ces",
    "/jobs",
    "/search",
    "/decisions",
    "/audit",
    "/queues",
    "/api/jobs",
    "/api/overview",
    "/api/search",
)
ASKED = ("at", "q", "cursor", "size", "state", "ce", "who", "deed", "topic", "served", "server", "since", "sort", "app")
EVIL = "\x00", "..", "../../etc/passwd", "\U0001f4a9"


def encoded(fields: Iterable[tuple[str, str]]) -> str:
    return urlencode([*fields], errors="replace")


def blames_the_sender(answer: httpx.Response) -> None:
    assert answer.status_code < 500, (answer.status_code, answer.text[:300])


@pytest.fixture
def anna(person: Person) -> tuple[httpx.Client, str]:
    """An administrator, and the word of her forms."""
    client = person("anna")
    return client, found_word(client.get("/decisions").text)


@fuzzed(part=4, where=st.sampled_from(DEEDS), fields=FORMS)
def test_deeds(anna: tuple[httpx.Client, str], where: str, fields: list[tuple[str, str]]) -> None:
    client, word = anna
    body = encoded([("word", word), *fields])
    headers = origin(client) | {"Content-Type": "application/x-www-form-urlencoded"}
    blames_the_sender(client.post(f"/do/{where}", content=body, headers=headers))


@fuzzed(part=4, where=st.sampled_from(("/login", "/logout", "/do/ce", "/do/jobs")), kind=KINDS, body=BODIES)
def test_bodies_of_any_kind(anna: tuple[httpx.Client, str], where: str, kind: str, body: str) -> None:
    """The word of the form is in the header here, so that what comes behind it is reached."""
    client, word = anna
    headers = origin(client) | {"Content-Type": kind, "X-Act-Word": word}
    content = body.encode("utf-8", "surrogatepass")
    blames_the_sender(client.post(where, content=content, headers=headers))
    blames_the_sender(client.post(where, content=iter([content]), headers=headers))


@fuzzed(part=4, name=TEXTS, password=TEXTS, then=TEXTS)
def test_signing_in(person: Person, name: str, password: str, then: str) -> None:
    client = person(None)
    word = found_word(client.get("/login").text)
    form = [("name", name), ("password", password), ("word", word), ("then", then)]
    headers = origin(client) | {"Content-Type": "application/x-www-form-urlencoded"}
    answer = client.post("/login", content=encoded(form), headers=headers)
    blames_the_sender(answer)
    assert answer.status_code != 303, "nobody has signed in"


@fuzzed(part=4, page=st.sampled_from(PAGES), asked=st.lists(st.tuples(st.sampled_from(ASKED), TEXTS), max_size=4))
def test_questions(anna: tuple[httpx.Client, str], page: str, asked: list[tuple[str, str]]) -> None:
    client, _ = anna
    blames_the_sender(client.get(f"{page}?{encoded(asked)[:20_000]}"))


@fuzzed(
    part=4,
    page=st.sampled_from(("/ces/", "/queues/", "/jobs/atlas/", "/files/atlas/", "/runs/", "/api/jobs/", "/static/")),
    name=st.one_of(TEXTS, st.sampled_from(EVIL)),
)
def test_names_in_addresses(anna: tuple[httpx.Client, str], page: str, name: str) -> None:
    client, _ = anna
    blames_the_sender(client.get(page + quote(name.encode("utf-8", "replace")[:5000], safe="")))


@pytest.mark.parametrize("length", ["9" * 12, "9" * 18, "9" * 5000, "-1", "1e3", "0x10"])
def test_lengths_that_are_none(person: Person, length: str) -> None:
    url = person(None).base_url
    head = f"POST /login HTTP/1.1\r\nHost: {url.host}\r\nContent-Length: {length}\r\n\r\n"
    with socket.create_connection((url.host, url.port or 80), timeout=20) as wire:
        wire.sendall(head.encode("ascii"))
        assert wire.recv(12) in (b"HTTP/1.1 400", b"HTTP/1.1 413")


@pytest.mark.parametrize("where", ["/login", "/logout", "/do/ce", "/api/do/ce"])
def test_what_grows_too_long_without_saying_so(anna: tuple[httpx.Client, str], where: str) -> None:
    client, word = anna
    headers = origin(client) | {"Content-Type": "application/x-www-form-urlencoded", "X-Act-Word": word}
    blames_the_sender(client.post(where, content=iter([TOO_LONG.encode()]), headers=headers))


def test_the_page_goes_on(person: Person) -> None:
    client = person("anna")
    assert client.get("/").status_code == 200
    assert deed(client, "/do/ce", name="no such CE", mode="on").status_code in (303, 404)
    assert json.loads(client.get("/api/me").text)["name"] == "anna"
