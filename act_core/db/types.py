"""Column types that behave alike on SQLite and MariaDB."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

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

    def result_processor(self, dialect: Dialect, coltype: object) -> "_Read":
        """One call a value, where TypeDecorator takes three: an attempt has fifteen of them."""
        theirs: Callable[[Any], Any] | None = self.impl_instance.dialect_impl(dialect).result_processor(
            dialect, coltype
        )
        return _aware if theirs is None else _aware_of(theirs)


_Read = Callable[[Any], datetime | None]


def _aware(value: Any) -> datetime | None:
    return None if value is None else value.replace(tzinfo=UTC)


def _aware_of(read: Callable[[Any], Any]) -> _Read:
    return lambda value: None if value is None else read(value).replace(tzinfo=UTC)
