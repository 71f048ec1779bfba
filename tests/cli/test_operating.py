"""`act drain`, `act shares`, `act queues stop` and `act audit` as an operator uses them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from act_core.cli.actor import actor
from act_core.db.session import Database
from act_core.settings import load_settings
from tests.cli.conftest import Act
from tests.cli.test_queues import atlas, queue, read
from tests.cli.test_tables import Tables

__all__ = ["atlas"]
ME = actor().who


@pytest.fixture
def tables(act: Act) -> Iterator[Tables]:
    db = Database(load_settings().settings)
    made = Tables(db)
    made.add("a", "b", "c")
    made.job("a", share="prod")
    made.job("b", share="prod", state="running", ce="here", cores=8, remote_id="r1")
    made.job("c", share="user")
    yield made
    db.close()


def test_shares_are_listed_with_what_they_have(act: Act, tables: Tables, place: Path) -> None:
    (place / "aCTConfigARC.yaml").write_text("sites: {here: {kind: local}}\nfill: {shares: {prod: 3, idle: 2}}\n")
    rows = {row["name"]: row for row in act("shares", "list", "--json").json}
    assert {name: (row["weight"], row["waiting"], row["running"], row["cores"]) for name, row in rows.items()} == {
        "idle": (2, 0, 0, 0),
        "prod": (3, 1, 1, 8),
        "user": (1, 1, 0, 0),
    }
    assert act("shares", "list").lines[2].startswith("prod on 3 1 ")


def test_a_share_is_stopped_explained_and_goes_on(act: Act, tables: Tables) -> None:
    said = act("shares", "stop", "prod", "--reason", "bad release", "--until", "2h")
    assert said.out.startswith("prod: stop until ")
    assert said.out.endswith(f", by {ME} (bad release)\n")
    why = act("explain", "a", "--json").json["why"]
    assert f"Share prod is in mode stop, by {ME}: bad release." in why
    assert not any(sentence.startswith("here: ") for sentence in why)  # it is said once, and not for each CE
    assert "Share prod" not in act("explain", "c").out
    assert "`act shares on prod` ends it." in act("explain", "prod").out
    assert f"share prod: stop until {act('shares', 'show', 'prod', '--json').json['until']}" in act("status").out
    assert act("shares", "on", "all", "--json").json[0]["mode"] == "on"
    assert act("shares", "show", "prod", "--json").json["owner"] is None


@pytest.mark.parametrize(
    ("words", "culprit"),
    [
        pytest.param("shares stop prdo", "no share 'prdo'; the nearest: prod", id="a typo"),
        pytest.param("shares stop prod nosuch", "no share 'nosuch'", id="one of several"),
        pytest.param("shares offline prod", "`act jobs cancel --share prod`", id="a share is nowhere offline"),
        pytest.param("shares abandon prod", "only a CE can be abandoned", id="a share is not abandoned"),
        pytest.param("queues abandon Q", "`act queues offline Q`", id="a queue is not abandoned"),
        pytest.param("drain --end --until 2h", "--until is for the beginning", id="two ways at once"),
    ],
)
def test_mistakes_are_told_and_change_nothing(act: Act, tables: Tables, words: str, culprit: str) -> None:
    said = act(*words.split())
    assert (said.code, said.out) == (2, "")
    assert culprit in said.err
    assert act("audit", "--json").json == []


def test_a_tower_is_drained_until_nothing_is_left(act: Act, tables: Tables) -> None:
    said = act("drain", "--reason", "move")
    assert said.out == (
        f"DRAINING, by {ME} (move): 1 jobs are left (1 at CEs); 2 that were never sent wait for `act drain --end`\n"
    )
    assert "The tower is being drained, by" in act("explain", "a").out
    tables.job("b", state="done")
    status = act("status")
    assert "DRAINED" in status.out
    told = act("status", "--json").json["wanted"]["draining"]
    assert (told["jobs"], told["kept"], told["empty"]) == (0, 2, True)
    assert act("drain", "--end").out == "new jobs are taken and sent again\n"
    assert act("drain", "--end", "--json").json == {"draining": None, "ended": False}
    assert act("status", "--json").json["wanted"]["draining"] is None


def test_a_queue_is_stopped_whatever_cric_says(atlas: Act) -> None:
    read(queue("A"), queue("B"))
    assert atlas("queues", "stop", "A", "--reason", "x").out == f"A: stop, by {ME} (x)\n"
    read(queue("A"), queue("B"))
    rows = {row["name"]: row for row in atlas("queues", "list", "--json").json}
    assert {name: (row["operator_mode"], row["asks"]) for name, row in rows.items()} == {
        "A": ("stop", 0),
        "B": ("on", 20),
    }
    assert f"PanDA queue A is in mode stop, by {ME}: x." in atlas("explain", "A").out
    assert atlas("queues", "stop", "AA").err == "no PanDA queue 'AA'; the nearest: A\n"
    assert "no such PanDA server" in atlas("queues", "on", "A", "--server", "x").err
    assert [row["mode"] for row in atlas("queues", "on", "all", "--json").json] == ["on", "on"]


def test_deeds_are_written_down(act: Act, tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "alice")
    act("ces", "stop", "here", "--reason", "x")
    act("shares", "rest", "prod")
    act("jobs", "cancel", "a")
    act("jobs", "cancel", "--state", "tosubmit")  # nobody is there to be asked
    lines = act("audit", "--json").json
    assert [(line["deed"], line["subject"], line["done"]) for line in lines] == [
        ("jobs.cancel", "jobs", False),
        ("jobs.cancel", "a", True),
        ("shares.rest", "prod", True),
        ("ces.stop", "here", True),
    ]
    assert {(line["who"], line["role"]) for line in lines} == {(f"{ME} (alice by sudo)", "admin")}
    assert all(line["via"].startswith("cli ") for line in lines)
    assert [line["deed"] for line in act("audit", "--json", "--deed", "ces", "--since", "1h").json] == ["ces.stop"]
    assert "jobs.cancel (refused)" in act("audit").out
    assert act("audit", "--who", "nobody").out == "nobody did anything that is written down\n"


@pytest.mark.parametrize("words", ["ces add here.example:9619 --no-test", "ces remove gone", "credentials rotate-key"])
def test_other_deeds_too(act: Act, words: str, until: Callable[[str], None]) -> None:
    until(words)
    assert act(*words.split()).code == 0
    assert act("audit", "--json").json[0]["deed"] == ".".join(words.split()[:2])


@pytest.fixture
def until(act: Act) -> Callable[[str], None]:
    """What has to be there first."""

    def made(words: str) -> None:
        if words == "ces remove gone":
            act("ces", "add", "gone.example:9619", "--name", "gone", "--no-test")

    return made
