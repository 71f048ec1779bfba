"""The table of CEs follows what names them; only who speaks for the whole tower takes a CE out of service."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import update

from act_core.db import ces
from act_core.db.models import Ce
from act_core.db.session import Database
from act_core.settings.model import Site

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
A, B = Site(kind="local", maxjobs=1), Site(kind="local", maxjobs=2)


def _modes(db: Database) -> dict[str, str]:
    return {row.name: row.mode for row in db.read(ces.all_ces)}


def _sync(db: Database, sites: dict[str, Site], origin: str = ces.CONFIG) -> None:
    db.write(ces.sync_ces, sites, origin, NOW)


def _put(db: Database, name: str, **columns: Any) -> None:
    db.write(lambda session: session.execute(update(Ce).where(Ce.name == name).values(**columns)) and None)


def test_entering_leaves_known_ces_as_they_are(db: Database) -> None:
    _sync(db, {"a": A})
    stray = {"a": Site(kind="other", maxjobs=7, status="offline"), "b": B}
    db.write(ces.enter_ces, stray, ces.CONFIG, NOW)
    assert [(row.name, row.kind, row.maxjobs, row.mode) for row in db.read(ces.all_ces)] == [
        ("a", "local", 1, "on"),
        ("b", "local", 2, "on"),
    ]
    db.write(ces.enter_ces, {}, ces.CONFIG, NOW)
    assert _modes(db) == {"a": "on", "b": "on"}


def test_syncing_takes_over_what_changed(db: Database) -> None:
    _sync(db, {"a": A})
    _sync(db, {"a": Site(kind="local", maxjobs=9, status="offline")})
    (row,) = db.read(ces.all_ces)
    assert (row.maxjobs, row.mode) == (9, "stop")


def test_what_is_no_longer_named_drains_and_comes_back(db: Database) -> None:
    _sync(db, {"a": A, "b": B})
    _sync(db, {"b": B})
    drained, _ = db.read(ces.all_ces)
    assert (drained.mode, drained.mode_owner, drained.mode_reason) == ("drain", "config", "no longer named by config")
    _sync(db, {"a": A, "b": B})
    back, _ = db.read(ces.all_ces)
    assert (back.mode, back.mode_reason) == ("on", None)


def test_what_somebody_decided_for_a_ce_stays(db: Database) -> None:
    _sync(db, {"a": A})
    _put(db, "a", mode="stop", mode_owner="operator", mode_reason="broken disk")
    _sync(db, {})
    _sync(db, {"a": A})
    (row,) = db.read(ces.all_ces)
    assert (row.mode, row.mode_owner, row.mode_reason) == ("stop", "operator", "broken disk")


def test_one_origin_does_not_drain_what_another_names(db: Database) -> None:
    _sync(db, {"a": A})
    _sync(db, {"b": B}, "cric")
    _sync(db, {}, "cric")
    assert _modes(db) == {"a": "on", "b": "drain"}


def test_a_ce_that_one_origin_drained_comes_back_when_another_names_it(db: Database) -> None:
    _sync(db, {"a": A}, "cric")
    _sync(db, {}, "cric")
    _sync(db, {"a": A})
    (row,) = db.read(ces.all_ces)
    assert (row.mode, row.origin, row.mode_owner) == ("on", "config", "config")


@pytest.mark.parametrize("database", ["mysql"], indirect=True)  # SQLite's writers come one after the other
def test_two_processes_enter_the_same_ce_at_once(db: Database) -> None:
    together = threading.Barrier(4)

    def enter(_: int) -> None:
        together.wait(timeout=20)
        db.write(ces.enter_ces, {"a": A, "b": B}, ces.CONFIG, NOW)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(enter, range(4)))
    assert _modes(db) == {"a": "on", "b": "on"}


def test_what_an_operator_took_in_only_the_configuration_takes_over(db: Database) -> None:
    db.write(ces.enter_ces, {"a": A}, ces.HAND, NOW)
    _sync(db, {"a": Site(kind="other", endpoint="elsewhere")}, "cric")
    _sync(db, {}, "cric")
    assert [(row.origin, row.kind, row.maxjobs, row.mode) for row in db.read(ces.all_ces)] == [
        ("hand", "local", 1, "on")
    ]
    _sync(db, {"a": B})
    assert [(row.origin, row.maxjobs) for row in db.read(ces.all_ces)] == [("config", 2)]
