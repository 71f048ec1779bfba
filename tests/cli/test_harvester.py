"""`act harvester`: workers in, their states out, all of it JSON."""

import json
from pathlib import Path
from typing import Any

import pytest

from act_core.simulators.panda_books import Books
from act_core.simulators.panda_jobs import JobOrder
from tests.cli.conftest import Act
from tests.cli.test_queues import queue, read

NAME = "CERN_central"


@pytest.fixture
def atlas(act: Act, place: Path) -> Act:
    (place / "aCTConfigAPP.yaml").write_text(f"modules: {{app: [atlas]}}\ncric: {{handedby: [{NAME}]}}\n")
    read(queue("A", harvester=NAME))
    return act


def workers(place: Path, **fields: Any) -> Path:
    books = Books()
    (number,) = books.create(JobOrder(queue="A", n=1))
    job = books.describe(books.jobs[number])
    file = place / "workers.json"
    file.write_text(json.dumps([{"harvester_id": NAME, "worker_id": 5, "queue": "A", "job": job} | fields]))
    return file


def test_a_worker_comes_in_and_is_killed(atlas: Act, place: Path) -> None:
    said = atlas("harvester", "submit", workers(place))
    (answer,) = said.json
    assert (said.code, answer["refused"], answer["worker_id"]) == (0, None, 5)
    (state,) = atlas("harvester", "status", answer["id"]).json
    assert (state["status"], state["harvester_id"]) == ("submitted", NAME)
    assert atlas("harvester", "kill", answer["id"]).json == {str(answer["id"]): "kill"}
    assert atlas("harvester", "logs", answer["id"]).code == 1  # nothing has run yet


def test_what_is_refused_says_why(atlas: Act, place: Path) -> None:
    said = atlas("harvester", "submit", workers(place, harvester_id="another"))
    assert (said.code, said.json[0]["id"]) == (1, None)
    assert "cric.handedby" in said.json[0]["refused"]


def test_the_operators_mistakes(atlas: Act, place: Path) -> None:
    assert atlas("harvester", "submit", "nowhere.json").code == 2
    (place / "bad.json").write_text("[7]")
    bad = atlas("harvester", "submit", "bad.json")
    assert (bad.code, "worker 1" in bad.err) == (2, True)
    unknown = atlas("harvester", "status", 999)
    assert (unknown.code, unknown.json) == (1, [])
    assert atlas("harvester", "kill", 999).code == 1
    instance = atlas("harvester", "status", 1, "--instance", "doma")
    assert (instance.code, "no instance 'doma'" in instance.err) == (2, True)
