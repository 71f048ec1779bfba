"""What every request passes and every answer carries; forms that other sites made; names that lead here."""

import httpx
import pytest

from act_core.settings.web import Web
from act_core.web.gate import LARGEST, host_of, names
from tests.web.conftest import TOKEN, Person, found_word, origin

CHANGE = {"name": "condor-east", "mode": "on", "until": ""}


@pytest.mark.parametrize("place", ["/", "/login", "/nowhere", "/api/me", "/static/page.css"])
def test_an_answer_carries_its_headers(person: Person, place: str) -> None:
    headers = person("vera").get(place).headers
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store" or place.startswith("/static")


@pytest.mark.parametrize("host", ["evil.example.org", "127.0.0.1.evil.example.org:4280", "", "[::1", "a b"])
def test_a_foreign_name_is_not_answered(person: Person, host: str) -> None:
    assert person("vera").get("/", headers={"Host": host}).status_code == 400


def test_the_names_of_a_page() -> None:
    assert names(Web(), "127.0.0.1") == {"127.0.0.1", "localhost", "::1"}
    assert "act.example.org" in names(Web(hosts=("ACT.example.org",)), "127.0.0.1")
    assert host_of("[::1]:4280") == "::1"


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Origin": "http://evil.example.org"}, id="another site"),
        pytest.param({"Origin": "http://127.0.0.1:9999"}, id="another port"),
        pytest.param({"Origin": "null"}, id="a sandbox"),
        pytest.param({"Origin": "http://["}, id="no address"),
        pytest.param({}, id="nothing said"),
        pytest.param({"Referer": "http://evil.example.org/127.0.0.1:4280"}, id="a referer of another site"),
    ],
)
def test_a_form_of_another_site_is_refused(person: Person, headers: dict[str, str]) -> None:
    client = person("anna")
    word = found_word(client.get("/").text)
    assert client.post("/do/ce", data=CHANGE | {"word": word}, headers=headers).status_code == 403
    assert client.post("/login", data={"name": "a", "password": "b", "word": word}, headers=headers).status_code == 403


@pytest.mark.parametrize("word", ["", "0" * 40, "of another"])
def test_a_form_without_its_sessions_word_is_refused(person: Person, word: str) -> None:
    if word == "of another":
        word = found_word(person("otto").get("/").text)
    client = person("anna")
    answer = client.post("/do/ce", data=CHANGE | {"word": word}, headers=origin(client))
    assert answer.status_code == 403
    assert "does not belong to your session" in answer.text


def test_a_script_of_the_page_may_send_the_word_as_a_header(person: Person) -> None:
    client = person("anna")
    headers = origin(client) | {"X-Act-Word": found_word(client.get("/").text)}
    assert client.post("/do/ce", data=CHANGE, headers=headers).status_code == 303


def test_a_program_needs_no_word_and_gets_json(person: Person) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    done = person(None).post("/api/do/ce", data=CHANGE, headers=headers)
    assert (done.status_code, done.json()) == (200, {"done": True, "said": "condor-east: on"})
    refused = person(None).post("/api/do/tower", data={"mode": "drain"}, headers=headers)
    assert (refused.status_code, refused.json()) == (
        403,
        {"error": "to do this (tower.drain), the role admin is needed"},
    )
    unknown = person(None).post("/api/do/ce", data=CHANGE | {"name": "condor-eats"}, headers=headers)
    assert (unknown.status_code, "condor-east" in unknown.json()["said"]) == (409, True)


def test_a_wrong_token_does_not_fall_back_to_a_cookie(person: Person) -> None:
    headers = {"Authorization": "Bearer wrong", "Origin": "http://evil.example.org"}
    assert person("anna").post("/api/do/ce", data=CHANGE, headers=headers).status_code == 401


def test_a_large_body_is_not_read(person: Person) -> None:
    client = person("anna")
    assert client.post("/login", content=b"x" * (LARGEST + 1), headers=origin(client)).status_code == 413


@pytest.mark.parametrize("place", ["/do/ce", "/do/jobs", "/do/tower", "/logout"])
def test_nothing_changes_by_a_link(app_client: httpx.Client, person: Person, place: str) -> None:
    assert person("anna").get(place).status_code in (404, 405)
