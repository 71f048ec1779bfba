"""State tables of a benchmark's own, and what their server says of its work."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pymysql

from act_core.settings.model import Db

CALL_S = 60.0


def server_of(where: str) -> Db:
    """The server of a URL mysql://user:password@host:port, and a name for a database of this process."""
    url = urlsplit(where)
    user, password = unquote(url.username or "root"), unquote(url.password or "")
    host, port = url.hostname or "127.0.0.1", url.port or 3306
    return Db(type="mysql", user=user, password=password, host=host, port=port, name=f"act_bench_{os.getpid()}")


def asked(db: Db, statement: str) -> list[str]:
    """The columns of the last row of the answer, as text. Ends the program with a sentence if the server does not."""
    try:
        server = pymysql.connect(
            user=db.user,
            password=db.password.get_secret_value(),
            host=db.host,
            port=db.port,
            connect_timeout=CALL_S,
            read_timeout=CALL_S,
        )
        with server, server.cursor() as cursor:
            cursor.execute(statement)
            rows = cursor.fetchall()
    except pymysql.MySQLError as err:
        raise SystemExit(f"the database server at {db.host}:{db.port}: {err}") from err
    return [str(one) for one in rows[-1]] if rows else []


def rows_read(db: Db) -> int:
    """Rows that the server's handlers have read since it began: of a table or through an index, all databases'."""
    names = "'Handler_read_first','Handler_read_key','Handler_read_last','Handler_read_next','Handler_read_prev'"
    question = f"{names},'Handler_read_rnd','Handler_read_rnd_next'"
    select = "SELECT SUM(VARIABLE_VALUE) FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME IN"
    return int(float(asked(db, f"{select} ({question})")[0]))


def server_process(db: Db) -> int | None:
    """The server's process, if it runs on this machine; None: it is elsewhere."""
    file, data = asked(db, "SELECT @@pid_file, @@datadir")
    try:
        pid = int((Path(data) / file).read_text(encoding="ascii"))
        name = Path(f"/proc/{pid}/comm").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return pid if name in ("mariadbd", "mysqld") else None


@contextlib.contextmanager
def state_tables(where: str) -> Iterator[Db]:
    """SQLite in the state directory, or a database of our own on a server, dropped at the end."""
    if where == "sqlite":
        yield Db()
        return
    db = server_of(where)
    asked(db, f"CREATE DATABASE `{db.name}` CHARACTER SET utf8mb4")
    try:
        yield db
    finally:
        asked(db, f"DROP DATABASE `{db.name}`")
