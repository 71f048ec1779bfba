"""Different values in each of many rows, in one statement (costs: a hundredth of a statement a row)."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeVar, cast

from sqlalchemy import ColumnElement, column, select, text, update, values
from sqlalchemy.orm import DeclarativeBase, Session

from act_core.errors import BadInput

CHUNK = 500  # rows of one statement: below SQLite's 32,766 bound values at any width
STATEMENT = 2_000_000  # bytes of values in one statement: MariaDB hangs up above max_allowed_packet (16 MiB)
LARGEST = 16_000_000  # bytes of one row's values: a MEDIUMTEXT takes no more
_BESIDE = 65_536  # of the largest packet for the statement around the values
_QUOTED = "\\'\"\0\n\r\x1a"
K = TypeVar("K")
T = TypeVar("T")
Values = Mapping[str, Any]


def chunks(items: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def portions(
    session: Session, rows: Iterable[tuple[K, Values]], called: Callable[[K], str]
) -> Iterator[list[tuple[K, Values]]]:
    """Rows that fit into one statement together. Raises BadInput for one that is too large by itself."""
    batch: list[tuple[K, Values]] = []
    total = 0
    for key, row in rows:
        size = weight(row.values())
        if size > STATEMENT:
            _refuse_giant(session, called(key), row)
        if batch and total + size > STATEMENT:
            yield batch
            batch, total = [], 0
        batch.append((key, row))
        total += size
    if batch:
        yield batch


def weight(row: Iterable[Any]) -> int:
    """About how many bytes these values make in a statement; quoting at most doubles it."""
    return sum(_bytes(value) for value in row)


def _bytes(value: Any) -> int:
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode(errors="surrogatepass"))
    return len(value) if isinstance(value, bytes) else 8


def _refuse_giant(session: Session, name: str, row: Values) -> None:
    most = LARGEST
    size = weight(row.values())
    if session.get_bind().dialect.name != "sqlite":
        most = min(most, session.execute(text("SELECT @@max_allowed_packet")).scalar_one() - _BESIDE)
        size += sum(value.count(one) for value in row.values() if isinstance(value, str) for one in _QUOTED)
    if size > most:
        heaviest = max(row, key=lambda column: _bytes(row[column]))
        raise BadInput(f"{name}: {size} bytes, most of them in {heaviest}; the database takes {most}")


def update_rows(
    session: Session, model: type[DeclarativeBase], changes: Mapping[int, Values], *, versioned: bool = True
) -> None:
    """Write {id: {column: value}} into a table with `id` and `version`; rows with the same columns share a statement.

    UPDATE from a list of VALUES: the one form that runs on SQLite and MariaDB alike. `version` grows by one, unless
    the columns are of no interest to those who guard by it (`versioned`).
    Raises BadInput for a row that is too large for any statement.
    """
    _write(session, model, "id", changes, {"version": model.__table__.c.version + 1} if versioned else {})


def update_named(
    session: Session, model: type[DeclarativeBase], changes: Mapping[str, Values], *among: ColumnElement[bool]
) -> None:
    """The same for rows that are keyed by `name` among some, and count no versions."""
    _write(session, model, "name", changes, {}, among)


def _write(
    session: Session,
    model: type[DeclarativeBase],
    key: str,
    changes: Mapping[K, Values],
    also: Mapping[str, Any],
    among: Iterable[ColumnElement[bool]] = (),
) -> None:
    groups: dict[tuple[str, ...], dict[K, Values]] = {}
    for row, written in changes.items():
        groups.setdefault(tuple(sorted(written)), {})[row] = written
    for names, rows in groups.items():
        for batch in portions(session, rows.items(), lambda row: f"{model.__tablename__} row {row}"):
            _update(session, model, (key, *names), [(row, *(one[n] for n in names)) for row, one in batch], also, among)


def _update(
    session: Session,
    model: type[DeclarativeBase],
    names: tuple[str, ...],
    rows: list[tuple[Any, ...]],
    also: Mapping[str, Any],
    among: Iterable[ColumnElement[bool]],
) -> None:
    """`names`: of the columns that each row has, the key first."""
    table = model.__table__
    columns: list[ColumnElement[Any]] = [column(name, table.c[name].type) for name in names]
    source = select(values(*cast(Any, columns), name="v").data(rows).cte("v", nesting=True)).subquery("s")
    session.execute(
        update(model)
        .where(table.c[names[0]] == source.c[names[0]], *among)
        .values({**{name: source.c[name] for name in names[1:]}, **also})
        .execution_options(synchronize_session=False)
    )
