"""`act queues`, and what `act status` says of them."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from act_core.atlas.cric import parse_queues
from act_core.atlas.instance import server_key
from act_core.atlas.refresh import Owner, named, write_queues
from act_core.db.session import Database
from act_core.processes import process_start, up_file
from act_core.settings import load_settings
from act_core.simulators.cric_queues import CeDescription, QueueDescription, entry_of
from tests.cli.conftest import Act

ARC = CeDescription(name="arc01", endpoint="https://arc01.test.example:443/arex")


def queue(name: str, **fields: object) -> dict[str, object]:
    return {name: entry_of(QueueDescription(name=name, ces=(ARC,), fields=fields))}


def read(*entries: dict[str, object]) -> None:
    """CRIC's entries come into the tables, and its copy into the state directory."""
    feed = {name: entry for one in entries for name, entry in one.items()}
    held = load_settings().settings
    (held.state_dir / "cric.json").write_text(json.dumps(feed))
    db = Database(held)
    parsed = parse_queues(feed, named(held), {}, {})
    db.write(write_queues, Owner(server_key(held), "cric"), parsed, {}, datetime.now(UTC))
    db.close()


@pytest.fixture
def atlas(act: Act, place: Path) -> Act:
    (place / "aCTConfigAPP.yaml").write_text("modules: {app: [atlas]}\n")
    return act


def test_a_tower_that_was_told_of_no_queue_says_so(atlas: Act) -> None:
    assert "no PanDA queue is served: none is known" in atlas("queues", "list").out
    assert atlas("queues", "list", "--json").json == []
    told = atlas("status", "--json").json["queues"]
    assert (told["total"], told["served"]) == (0, 0)


def test_a_tower_without_panda_says_nothing_of_queues(act: Act) -> None:
    assert act("status", "--json").json["queues"] is None
    assert "PanDA" not in act("status").out


def test_none_has_our_manager(atlas: Act) -> None:
    read(queue("A", pilot_manager="Harvester"), queue("B", pilot_manager="Harvester"))
    for words in (("status",), ("queues", "list")):
        said = atlas(*words).out
        assert "no PanDA queue is served: none of 2 has pilot_manager aCT." in said
        assert "panda.sites" in said
    listed = atlas("queues", "list", "--all", "--json").json
    assert {one["why"] for one in listed} == {"pilot_manager is 'Harvester', not 'aCT'"}


def test_what_could_be_taken_is_listed(atlas: Act) -> None:
    read(queue("A"), queue("B", status="offline"), queue("C", harvester="another"))
    rows = {row["name"]: row for row in atlas("queues", "list", "--json").json}
    assert {name: (row["status"], row["asks"]) for name, row in rows.items()} == {
        "A": ("online", 20),
        "B": ("offline", 0),
    }
    assert "2 of 3 PanDA queues are served" in atlas("status").out
    shown = atlas("queues", "list", "--all")
    assert any(line.startswith("C online on unified") and "harvester is 'another'" in line for line in shown.lines)


def test_of_several_servers_each_queue_names_its_own(atlas: Act, place: Path) -> None:
    read(queue("A"))
    assert atlas("queues", "list").lines[0].startswith("queue status ")
    config = place / "aCTConfigAPP.yaml"
    config.write_text(config.read_text() + "instances: {doma: {panda: {server: 'https://doma.example.org'}}}\n")
    said = atlas("queues", "list").lines
    assert said[0].startswith("queue server status ")
    assert said[1].startswith("A pandaserver.cern.ch:25443 online ")


def test_one_is_shown(atlas: Act) -> None:
    read(queue("A", status="brokeroff"))
    (said,) = atlas("queues", "show", "A", "--json").json
    assert (said["mode"], said["label"], said["ces"]) == ("native", "unified", ["arc01.test.example/atlas"])
    assert (said["means"].startswith("PanDA assigns nothing new"), said["example"]) == (True, None)
    assert "sites TEST-SITE, TEST-T2" in atlas("queues", "show", "A").lines
    assert "served yes" in atlas("queues", "show", "A").lines
    missing = atlas("queues", "show", "nope")
    assert (missing.code, "act queues list --all" in missing.err) == (2, True)


def test_bad_entries_are_named(atlas: Act) -> None:
    assert atlas("queues", "check").code == 1
    read(queue("A"), {"BAD": {"corecount": "many"}})
    said = atlas("queues", "check")
    assert said.code == 1
    assert said.lines == ["1 queues can be read, 1 cannot", "queue 'BAD': corecount: 'many' is no number"]
    assert atlas("queues", "check", "--json").json["read"] == 1
    read(queue("A"))
    assert atlas("queues", "check").code == 0


def test_observing_is_said(atlas: Act, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not atlas("status", "--json").json["observing"]
    assert "OBSERVING" not in atlas("status").out
    monkeypatch.setenv("ACT_TOWER__OBSERVE", "true")
    assert atlas("status", "--json").json["observing"]
    assert "OBSERVING: nothing is taken" in atlas("status").out
    swept = atlas("sweep", "fetch-jobs")
    assert (swept.code, "OBSERVING" in swept.err) == (0, True)


def test_beside_a_tower_that_observes_a_sweep_only_observes(atlas: Act, place: Path) -> None:
    here = os.getpid()
    said = {"pid": here, "start": process_start(here), "phase": "up", "prefect": "http://127.0.0.1:1", "children": {}}
    up_file(place / "state").write_text(json.dumps(said | {"observing": True}))
    assert "OBSERVING" in atlas("sweep", "fetch-jobs").err
    assert "OBSERVING" in atlas("status").out
    up_file(place / "state").write_text(json.dumps(said))
    assert "OBSERVING" not in atlas("sweep", "fetch-jobs").err
