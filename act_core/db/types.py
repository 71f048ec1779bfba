"""Column types that behave alike on SQLite and MariaDB."""

from datetime import UTC, datetime

from sqlalchemy import BigInteger, BindParameter, DateTime, Dialect, Integer
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeDecorator, TypeEngine

BigId = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows only in an INTEGER key

Moment = datetime | BindParameter[datetime]  # a time, or where one is to stand in a statement that is kept


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time with microseconds; DATETIME(6) where the database has it."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[datetime]:
        if dialect.name in {"mysql", "mariadb"}:
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | str | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        naive = (value if value.tzinfo is UTC else value.astimezone(UTC)).replace(tzinfo=None)
        if dialect.name == "sqlite":
            return naive
        return naive.isoformat(" ", "microseconds")  # PyMySQL would write the same, five times as slowly

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)
