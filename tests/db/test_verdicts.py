"""What errors of the database mean: each has a verdict, or is a bug of ours."""

import sqlite3

import pymysql
import pytest
from sqlalchemy.exc import DatabaseError, DBAPIError, IntegrityError, OperationalError, ProgrammingError

from act_core.db.verdicts import translated
from act_core.errors import ConfigError, DatabaseAway

Kind = type[DBAPIError]


@pytest.mark.parametrize(
    ("kind", "orig", "verdict", "words"),
    [
        (OperationalError, sqlite3.OperationalError("database is locked"), DatabaseAway, "locked"),
        (OperationalError, sqlite3.OperationalError("no such table: ces"), ConfigError, "run `act bootstrap`"),
        (DatabaseError, sqlite3.DatabaseError("database disk image is malformed"), ConfigError, "put a copy"),
        (OperationalError, pymysql.OperationalError(1213, "Deadlock found"), DatabaseAway, "Deadlock"),
        (OperationalError, pymysql.OperationalError(1290, "with the --read-only option"), DatabaseAway, "read-only"),
        (OperationalError, pymysql.OperationalError(1836, "Running in read-only mode"), DatabaseAway, "read-only"),
        (OperationalError, pymysql.OperationalError(1114, "The table 'ce_jobs' is full"), DatabaseAway, "is full"),
        (OperationalError, pymysql.OperationalError(1021, "Disk full"), DatabaseAway, "Disk full"),
        (OperationalError, pymysql.OperationalError(2003, "Can't connect"), DatabaseAway, "Can't connect"),
        (OperationalError, pymysql.OperationalError(1045, "Access denied"), ConfigError, "check the db section"),
        (ProgrammingError, pymysql.ProgrammingError(1146, "no table"), ConfigError, "run `act bootstrap`"),
        (IntegrityError, sqlite3.IntegrityError("UNIQUE: a locked disk"), IntegrityError, "UNIQUE"),
        (ProgrammingError, pymysql.ProgrammingError(1064, "syntax"), ProgrammingError, "syntax"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, Exception) else "",
)
def test_each_has_a_verdict(kind: Kind, orig: Exception, verdict: type[Exception], words: str) -> None:
    found = translated(kind("SELECT 1", None, orig))
    assert type(found) is verdict
    assert words in str(found)
