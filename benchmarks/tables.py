"""State tables of a benchmark's own."""

import contextlib
import os
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

import pymysql

from act_core.settings.model import Db


@contextlib.contextmanager
def state_tables(where: str) -> Iterator[Db]:
    """SQLite in the state directory, or a database of our own on a server, dropped at the end."""
    if where == "sqlite":
        yield Db()
        return
    url = urlsplit(where)
    user, password = unquote(url.username or "root"), unquote(url.password or "")
    host, port = url.hostname or "127.0.0.1", url.port or 3306
    db = Db(type="mysql", user=user, password=password, host=host, port=port, name=f"act_bench_{os.getpid()}")

    def at_server(statement: str) -> None:
        server = pymysql.connect(user=user, password=password, host=host, port=port)
        with server, server.cursor() as cursor:
            cursor.execute(statement)

    at_server(f"CREATE DATABASE `{db.name}` CHARACTER SET utf8mb4")
    try:
        yield db
    finally:
        at_server(f"DROP DATABASE `{db.name}`")
