"""The page of a moment that is over."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from tests.web.conftest import TOKEN, Person
from tests.web.filled import ANALYSIS

JOB = f"/jobs/atlas/{ANALYSIS}"
DEEDS = ("/do/", "Cancel")


def then(**ago: float) -> str:
    return (datetime.now(UTC) - timedelta(**ago)).strftime("%Y-%m-%dT%H:%M:%S")


def test_the_overview_counts_what_was_there(person: Person) -> None:
    text = person("anna").get(f"/?at={then(hours=7.5)}").text
    assert "As it was at" in text
    assert re.search(r'hpc-west\?at=[^"]+">hpc-west', text)
    assert "data-living" not in text
    assert not [word for word in DEEDS if word in text]
    assert person("vera").get("/?at=2h ago").status_code == 200


def test_a_ce_tells_what_held_and_what_came_next(person: Person) -> None:
    held = person("otto").get(f"/ces/arc-south.example.org?at={then(hours=5)}").text
    assert "What held then" in held
    assert "SOUTH_PILOT" in held.partition("What was decided next")[0]
    before = person("otto").get(f"/ces/hpc-west?at={then(hours=4)}").text
    assert "Nothing is written that kept jobs from it" in before
    assert "&lt;script&gt;alert" in before.partition("What was decided next")[2]
    assert not [word for word in DEEDS if word in before]


def test_a_job_has_the_state_of_then(person: Person) -> None:
    at = then(hours=8, minutes=-12)
    text = person("otto").get(f"{JOB}?at={at}").text
    assert '<h1>7000000001.0 <span class="badge calm">submitted' in text
    known, _, later = text.partition("What happened next")
    assert "condor-east" in known
    assert "running" in later
    assert "done" in later
    assert not [word for word in DEEDS if word in text]


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("/?at=2000-01-01T00:00", "before the first event"),
        ("/?at=2999-01-01T00:00", "has not come yet"),
        ("/?at=<b>soon", "a time is wanted"),
        ("/ces/hpc-west?at=1900-01-01", "before the first event"),
        (f"{JOB}?at=539 min ago", "As it was at"),
        ("/jobs/manual/x?at=1h ago", "Nobody here knows a job"),
        ("/ces/nobody?at=1h ago", "There is no CE"),
    ],
)
def test_what_cannot_be_told_is_said_beside_the_slider(person: Person, place: str, words: str) -> None:
    answer = person("vera").get(place)
    assert words in answer.text
    assert "<b>soon" not in answer.text
    if "nobody" not in place and "manual" not in place:
        assert 'type="range"' in answer.text


def test_every_page_with_a_past_has_a_slider_over_its_own_span(person: Person) -> None:
    for place in ("/", "/ces/hpc-west", JOB):
        text = person("vera").get(place).text
        first, last = map(int, re.findall(r'data-first="(\d+)" data-last="(\d+)"', text)[0])
        assert last - first > 3600
        part = person("vera").get(place, headers={"HX-Request": "true"}).text
        assert 'type="range"' not in part
    assert 'type="range"' not in person("vera").get("/jobs").text


def test_programs_get_the_same(person: Person) -> None:
    client, who = person(None), {"Authorization": f"Bearer {TOKEN}"}
    whole = client.get(f"/api/overview?at={then(hours=2)}", headers=who).json()
    assert next(ce for ce in whole["ces"] if ce["name"] == "hpc-west")["mode"] == "rest"
    assert client.get("/api/ces/hpc-west?at=4h ago", headers=who).json()["ce"]["mode"] == "on"
    assert client.get(f"/api{JOB}?at={then(hours=8, minutes=-12)}", headers=who).json()["state"] == "submitted"
    refused = client.get("/api/overview?at=2000-01-01", headers=who)
    assert (refused.status_code, "before the first event" in refused.json()["error"]) == (400, True)
