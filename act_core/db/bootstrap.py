"""Create or upgrade the state tables, and give the tower its id. Drops nothing; can be repeated."""

import json
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, insert, inspect, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from act_core.db import ces, downtimes
from act_core.db.attempts import checked_tower_id, new_tower_id
from act_core.db.models import Tower
from act_core.db.servers import check_server
from act_core.db.session import Database
from act_core.db.verdicts import FOREIGN, translated
from act_core.errors import ConfigError
from act_core.ids import TowerId
from act_core.settings.model import Settings

if TYPE_CHECKING:
    from alembic.config import Config

NEVER_REACHED = 2**31 - 1  # starts of a tower
MIGRATIONS = Path(__file__).parent / "migrations"
VERSIONS = "alembic_version"
GENERATION = "generation.json"  # beside the database: who lived here, and how often it was started
NO_TABLES = "no state tables; run `act bootstrap`"


@dataclass(frozen=True, slots=True)
class Bootstrapped:
    tower: TowerId
    before: str | None  # the schema that was found; None: an empty database
    now: str
    lost: bool = False  # a tower lived here, and the tables know nothing of it


def schema_of(connection: Connection) -> str | None:
    """The schema revision that a database has."""
    if not inspect(connection).has_table(VERSIONS):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSIONS}")).scalar()  # noqa: S608 - our own table


@cache
def _known() -> tuple[str, ...]:
    """Every schema that this program knows, the newest first. A migration's file begins with its revision."""
    return tuple(sorted((file.name.partition("_")[0] for file in MIGRATIONS.glob("versions/[0-9]*.py")), reverse=True))


def newest() -> str:
    return _known()[0]


def check_schema(session: Session) -> None:
    """Raises ConfigError unless the tables are those of this program."""
    check_server(session.connection())
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


def bootstrap(db: Database, now: datetime, directory: Path | None = None) -> Bootstrapped:
    """Bring the tables to this version's schema. Raises ConfigError if the database is newer than this program.

    `directory`: beside the database. Where it remembers a tower, tables that know none belong to that one: its id is
    in the names of its jobs on the CEs. Raises ConfigError, before anything is changed, where they know another one.
    """
    former = _remembered(directory) if directory else None
    try:
        if directory and former and (known := _known_tower(db)) is not None:
            _same_tower(directory, former[0], known)
        before = _upgraded(db)
    except FOREIGN as err:
        raise translated(err) from err
    tower, made = db.write(_tower, now, former and former[0])
    return Bootstrapped(tower, before, newest(), lost=made and former is not None)


def enter_configured(db: Database, settings: Settings, now: datetime) -> None:
    """The tables say which CEs and downtimes this configuration names."""
    db.write(ces.sync_ces, settings.arc.sites, ces.CONFIG, now)
    db.write(downtimes.sync_configured, settings.arc.downtime)


def _upgraded(db: Database) -> str | None:
    """The schema that was found; the newest is there now."""
    with db.engine.connect() as connection:
        check_server(connection)
        before = schema_of(connection)
    if before is not None:
        _not_newer(before)
    from alembic import command  # nobody else waits for it

    config = _config()
    with db.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return before


def _config() -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def _tower(session: Session, now: datetime, former: TowerId | None) -> tuple[TowerId, bool]:
    """Its id, and whether the tables have learned it just now."""
    question = select(Tower.tower_id).where(Tower.id == 1)
    if found := session.execute(question).scalar():
        return TowerId(found), False
    try:
        with session.begin_nested():
            session.execute(insert(Tower).values(id=1, tower_id=former or new_tower_id(), generation=0, made=now))
    except IntegrityError:  # two bootstraps at once: the first one named it
        return TowerId(session.execute(question).scalar_one()), False
    return TowerId(session.execute(question).scalar_one()), True


def _known_tower(db: Database) -> TowerId | None:
    """Whose the tables are, of whatever schema; None: they know nobody, or there are none."""
    with db.engine.connect() as connection:
        check_server(connection)
        if not inspect(connection).has_table(Tower.__tablename__):
            return None
        found = connection.execute(select(Tower.tower_id).where(Tower.id == 1)).scalar()
    return None if found is None else TowerId(found)


def _same_tower(directory: Path, former: TowerId, tower: TowerId) -> None:
    """Raises ConfigError: a directory and a database of two towers are not mixed."""
    if former != tower:
        raise ConfigError(
            f"{directory / GENERATION} is of tower {former}, and the database of tower {tower}: nothing was changed. "
            f"Name the state directory of {tower} (ACT_STATE_DIR), or the database of {former} (db in "
            f"aCTConfigARC.yaml). Only if {former} is given up for good: remove that file, and its jobs on the CEs are "
            "a stranger's from then on (docs/recovery.md)"
        )


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
    """Keep a copy of the generation beside the database; returns its former value: a restored database has less.

    Raises ConfigError for the directory of another tower.
    """
    former = _remembered(directory)
    if former is not None:
        _same_tower(directory, former[0], tower)
    copy = directory / GENERATION
    fresh = copy.with_suffix(".new")
    fresh.write_text(json.dumps({"tower": tower, "generation": generation}), encoding="utf-8")
    fresh.replace(copy)
    return former[1] if former else None


def _remembered(directory: Path) -> tuple[TowerId, int] | None:
    """The tower that lived here, and its last start. Raises ConfigError for a file that nobody can read."""
    copy = directory / GENERATION
    if not copy.exists():
        return None
    try:
        read = json.loads(copy.read_text(encoding="utf-8"))
        return checked_tower_id(str(read["tower"])), int(read["generation"])
    except (OSError, ValueError, KeyError, TypeError) as err:
        why = f"{copy}: it should name this tower and its last start: {type(err).__name__}: {err}"
        raise ConfigError(f"{why}; put it back, or remove it and run `act bootstrap --restored`") from err


def mark_restored(directory: Path, tower: TowerId) -> None:
    """The next start takes the database for an older copy, although nothing beside it tells so."""
    remember_generation(directory, tower, NEVER_REACHED)
