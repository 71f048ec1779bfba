"""A CE that was added by hand: it can be opened, nobody takes it out, and it is nobody else's."""

from datetime import UTC, datetime
from typing import Any

import pytest

from act_core.db import ces
from act_core.db.by_hand import LONGEST_NAME, add_by_hand, also_known, remove
from act_core.db.ces import HAND
from act_core.db.models import Ce
from act_core.db.places import place_of
from act_core.db.session import Database
from act_core.errors import BadInput
from act_core.runtime import Runtime
from act_core.settings.model import Settings, Site
from tests.db.conftest import Rows

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
URL = "https://ce7.example.org/arex"
SITE = Site(endpoint=URL, kind="arc-rest", options={"queue": "grid"})


def _row(db: Database, name: str) -> Ce:
    return next(row for row in db.read(ces.all_ces) if row.name == name)


async def test_it_is_opened_with_its_options(db: Database, db_settings: Settings) -> None:
    assert db.write(add_by_hand, "ce7", SITE, NOW) == "added"
    async with Runtime.open(db_settings) as rt:
        site = await rt.site("ce7")
    assert (site.endpoint, site.kind, site.options) == (URL, "arc-rest", {"queue": "grid"})


def test_the_same_again_changes_nothing_and_more_changes_that(db: Database) -> None:
    db.write(add_by_hand, "ce7", SITE, NOW)
    assert db.write(add_by_hand, "ce7", SITE, NOW) == "there already"
    assert db.write(add_by_hand, "ce7", Site(endpoint=f"{URL}/", kind="arc-rest"), NOW) == "there already"
    more = Site(endpoint=URL, kind="arc-rest", maxjobs=7)
    assert db.write(add_by_hand, "ce7", more, NOW).startswith("changed")
    row = _row(db, "ce7")
    assert (row.maxjobs, row.options, row.origin) == (7, {"queue": "grid"}, HAND)


def test_what_the_configuration_says_does_not_touch_it(db: Database) -> None:
    db.write(add_by_hand, "ce7", SITE, NOW)
    db.write(ces.sync_ces, {"a": Site(kind="local")}, ces.CONFIG, NOW)
    db.write(ces.sync_ces, {}, ces.CONFIG, NOW)
    assert (_row(db, "ce7").mode, _row(db, "a").mode) == ("on", "drain")


def test_the_name_of_another_ce_is_refused(db: Database) -> None:
    db.write(ces.enter_ces, {"ce7": Site(endpoint="https://old/arex")}, ces.CONFIG, NOW)
    with pytest.raises(BadInput, match="ce7 is https://old/arex"):
        db.write(add_by_hand, "ce7", SITE, NOW)
    db.write(ces.enter_ces, {"ce8": Site(endpoint=URL)}, ces.CONFIG, NOW)
    told = db.write(add_by_hand, "ce8", SITE, NOW)
    assert told == "there already, named by config: nothing is changed"
    assert _row(db, "ce8").options is None


@pytest.mark.parametrize("name", ["", "x" * (LONGEST_NAME + 1)])
def test_a_name_that_no_column_takes_is_refused(db: Database, name: str) -> None:
    with pytest.raises(BadInput, match="choose one with --name"):
        db.write(add_by_hand, name, SITE, NOW)


@pytest.mark.parametrize(
    ("kind", "spellings"),
    [
        pytest.param(
            "arc-rest",
            ("https://ce7/arex", "https://CE7:443/arex/", "https://ce7", "https://ce7./arex"),
            id="port, case, slash and path",
        ),
        pytest.param("htcondor", ("ce7:9619", "CE7", "ce7.:9619"), id="HTCondor"),
    ],
)
def test_an_address_has_many_spellings(kind: str, spellings: tuple[str, ...]) -> None:
    assert len({place_of(one, kind) for one in spellings}) == 1


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        pytest.param("arc-rest", "https://ce7/arex", "https://ce7:8443/arex", id="another port"),
        pytest.param("arc-rest", "https://ce7/arex", "https://ce7/Arex", id="another path"),
        pytest.param("local", "A", "a", id="no address"),
    ],
)
def test_what_is_another_address(kind: str, one: str, other: str) -> None:
    assert place_of(one, kind) != place_of(other, kind)


def test_an_address_that_has_a_name_already(db: Database) -> None:
    db.write(ces.enter_ces, {"old": Site(endpoint="https://CE7.example.org:443/arex/")}, ces.CONFIG, NOW)
    db.write(ces.enter_ces, {"here": Site(kind="local"), "odd": Site(endpoint="https://x:y/arex")}, ces.CONFIG, NOW)
    assert db.read(also_known, "new", SITE) == ["old"]
    assert db.read(also_known, "old", SITE) == []
    assert db.read(also_known, "new", Site(kind="local")) == []
    db.write(add_by_hand, "new", SITE, NOW)
    assert db.read(also_known, "new", SITE) == []


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"state": "running", "ce": "ce7"}, "has 1 jobs of ours"),
        ({"state": "submitting", "ce": "ce7"}, "has 1 jobs of ours"),
        ({"state": "donefailed", "ce": "ce7", "remote_id": "x"}, "has 1 jobs of ours"),
        ({"state": "tosubmit"}, "1 jobs wait for ce7"),
        ({"state": "done", "ce": "ce7", "remote_id": "x", "ce_clean_at": NOW}, None),
        ({"state": "donefailed", "ce": "ce7"}, None),
        ({"state": "running", "ce": "other"}, None),
    ],
)
def test_it_is_forgotten_when_nothing_of_ours_is_left(rows: Rows, columns: dict[str, Any], words: str | None) -> None:
    rows.db.write(add_by_hand, "ce7", SITE, NOW)
    rows.add("a", ces=("ce7", "other"))
    rows.put("a", **columns)
    if words is None:
        rows.db.write(remove, "ce7", False)
        assert rows.db.read(ces.all_ces) == []
        return
    with pytest.raises(BadInput, match=words):
        rows.db.write(remove, "ce7", False)
    assert _row(rows.db, "ce7").origin == HAND


def test_what_is_still_named_is_not_forgotten(db: Database) -> None:
    db.write(ces.enter_ces, {"ce7": SITE}, "cric", NOW)
    for configured, words in ((True, "named by the configuration"), (False, "named by cric")):
        with pytest.raises(BadInput, match=words):
            db.write(remove, "ce7", configured)
    db.write(ces.sync_ces, {}, "cric", NOW)
    db.write(remove, "ce7", False)
    assert db.read(ces.all_ces) == []
