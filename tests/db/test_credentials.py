"""What the tables know of credentials: one row a file, one id an identity, and never the secret."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from act_core.db import credentials
from act_core.db.credentials import PROXY, WIDTH, Found
from act_core.db.policy_models import CredentialRow
from act_core.db.session import Database
from tests.db.conftest import BEGINNING as NOW

HOUR = timedelta(hours=1)
ALICE = Found(PROXY, "/p", "/CN=alice", NOW + HOUR, ("/atlas", "/atlas/de"), "auto")
BOB = replace(ALICE, subject="/CN=bob")


def _row(db: Database, path: str = "/p") -> CredentialRow:
    found = db.read(credentials.row, Path(path))
    assert found is not None
    return found


def test_a_renewal_keeps_the_identity(db: Database) -> None:
    first = db.write(credentials.remember, ALICE, NOW)
    assert (_row(db).roles, _row(db).renewer, _row(db).renewed_at) == ("/atlas /atlas/de", "auto", None)
    later = replace(ALICE, expires=NOW + 9 * HOUR)
    assert db.write(credentials.remember, later, NOW + HOUR, renewed=True) == first
    assert (_row(db).expires, _row(db).renewed_at) == (NOW + 9 * HOUR, NOW + HOUR)


def test_a_renewal_by_somebody_else_shows_in_the_end(db: Database) -> None:
    db.write(credentials.remember, ALICE, NOW)
    db.write(credentials.remember, ALICE, NOW + HOUR)
    assert _row(db).renewed_at is None
    db.write(credentials.remember, replace(ALICE, expires=NOW + 2 * HOUR), NOW + 2 * HOUR)
    assert _row(db).renewed_at == NOW + 2 * HOUR


def test_who_renews_it_stays_when_nobody_says(db: Database) -> None:
    db.write(credentials.remember, ALICE, NOW)
    db.write(credentials.remember, replace(ALICE, renewer=None), NOW)
    assert _row(db).renewer == "auto"
    db.write(credentials.remember, replace(ALICE, renewer=""), NOW)
    assert _row(db).renewer == ""


def test_the_same_subject_in_another_file_is_the_same_identity(db: Database) -> None:
    first = db.write(credentials.remember, ALICE, NOW)
    assert db.write(credentials.remember, replace(ALICE, path="/other"), NOW) == first
    assert db.write(credentials.remember, replace(BOB, path="/third"), NOW) != first


def test_a_file_that_becomes_somebody_elses(db: Database) -> None:
    alice = db.write(credentials.remember, ALICE, NOW)
    bob = db.write(credentials.remember, BOB, NOW)
    assert bob != alice
    assert _row(db).subject == "/CN=bob"
    assert _row(db, f"/p#{alice}").subject == "/CN=alice"
    for _ in range(2):
        assert db.write(credentials.remember, ALICE, NOW) == alice
        assert db.write(credentials.remember, BOB, NOW) == bob


def test_an_unchanged_one_is_not_written(db: Database) -> None:
    db.write(credentials.remember, ALICE, NOW)
    db.write(credentials.remember, ALICE, NOW + HOUR)
    assert _row(db).modified == NOW


def test_trouble_comes_and_goes(db: Database) -> None:
    db.write(credentials.complain, PROXY, Path("/p"), "not there", "auto", NOW)
    row = _row(db)
    assert (row.subject, row.trouble, row.renewer) == ("", "not there", "auto")
    assert db.write(credentials.remember, ALICE, NOW) == row.id
    assert _row(db).trouble is None
    db.write(credentials.complain, PROXY, Path("/p"), "x" * 5000, "auto", NOW + HOUR)
    assert (_row(db).subject, len(str(_row(db).trouble))) == ("/CN=alice", 1024)


@pytest.mark.parametrize("n", [20, 200])
def test_long_things_fit(db: Database, n: int) -> None:
    roles = tuple(f"/atlas/group-{number}/Role=production" for number in range(n))
    db.write(credentials.remember, Found(PROXY, "/p", "/CN=" + "ä" * 600, NOW, roles), NOW)
    row = _row(db)
    assert len(row.subject) == WIDTH
    assert set(row.roles.split()) < {*roles, "x"}
    db.write(credentials.remember, Found(PROXY, "/p", "/CN=" + "ä" * 600, NOW, roles), NOW)
    assert [one.id for one in db.read(credentials.known)] == [row.id]


def test_what_ends_first_comes_first(db: Database) -> None:
    for hours, path in ((5, "/b"), (1, "/c"), (9, "/a")):
        db.write(credentials.remember, replace(ALICE, path=path, expires=NOW + hours * HOUR), NOW)
    assert [row.path for row in db.read(credentials.known)] == ["/c", "/b", "/a"]
