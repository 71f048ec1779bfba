"""Connections and transactions, with the SQL habits of architecture section 5."""

import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from act_core.errors import ConfigError, Transient
from act_core.settings.model import Settings

P = ParamSpec("P")
T = TypeVar("T")

RETRIED = {1205, 1213, 1020}  # lock wait, deadlock, record changed since last read
TRIES = 5
UNREACHABLE = {2002, 2003, 2006, 2013, 1040, 1053, 1927}
DENIED = {1044, 1045, 1049, 1698}


def engine_url(settings: Settings) -> URL:
    """Where the state tables are. The password stays in the URL object, whose text hides it."""
    db = settings.arc.db
    if db.type == "sqlite":
        return URL.create("sqlite", database=str(settings.sqlite_file))
    query = {"charset": "utf8mb4"} | ({"unix_socket": str(db.socket)} if db.socket else {})
    password = db.password.get_secret_value() or None
    return URL.create("mysql+pymysql", db.user, password, db.host, db.port, db.name, query)


def open_engine(settings: Settings) -> Engine:
    """An engine whose transactions begin as each database needs it."""
    db, url = settings.arc.db, engine_url(settings)
    if db.type == "sqlite":
        settings.sqlite_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        engine = create_engine(url, connect_args={"timeout": 10, "check_same_thread": False}, pool_size=db.pool)
        event.listen(engine, "connect", _sqlite_connect)
        event.listen(engine, "begin", _sqlite_begin)
        return engine
    arguments: dict[str, Any] = {"connect_timeout": 10, "read_timeout": 30, "write_timeout": 30}
    if db.tls_ca:
        arguments["ssl"] = {"ca": str(db.tls_ca), "check_hostname": True}
    engine = create_engine(
        url,
        isolation_level="READ COMMITTED",
        connect_args=arguments,
        pool_size=db.pool,
        max_overflow=0,
        pool_recycle=1800,
        pool_pre_ping=True,
    )
    event.listen(engine, "connect", _mysql_connect)
    return engine


def _sqlite_connect(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we begin ourselves
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=10000", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _sqlite_begin(connection: Connection) -> None:
    # An upgrade of a read transaction fails at once when another one wrote meanwhile: say at the start what we want.
    reading = connection.get_execution_options().get("act_reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _mysql_connect(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        # "Is there one" is a look into an index; materialized, it would read every row.
        cursor.execute(
            "SET time_zone = '+00:00', innodb_lock_wait_timeout = 15, optimizer_switch = 'materialization=off'"
        )


class Database:
    """The state tables of one process. Thread-safe; every call is one short transaction."""

    def __init__(self, settings: Settings) -> None:
        self.engine = open_engine(settings)
        self._writer = threading.Lock() if settings.arc.db.type == "sqlite" else None

    def write(self, fn: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `fn(session, …)` in a transaction, again after a deadlock. Raises Transient if the database is away."""
        for attempt in range(1, TRIES + 1):
            try:
                return self._locked(fn, *args, **kwargs)
            except DBAPIError as err:
                if attempt == TRIES or not _again(err):
                    raise translated(err) from err
                time.sleep(random.uniform(0.01, 0.05) * attempt**2)  # noqa: S311 - jitter
        raise AssertionError("unreachable")

    def _locked(self, fn: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        # Inside one process a lock queues SQLite's writers more fairly than its busy handler.
        if self._writer is None:
            return self._once(fn, *args, **kwargs)
        with self._writer:
            return self._once(fn, *args, **kwargs)

    def _once(self, fn: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            return fn(session, *args, **kwargs)

    def read(self, fn: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `fn(session, …)`, which writes nothing."""
        try:
            with (
                self.engine.connect().execution_options(act_reading=True) as connection,
                Session(connection, expire_on_commit=False) as session,
            ):
                return fn(session, *args, **kwargs)
        except DBAPIError as err:
            raise translated(err) from err

    def clock(self) -> datetime:
        """The database's own time: leases and deadlines of several machines agree on it."""
        if self.engine.dialect.name == "sqlite":
            return datetime.now(UTC)
        found: datetime = self.read(lambda session: session.execute(text("SELECT UTC_TIMESTAMP(6)")).scalar_one())
        return found.replace(tzinfo=UTC)

    def close(self) -> None:
        self.engine.dispose()


def _again(err: DBAPIError) -> bool:
    return bool(err.orig and err.orig.args and err.orig.args[0] in RETRIED)


def translated(err: DBAPIError) -> Exception:
    """The verdict on a database's error."""
    code = err.orig.args[0] if err.orig and err.orig.args else None
    words = f"database: {err.orig}"
    if code in DENIED:
        return ConfigError(f"{words}; check the db section of aCTConfigARC.yaml")
    if code in UNREACHABLE or code in RETRIED or err.connection_invalidated:
        return Transient(words)
    if isinstance(err, OperationalError) and "no such table" in words:
        return ConfigError(f"{words}; run `act bootstrap`")
    if code == 1146:
        return ConfigError(f"{words}; run `act bootstrap`")
    if isinstance(err, OperationalError) and ("locked" in words or "disk" in words or "readonly" in words):
        return Transient(words)
    return err
