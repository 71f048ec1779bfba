"""What the server answers is read as PyMySQL reads it, whatever the type and however long."""

from datetime import date, datetime
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection
from sqlalchemy import text

from act_core.db.answers import QuickConnection, moment
from act_core.db.session import Database

on_a_server = pytest.mark.parametrize("database", ["mysql"], indirect=True)

VALUES = [
    pytest.param("NULL", id="none"),
    pytest.param("''", id="empty text"),
    pytest.param("REPEAT('x', 250)", id="the longest length of one byte"),
    pytest.param("REPEAT('x', 251)", id="the shortest length of two"),
    pytest.param("REPEAT('x', 65536)", id="a length of three bytes"),
    pytest.param("CONCAT('ä', CHAR(0xF09F9880 USING utf8mb4))", id="beyond ASCII"),
    pytest.param("CAST(0x00FF27 AS BINARY)", id="bytes"),
    pytest.param("-9223372036854775808", id="a long number"),
    pytest.param("1.25", id="a decimal"),
    pytest.param("1.25e-3", id="a float"),
    pytest.param("SUM(2)", id="a sum"),
    pytest.param("true", id="true"),
    pytest.param("CAST('2026-03-01 12:00:00.123456' AS DATETIME(6))", id="microseconds"),
    pytest.param("CAST('2026-03-01 12:00:00' AS DATETIME)", id="a whole second"),
    pytest.param("CAST('2026-03-01 12:00:00.5' AS DATETIME(1))", id="half a second"),
    pytest.param("CAST('0000-00-00 00:00:00' AS DATETIME)", id="a time in no calendar"),
    pytest.param("CAST('2026-03-01' AS DATE)", id="a day"),
    pytest.param("CAST('-25:06:17' AS TIME)", id="a span"),
    pytest.param("""JSON_OBJECT('a', 'ä')""", id="JSON"),
]


def _both(db: Database, question: str) -> tuple[Any, Any]:
    """The rows and columns of an answer, as we read it (twice: then its columns are known) and as PyMySQL does."""
    arguments, named = db.engine.dialect.create_connect_args(db.engine.url)
    found: list[Any] = []
    for kind, times in ((QuickConnection, 2), (Connection, 1)):
        connection = kind(*arguments, **named)
        try:
            for _ in range(times):
                cursor = connection.cursor()
                cursor.execute(question)
                found.append((cursor.fetchall(), cursor.description))
        finally:
            connection.close()
    assert found[0] == found[1]
    return found[1], found[2]


@on_a_server
@pytest.mark.parametrize("value", VALUES)
def test_a_value_is_what_pymysql_makes_of_it(db: Database, value: str) -> None:
    ours, theirs = _both(db, f"SELECT 1 AS a, {value} AS b, 'c' AS c")
    assert ours == theirs
    assert type(ours[0][0][1]) is type(theirs[0][0][1])


@on_a_server
def test_many_rows_and_none(db: Database) -> None:
    ours, theirs = _both(db, "SELECT 1 AS n, 'x' AS m UNION ALL SELECT NULL, '' UNION ALL SELECT 3, NULL")
    assert ours == theirs
    assert len(ours[0]) == 3
    ours, theirs = _both(db, "SELECT 1 AS a FROM dual WHERE false")
    assert ours == theirs


@on_a_server
def test_what_is_sent_is_sent_as_pymysql_sends_it(db: Database) -> None:
    arguments, named = db.engine.dialect.create_connect_args(db.engine.url)
    ours, theirs = QuickConnection(*arguments, **named), Connection(*arguments, **named)
    try:
        for value in (None, 0, -5, 2**70, True, False, 1.5, "a'b\\c\0ä", b"a'\0", date(2026, 3, 1), [1, None, "x'"]):
            assert ours.escape(value) == theirs.escape(value)
        with pytest.raises(TypeError, match="dict"):
            ours.escape({})
    finally:
        ours.close()
        theirs.close()


@on_a_server
def test_the_tables_are_asked_through_it(db: Database) -> None:
    with db.engine.connect() as connection:
        mine = connection.connection.driver_connection
        assert isinstance(mine, QuickConnection)
        for n in range(600):
            assert connection.execute(text(f"SELECT {n} AS c{n}")).scalar_one() == n
        assert len(mine.described) <= 256


@on_a_server
def test_an_error_is_pymysqls(db: Database) -> None:
    arguments, named = db.engine.dialect.create_connect_args(db.engine.url)
    connection = QuickConnection(*arguments, **named)
    try:
        with pytest.raises(pymysql.ProgrammingError, match="no_such_table"):
            connection.cursor().execute("SELECT * FROM no_such_table")
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-03-01 12:00:00.123456", datetime(2026, 3, 1, 12, 0, 0, 123456)),  # noqa: DTZ001 - as the server says it
        ("2026-03-01 12:00:00", datetime(2026, 3, 1, 12)),  # noqa: DTZ001
        ("0000-00-00 00:00:00", "0000-00-00 00:00:00"),
    ],
)
def test_times_that_the_server_writes(written: str, meant: datetime | str) -> None:
    assert moment(written) == meant
