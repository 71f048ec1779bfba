"""Connections and transactions, with the SQL habits of architecture section 5."""

import random
import sqlite3
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.orm import Session

from act_core.db.clock import Clock
from act_core.db.servers import SQL_MODE
from act_core.db.verdicts import FOREIGN, again, translated
from act_core.errors import ConfigError
from act_core.settings.model import Settings

P = ParamSpec("P")
T = TypeVar("T")

TRIES = 5


def engine_url(settings: Settings) -> URL:
    """Where the state tables are. The password stays in the URL object, whose text hides it."""
    db = settings.arc.db
    if db.type == "sqlite":
        return URL.create("sqlite", database=str(settings.sqlite_file))
    query = {"charset": "utf8mb4"} | ({"unix_socket": str(db.socket)} if db.socket else {})
    password = db.password.get_secret_value() or None
    return URL.create("mysql+pymysql", db.user, password, db.host, db.port, db.name, query)


def make_directory(path: Path, named_by: str) -> None:
    """Raises ConfigError for a place where there can be none; `named_by`: where the operator names another."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as err:
        raise ConfigError(
            f"{path}: no directory can be made there: {err.strerror}; name another by {named_by}"
        ) from err


def open_engine(settings: Settings) -> Engine:
    """An engine whose transactions begin as each database needs it."""
    db, url = settings.arc.db, engine_url(settings)
    if db.type == "sqlite":
        make_directory(settings.sqlite_file.parent, "db.file" if db.file else "$ACT_STATE_DIR")
        engine = create_engine(url, connect_args={"timeout": 10, "check_same_thread": False}, pool_size=db.pool)
        event.listen(engine, "do_connect", partial(_sqlite_private, settings.sqlite_file))
        event.listen(engine, "connect", partial(_sqlite_connect, settings.sqlite_file))
        event.listen(engine, "begin", _sqlite_begin)
        return engine
    from act_core.db.answers import driver  # whose tables are in SQLite does not wait for it

    arguments: dict[str, Any] = {"connect_timeout": 10, "read_timeout": 30, "write_timeout": 30}
    if db.tls_ca:
        arguments["ssl"] = _tls(settings, db.tls_ca)
    engine = create_engine(
        url,
        module=driver(),
        isolation_level="READ COMMITTED",
        connect_args=arguments,
        pool_size=db.pool,
        max_overflow=0,
        pool_recycle=1800,
        pool_pre_ping=True,
    )
    event.listen(engine, "connect", _mysql_connect)
    return engine


def _tls(settings: Settings, ca: Path) -> ssl.SSLContext:
    """The server is verified with this CA alone, and by the name in db.host. Raises ConfigError."""
    db, context = settings.arc.db, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cafile=None if ca.is_dir() else str(ca), capath=str(ca) if ca.is_dir() else None)
    except OSError as err:
        where = settings.where("db.tls_ca")
        raise ConfigError(f"{where}: db.tls_ca: no certificate can be read from {ca}: {err.strerror or err}") from err
    if db.tls_cert:
        try:
            context.load_cert_chain(str(db.tls_cert), str(db.tls_key) if db.tls_key else None, password=_no_password)
        except OSError as err:
            where, files = settings.where("db.tls_cert"), f"{db.tls_cert}, {db.tls_key or db.tls_cert}"
            words = f"certificate and key cannot be used: {err.strerror or err}"
            raise ConfigError(f"{where}: db.tls_cert: {files}: {words}") from err
    return context


def _no_password() -> str:
    """OpenSSL would ask at the terminal."""
    return ""


def _sqlite_private(file: Path, *_: Any) -> None:
    """The file is for us alone, and so are those that SQLite makes beside it."""
    if not file.exists():
        with suppress(OSError):  # SQLite says itself what is wrong with the place
            file.touch(mode=0o600)


def _sqlite_connect(file: Path, connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we begin ourselves
    try:
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=10000", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}").close()
    except sqlite3.DatabaseError as err:
        if err.sqlite_errorcode != sqlite3.SQLITE_NOTADB:
            raise
        connection.close()
        raise ConfigError(f"{file}: {err}; name another by db.file") from err


def _sqlite_begin(connection: Connection) -> None:
    # An upgrade of a read transaction fails at once when another one wrote meanwhile: say at the start what we want.
    reading = connection.get_execution_options().get("act_reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _mysql_connect(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        # "Is there one" is a look into an index; materialized, it would read every row.
        cursor.execute(
            "SET time_zone = '+00:00', innodb_lock_wait_timeout = 15, optimizer_switch = 'materialization=off', "
            f"sql_mode = '{SQL_MODE}'"
        )


class Database:
    """The state tables of one process. Thread-safe; every call is one short transaction.

    `threads`: for who asks from an event loop. As many as there are connections, and shared by all loops of the
    process, so that nobody waits for a connection longer than for a thread.
    """

    def __init__(self, settings: Settings) -> None:
        self.engine = open_engine(settings)
        self.threads = ThreadPoolExecutor(settings.arc.db.pool, thread_name_prefix="act-db")
        self._clock = Clock()
        self._writer = threading.Lock() if settings.arc.db.type == "sqlite" else None

    def write(self, fn: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `fn(session, …)` in a transaction, again after a deadlock. Raises Transient if the database is away."""
        for attempt in range(1, TRIES + 1):
            try:
                return self._locked(fn, *args, **kwargs)
            except FOREIGN as err:
                if attempt == TRIES or not again(err):
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
                self._clock.keep(session)
                return fn(session, *args, **kwargs)
        except FOREIGN as err:
            raise translated(err) from err

    def clock(self) -> datetime:
        """The database's own time, asked for now: leases and deadlines of several machines agree on it."""
        return self.read(self._clock.look)

    def now(self) -> datetime:
        """The same, asked for once a minute; steps of this machine's clock do not show between."""
        return self._clock.now() or self.clock()

    def close(self) -> None:
        self.threads.shutdown()
        self.engine.dispose()
