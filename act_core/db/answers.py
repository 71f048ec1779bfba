"""Answers of MariaDB and MySQL, read in a fraction of the time that PyMySQL takes; what comes out is the same.

PyMySQL reads each value by half a dozen calls, and describes the columns of the same statement anew each time. Here a
row is one loop, and what was described once is known again by the server's own words.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pymysql
from pymysql.connections import Connection, MySQLResult
from pymysql.constants import FIELD_TYPE, SERVER_STATUS
from pymysql.converters import conversions, convert_datetime, escape_string
from pymysql.protocol import MysqlPacket

_NULL = 251  # where a value's length stands
_WIDTHS = {252: 2, 253: 3, 254: 8}  # of a length that no byte holds
_KNOWN = 256  # statements whose columns are remembered
Column = tuple[str | None, Callable[[Any], Any] | None]  # the encoding of its values, and how one is made of the text
Described = tuple[list[Any], list[Column], tuple[Any, ...]]
_DESCRIBED: dict[tuple[bytes, ...], Described] = {}  # for all connections: of many columns one costs tens of kilobytes


def moment(text: str) -> datetime | date | str:
    """A time as the server writes it. One that is in no calendar becomes what PyMySQL makes of it."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return convert_datetime(text)


CONVERSIONS: dict[Any, Any] = {**conversions, FIELD_TYPE.DATETIME: moment, FIELD_TYPE.TIMESTAMP: moment}


if TYPE_CHECKING:
    Theirs = Connection[Any]
else:
    Theirs = Connection  # it is generic in its stubs alone


class _Again:
    """Packets that were read already, for who asks the connection for them."""

    def __init__(self, connection: Any, packets: Sequence[bytes]) -> None:
        self.use_unicode, self.encoding, self.decoders = (
            connection.use_unicode,
            connection.encoding,
            connection.decoders,
        )
        self._packets: Iterator[bytes] = iter(packets)

    def _read_packet(self, kind: Callable[[bytes, str], Any] = MysqlPacket) -> Any:
        return kind(next(self._packets), self.encoding)


class _Answer(MySQLResult):
    connection: Any
    fields: list[Any]
    converters: list[Column]

    def _get_descriptions(self) -> None:
        connection = self.connection
        packets = tuple([connection._read_packet().get_all_data() for _ in range(self.field_count + 1)])
        known: dict[tuple[bytes, ...], Described] = connection.described
        if (found := known.get(packets)) is None:
            self.connection = _Again(connection, packets)
            super()._get_descriptions()  # type: ignore[misc]
            self.connection = connection
            if len(known) >= _KNOWN:
                known.clear()
            found = known[packets] = (self.fields, self.converters, self.description)
        self.fields, self.converters, self.description = found

    def _read_row_from_packet(self, packet: Any) -> tuple[Any, ...]:
        data: bytes = packet.get_all_data()
        row: list[Any] = []
        at, end = 0, len(data)
        for encoding, convert in self.converters:
            if at >= end:
                break
            size = data[at]
            at += 1
            if size == _NULL:
                row.append(None)
                continue
            if size > _NULL:
                width = _WIDTHS[size]
                size = int.from_bytes(data[at : at + width], "little")
                at += width
            value: Any = data[at : at + size]
            at += size
            if encoding is not None:
                value = value.decode(encoding)
            row.append(value if convert is None else convert(value))
        if at > end:
            raise AssertionError(f"a row of {end} bytes ends within a value")
        return tuple(row)


class QuickConnection(Theirs):
    """PyMySQL's connection, whose answers are read as above."""

    def __init__(self, *args: Any, **named: Any) -> None:
        self.described = {} if "conv" in named else _DESCRIBED
        super().__init__(*args, **{"conv": CONVERSIONS, **named})

    def escape(self, obj: object, mapping: Any = None) -> str:
        """As theirs; what most values are is told first."""
        if isinstance(obj, str) and not self.server_status & SERVER_STATUS.SERVER_STATUS_NO_BACKSLASH_ESCAPES:
            return f"'{escape_string(obj)}'"
        if type(obj) is int:
            return str(obj)
        if obj is None:
            return "NULL"
        text: str = super().escape(obj, mapping)
        return text

    def _read_query_result(self, unbuffered: bool = False) -> Any:
        self._result = None
        result = _Answer(self)
        if unbuffered:
            result.init_unbuffered_query()
        else:
            result.read()
        self._result = result
        if result.server_status is not None:
            self.server_status = result.server_status
        return result.affected_rows


def driver() -> ModuleType:
    """PyMySQL as SQLAlchemy is to take it: the same, but for the connections that it opens."""
    ours = ModuleType(pymysql.__name__)
    ours.__dict__.update(vars(pymysql), connect=QuickConnection)
    return ours
