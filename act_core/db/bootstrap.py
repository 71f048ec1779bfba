"""Create or upgrade the state tables, and give the tower its id. Drops nothing; can be repeated."""

import json
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from act_core.db.attempts import new_tower_id
from act_core.db.models import Tower
from act_core.db.session import Database
from act_core.db.verdicts import FOREIGN, translated
from act_core.errors import ConfigError
from act_core.ids import TowerId
from act_core.settings.model import Settings

NO_TABLES = "no state tables; run `act bootstrap`"


@dataclass(frozen=True, slots=True)
class Bootstrapped:
    tower: TowerId
    before: str | None  # the schema that was found; None: an empty database
    now: str


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def schema_of(connection: Connection) -> str | None:
    """The schema revision that a database has."""
    return MigrationContext.configure(connection).get_current_revision()


@cache
def _known() -> tuple[str, ...]:
    """Every schema that this program knows, the newest first."""
    return tuple(script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


def newest() -> str:
    return _known()[0]


def check_schema(session: Session) -> None:
    """Raises ConfigError unless the tables are those of this program."""
    found = schema_of(session.connection())
    if found is None:
        raise ConfigError(NO_TABLES)
    _not_newer(found)
    if found != newest():
        raise ConfigError(f"the database has schema {found!r}, older than this program: run `act bootstrap`")


def _not_newer(schema: str) -> None:
    if schema not in _known():
        raise ConfigError(f"the database has schema {schema!r}, newer than this program: upgrade the program first")


def open_tables(settings: Settings) -> Database:
    """The state tables. Raises ConfigError if there are none, or not those of this program; makes no file."""
    if settings.arc.db.type == "sqlite" and not settings.sqlite_file.exists():
        raise ConfigError(f"{settings.sqlite_file}: {NO_TABLES}")
    db = Database(settings)
    try:
        db.read(check_schema)
    except BaseException:
        db.close()
        raise
    return db


def bootstrap(db: Database, now: datetime) -> Bootstrapped:
    """Bring the tables to this version's schema. Raises ConfigError if the database is newer than this program."""
    try:
        before = _upgraded(db)
    except FOREIGN as err:
        raise translated(err) from err
    return Bootstrapped(db.write(_tower, now), before, newest())


def _upgraded(db: Database) -> str | None:
    """The schema that was found; the newest is there now."""
    with db.engine.connect() as connection:
        before = schema_of(connection)
    if before is not None:
        _not_newer(before)
    config = _config()
    with db.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return before


def _tower(session: Session, now: datetime) -> TowerId:
    question = select(Tower.tower_id).where(Tower.id == 1)
    if found := session.execute(question).scalar():
        return TowerId(found)
    try:
        with session.begin_nested():
            session.execute(insert(Tower).values(id=1, tower_id=new_tower_id(), generation=0, made=now))
    except IntegrityError:  # two bootstraps at once: the first one named it
        pass
    return TowerId(session.execute(question).scalar_one())


def tower_id(session: Session) -> TowerId:
    """Who we are. Raises ConfigError before the first bootstrap."""
    found = session.execute(select(Tower.tower_id).where(Tower.id == 1)).scalar()
    if found is None:
        raise ConfigError("the state tables are empty; run `act bootstrap`")
    return TowerId(found)


def start_generation(session: Session) -> int:
    """Count a start of the tower; returns the new generation."""
    session.execute(update(Tower).where(Tower.id == 1).values(generation=Tower.generation + 1))
    return session.execute(select(Tower.generation).where(Tower.id == 1)).scalar_one()


def remember_generation(directory: Path, tower: TowerId, generation: int) -> int | None:
    """Keep a copy of the generation beside the database; returns its former value: a restored database has less."""
    copy = directory / "generation.json"
    former: int | None = None
    if copy.exists():
        read = json.loads(copy.read_text(encoding="utf-8"))
        former = read["generation"] if read.get("tower") == tower else None
    fresh = copy.with_suffix(".new")
    fresh.write_text(json.dumps({"tower": tower, "generation": generation}), encoding="utf-8")
    fresh.replace(copy)
    return former
