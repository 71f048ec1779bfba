"""What operators want of the tower, of queues and of shares: one row each, one line in the ledger for each change."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from act_core.db import ledger, operator_modes
from act_core.db.modes import Mode, Wanted
from act_core.db.operator_modes import Kind, Word
from act_core.db.policy_models import LedgerLine
from act_core.db.session import Database
from act_core.errors import BadInput
from tests.db.conftest import BEGINNING as NOW

HOUR = timedelta(hours=1)
BY_ALICE = Wanted(Mode.STOP, "alice", "a bad release")
SERVER = "panda.example.org"


def _put(db: Database, kind: Kind, name: str, wanted: Wanted = BY_ALICE, server: str = "") -> bool:
    return db.write(operator_modes.put, kind, name, wanted, NOW, server)


def _lines(db: Database) -> list[tuple[str, str, str]]:
    def read(session: Session) -> list[tuple[str, str, str]]:
        columns = (LedgerLine.topic, LedgerLine.share, LedgerLine.code)
        return [tuple(row) for row in session.execute(select(*columns).order_by(LedgerLine.id))]

    return db.read(read)


def test_all_that_holds_is_one_statement(db: Database, statements: Callable[[], list[Any]]) -> None:
    assert _put(db, Kind.SHARE, "prod")
    assert _put(db, Kind.QUEUE, "Q", Wanted(Mode.OFFLINE, "bob"), SERVER)
    assert _put(db, Kind.TOWER, "", Wanted(Mode.DRAIN, "bob"))
    statements()
    words = db.read(operator_modes.standing, NOW)
    assert len([one for one, _ in statements() if one.startswith("SELECT")]) == 1
    assert words.shares == {"prod": Word(Kind.SHARE, "prod", Mode.STOP, "alice", "a bad release", NOW, None)}
    assert words.queues[SERVER, "Q"].mode is Mode.OFFLINE
    assert words.tower is not None
    assert db.read(operator_modes.of_submission, NOW) == operator_modes.Words(words.tower, words.shares)
    assert db.read(operator_modes.offline, SERVER, NOW) == ["Q"]
    assert db.read(operator_modes.offline, "another", NOW) == []


def test_of_a_queue_its_own_word_is_told_before_the_towers(db: Database) -> None:
    assert db.read(operator_modes.of_queue, SERVER, "Q", NOW) is None
    _put(db, Kind.QUEUE, "Q", BY_ALICE, "another")
    assert db.read(operator_modes.of_queue, SERVER, "Q", NOW) is None
    _put(db, Kind.TOWER, "", Wanted(Mode.DRAIN, "bob"))
    assert (word := db.read(operator_modes.of_queue, SERVER, "Q", NOW)) is not None
    assert word.kind is Kind.TOWER
    _put(db, Kind.QUEUE, "Q", BY_ALICE, SERVER)
    assert (word := db.read(operator_modes.of_queue, SERVER, "Q", NOW)) is not None
    assert (word.kind, word.owner) == (Kind.QUEUE, "alice")


def test_on_ends_it_and_what_changes_is_told(db: Database) -> None:
    assert not _put(db, Kind.SHARE, "prod", Wanted(Mode.ON, "alice"))
    assert _put(db, Kind.SHARE, "prod")
    assert not _put(db, Kind.SHARE, "prod")
    assert _put(db, Kind.SHARE, "prod", Wanted(Mode.STOP, "alice", "another reason"))
    assert _put(db, Kind.SHARE, "prod", Wanted(Mode.ON, "alice"))
    assert db.read(operator_modes.standing, NOW) == operator_modes.Words()
    held, over = ("share", "prod", "share-mode"), ("share", "prod", "")
    assert _lines(db) == [held, over, held, over]
    assert db.read(ledger.standing) == []


def test_a_word_ends_by_itself_at_once_for_who_reads_and_then_in_the_table(db: Database) -> None:
    _put(db, Kind.SHARE, "prod", Wanted(Mode.REST, "alice", "", NOW + HOUR))
    assert db.read(operator_modes.of_submission, NOW + HOUR).shares == {}
    assert not db.read(operator_modes.any_over, NOW)
    assert db.write(operator_modes.end_over, NOW) == []
    assert db.read(operator_modes.any_over, NOW + HOUR)
    assert [one.name for one in db.write(operator_modes.end_over, NOW + HOUR)] == ["prod"]
    assert not db.read(operator_modes.any_over, NOW + HOUR)
    assert [code for _, _, code in _lines(db)] == ["share-mode", ""]


def test_what_is_emptied_is_stopped_unless_somebody_decided_otherwise(db: Database) -> None:
    _put(db, Kind.SHARE, "prod", Wanted(Mode.DRAIN, "alice", "move", NOW + HOUR))
    (word,) = db.read(operator_modes.draining, NOW, Kind.SHARE)
    assert db.write(operator_modes.emptied, word, NOW)
    held = db.read(operator_modes.standing, NOW).shares["prod"]
    assert (held.mode, held.reason, held.until) == (Mode.STOP, "emptied; move", NOW + HOUR)
    assert not db.write(operator_modes.emptied, word, NOW)


@pytest.mark.parametrize(
    ("kind", "mode", "instead"),
    [
        pytest.param(Kind.SHARE, Mode.OFFLINE, "act jobs cancel --share prod", id="a share has no place"),
        pytest.param(Kind.SHARE, Mode.ABANDONED, "only a CE can be abandoned", id="a share is not abandoned"),
        pytest.param(Kind.QUEUE, Mode.ABANDONED, "`act queues offline prod`", id="a queue is not abandoned"),
        pytest.param(Kind.TOWER, Mode.REST, "it has: on, drain", id="a tower drains"),
    ],
)
def test_what_a_kind_cannot_be_is_refused_with_what_to_do(db: Database, kind: Kind, mode: Mode, instead: str) -> None:
    with pytest.raises(BadInput, match=f"a {kind} cannot be {mode}") as refused:
        _put(db, kind, "prod", Wanted(mode, "alice"))
    assert instead in str(refused.value)
    assert _lines(db) == []
