"""What a real MariaDB does to its clients: it refuses a statement, hangs up on them, or is not there at all."""

import socket
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Any, Concatenate, ParamSpec, TypeVar

import pymysql
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

P = ParamSpec("P")
T = TypeVar("T")
Undo = Callable[[], None]

WRITING = ("INSERT", "UPDATE", "DELETE")
DEADLOCK = 1213


def _beside(engine: Engine) -> "pymysql.Connection[Any]":
    """A connection that no fault strikes."""
    args, named = engine.dialect.create_connect_args(engine.url)
    made: pymysql.Connection[Any] = pymysql.connect(*args, **named)
    return made


def hang_up(engine: Engine, ids: Iterable[int]) -> None:
    """The server ends these connections; a client learns of it when it next says something."""
    with closing(_beside(engine)) as beside, beside.cursor() as cursor:
        for number in ids:
            cursor.execute(f"KILL CONNECTION {number}")


def hang_up_on_all(engine: Engine) -> None:
    """The same for every connection to this database."""
    others = "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()"
    with closing(_beside(engine)) as beside, beside.cursor() as cursor:
        cursor.execute(others)
        ids = [row[0] for row in cursor.fetchall()]
    hang_up(engine, ids)


def unheard(fn: Callable[Concatenate[Session, P], T]) -> Callable[Concatenate[Session, P], T]:
    """The same deed, committed, and then its connection is cut: COMMIT's answer never comes."""

    def done(session: Session, /, *args: P.args, **kwargs: P.kwargs) -> T:
        result = fn(session, *args, **kwargs)
        session.flush()
        mine = session.connection()
        connection = mine.connection.dbapi_connection
        assert isinstance(connection, pymysql.Connection)
        connection.commit()
        hang_up(mine.engine, [connection.thread_id()])
        return result

    return done


def refusing(engine: Engine, code: int, words: str, times: int | None = None) -> Undo:
    """Statements that write get this error from the server; so many of them, or until it is over."""
    left = [times]

    def execute(cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith(WRITING) or left[0] == 0:
            return
        left[0] = None if left[0] is None else left[0] - 1
        if code == DEADLOCK:  # its victim's transaction is gone
            cursor.execute("ROLLBACK")
        cursor.execute(f"SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {code}, MESSAGE_TEXT = '{words}'")

    return _listening(engine, "do_execute", execute)


def restarting(engine: Engine, times: int) -> Undo:
    """So many connections are cut with a statement on its way."""
    left = [times]

    def execute(cursor: Any, *_: Any) -> None:
        if left[0]:
            left[0] -= 1
            hang_up(engine, [cursor.connection.thread_id()])

    return _listening(engine, "do_execute", execute)


def gone(engine: Engine) -> Undo:
    """Nobody is connected, and nobody answers at its port."""
    nobody = socket.socket()
    nobody.bind(("127.0.0.1", 0))  # bound and not listening: refused

    def connect(*_: Any) -> Any:
        return pymysql.connect(host="127.0.0.1", port=nobody.getsockname()[1])

    heard = _listening(engine, "do_connect", connect)
    hang_up_on_all(engine)

    def back() -> None:
        heard()
        nobody.close()

    return back


def _listening(engine: Engine, name: str, hook: Callable[..., Any]) -> Undo:
    event.listen(engine, name, hook)
    return lambda: event.remove(engine, name, hook)
