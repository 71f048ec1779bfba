"""The state tables are made, upgraded and never dropped; the tower keeps its name."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from act_core.db import ces
from act_core.db.bootstrap import (
    bootstrap,
    mark_restored,
    newest,
    open_tables,
    remember_generation,
    schema_of,
    start_generation,
    tower_id,
)
from act_core.db.models import Base
from act_core.db.session import Database
from act_core.errors import ConfigError
from act_core.ids import TowerId
from act_core.runtime import Runtime
from act_core.settings.model import Settings

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def empty(empty_settings: Settings) -> Iterator[Database]:
    opened = Database(empty_settings)
    yield opened
    opened.close()


def test_made_and_repeated(empty: Database) -> None:
    first = bootstrap(empty, NOW)
    assert (first.before, first.now) == (None, newest())
    second = bootstrap(empty, NOW)
    assert (second.before, second.now, second.tower) == (newest(), newest(), first.tower)
    assert empty.read(tower_id) == first.tower
    assert len(first.tower) == 8


def test_before_the_first_bootstrap(empty: Database) -> None:
    with pytest.raises(ConfigError, match="act bootstrap"):
        empty.read(tower_id)


def _say(db: Database, schema: str) -> None:
    with db.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :schema"), {"schema": schema})


@pytest.fixture
def of_schema(db: Database) -> Iterator[Callable[[str], Database]]:
    """The tables, saying that they are of another schema."""

    def said(schema: str) -> Database:
        _say(db, schema)
        return db

    yield said
    _say(db, newest())


def test_a_newer_schema_is_left_alone(of_schema: Callable[[str], Database]) -> None:
    db = of_schema("9999")
    with pytest.raises(ConfigError, match="'9999', newer than this program: upgrade the program"):
        bootstrap(db, NOW)
    with db.engine.connect() as connection:
        assert schema_of(connection) == "9999"


@pytest.mark.parametrize(
    ("schema", "remedy"),
    [
        pytest.param("9999", "newer than this program: upgrade the program", id="newer"),
        pytest.param("0001", "older than this program: run `act bootstrap`", id="older"),
    ],
)
def test_tables_of_another_program_are_not_opened(
    of_schema: Callable[[str], Database], db_settings: Settings, schema: str, remedy: str
) -> None:
    shared = of_schema(schema)
    for opened in (open_tables, Runtime.open, partial(Runtime.open, shared=shared)):
        with pytest.raises(ConfigError, match=remedy):
            opened(db_settings)
    assert shared.read(ces.all_ces) == []


def test_tables_that_are_not_there_are_not_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"act\.sqlite: no state tables; run `act bootstrap`"):
        open_tables(Settings(state_dir=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_tables_before_the_first_bootstrap(empty: Database, empty_settings: Settings) -> None:
    empty.clock()
    with pytest.raises(ConfigError, match="no state tables; run `act bootstrap`"):
        open_tables(empty_settings)


def test_migrations_make_what_the_models_say(db: Database) -> None:
    with db.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_each_start_is_a_new_generation(db: Database) -> None:
    first = db.write(start_generation)
    assert db.write(start_generation) == first + 1


def test_a_restored_database_shows(tmp_path: Path) -> None:
    tower = TowerId("tower001")
    assert remember_generation(tmp_path, tower, 4) is None
    assert remember_generation(tmp_path, tower, 5) == 4
    assert remember_generation(tmp_path, tower, 2) == 5  # less than before: an older copy of the database
    assert json.loads((tmp_path / "generation.json").read_text()) == {"tower": "tower001", "generation": 2}


def test_the_directory_of_another_tower_is_left_alone(empty: Database, tmp_path: Path) -> None:
    """Neither its file nor the tables change, whoever asks."""
    tower = bootstrap(empty, NOW, tmp_path).tower
    written = json.dumps({"tower": "another1", "generation": 9})
    (tmp_path / "generation.json").write_text(written)
    _say(empty, "0001")  # an older schema: it stays so
    both = rf"generation\.json is of tower another1, and the database of tower {tower}: .*ACT_STATE_DIR.* remove that"
    try:
        with pytest.raises(ConfigError, match=both):
            bootstrap(empty, NOW, tmp_path)
        with empty.engine.connect() as connection:
            assert schema_of(connection) == "0001"
    finally:
        _say(empty, newest())
    for do in (partial(remember_generation, tmp_path, tower, 3), partial(mark_restored, tmp_path, tower)):
        with pytest.raises(ConfigError, match=both):
            do()
    assert (tmp_path / "generation.json").read_text() == written
    (tmp_path / "generation.json").unlink()
    assert bootstrap(empty, NOW, tmp_path).tower == tower
