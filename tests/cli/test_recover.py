"""`act recover`, `act bootstrap` over lost tables, and what stands in the audit."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Act


def lost(bare: Act, place: Path) -> str:
    """A tower has lived here, and its database has gone; returns its id."""
    tower = str(bare("bootstrap", "--json").json["tower"])
    (place / "state" / "generation.json").write_text(json.dumps({"tower": tower, "generation": 3}))
    for file in (place / "state").glob("act.sqlite*"):
        file.unlink()
    return tower


def test_new_tables_belong_to_the_tower_that_lived_here(bare: Act, place: Path) -> None:
    tower = lost(bare, place)
    said = bare("bootstrap", "--json").json
    assert (said["tower"], said["recovery"]) == (tower, True)
    assert "RECOVERY" in bare("doctor").out
    assert any("finds its jobs again" in one["why"] for one in bare("status", "--json").json["own"])


def test_a_generation_that_nobody_can_read_is_named(bare: Act, place: Path) -> None:
    lost(bare, place)
    (place / "state" / "generation.json").write_text('{"tower": "../x"}')
    said = bare("bootstrap")
    assert said.code == 2
    assert "generation.json" in said.err


def test_a_dry_run_changes_nothing(bare: Act, place: Path) -> None:
    bare("bootstrap")
    said = bare("recover", "--dry-run", "--json")
    assert said.code == 0
    assert [one["ce"] for one in said.json["ces"]] == ["here", "there"]
    assert bare("audit", "--json").json == []


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--without", "nowhere"), "nowhere"),
        (("--without", "here"), "no recovery is under way"),
        (("--without", "here", "--dry-run"), "--dry-run"),
    ],
)
def test_what_makes_no_sense_is_refused(bare: Act, place: Path, words: tuple[str, ...], complaint: str) -> None:
    bare("bootstrap")
    said = bare("recover", *words)
    assert said.code == 2
    assert complaint in said.err


def test_what_operators_do_is_audited(bare: Act, place: Path) -> None:
    lost(bare, place)
    bare("bootstrap")
    assert bare("recover", "--without", "there", "--reason", "burnt").code == 0
    said = bare("recover", "--json")
    assert (said.code, said.json) == (0, {"recovery": None})
    deeds = [(line["deed"], line["subject"]) for line in bare("audit", "--json").json]
    assert sorted(deeds) == [("recover.begin", "tower"), ("recover.without", "there")]
