"""Different values in each of many rows, in one statement (costs: a hundredth of a statement a row)."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import count, islice
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, func, insert, select, text
from sqlalchemy.orm import DeclarativeBase, Session

from act_core.db.forms import insert_form, made_update_form, update_form
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
    total = 0
    for value in row:
        if isinstance(value, str):
            total += len(value) if value.isascii() else len(value.encode(errors="surrogatepass"))
        else:
            total += len(value) if isinstance(value, bytes) else 8
    return total


def _refuse_giant(session: Session, name: str, row: Values) -> None:
    most = LARGEST
    size = weight(row.values())
    if session.get_bind().dialect.name != "sqlite":
        most = min(most, session.execute(text("SELECT @@max_allowed_packet")).scalar_one() - _BESIDE)
        size += sum(value.count(one) for value in row.values() if isinstance(value, str) for one in _QUOTED)
    if size > most:
        heaviest = max(row, key=lambda column: weight([row[column]]))
        raise BadInput(f"{name}: {size} bytes, most of them in {heaviest}; the database takes {most}")


def update_rows(
    session: Session,
    model: type[DeclarativeBase],
    changes: Mapping[int, Values],
    *,
    versioned: bool = True,
    alike: Collection[str] = (),
) -> None:
    """Write {id: {column: value}} into a table with `id` and `version`; rows with the same columns share a statement.

    UPDATE from a list of VALUES: the one form that runs on SQLite and MariaDB alike. `version` grows by one, unless
    the columns are of no interest to those who guard by it (`versioned`). `alike`: columns of which most batches have
    one value, which is sent once; each of them may double the number of statements that are put together.
    Raises BadInput for a row that is too large for any statement.
    """
    session.flush()
    connection = session.connection()
    for names, batch in _batches(session, model, changes):
        same = {name: batch[0][1][name] for name in names if name in alike and _one_value(batch, name)}
        own = tuple(name for name in names if name not in same)
        form = update_form(connection.dialect, model, ("id", *own), versioned, (), tuple(same))
        form.send(connection, [(row, *[one[name] for name in own]) for row, one in batch], same)


def _one_value(batch: Sequence[tuple[Any, Values]], name: str) -> bool:
    values = [one[name] for _, one in batch]
    return values.count(values[0]) == len(values)


def insert_rows(session: Session, model: type[DeclarativeBase], rows: Sequence[Values]) -> None:
    """Insert rows that all have the same columns; what they leave out has its default.

    Raises BadInput for a row that is too large for any statement.
    """
    if not rows:
        return
    session.flush()
    connection = session.connection()
    form = insert_form(connection.dialect, model, tuple(rows[0]))
    numbered = zip(count(1), rows, strict=False)
    for batch in portions(session, numbered, lambda n: f"new row {n} of {model.__tablename__}"):
        for chunk in chunks(batch):
            form.send(connection, [form.row_of(row) for _, row in chunk])


def inserted_ids(session: Session, model: type[DeclarativeBase], rows: Sequence[Values]) -> list[int]:
    """Insert rows of a table with an `id`, all with the same columns; their ids, in the rows' order.

    For MySQL that is one statement a row. SQLite gives ids back in no order that it promises; it numbers rows from the
    highest on, and who writes there is alone: so they are numbered here, likewise.
    """
    table: Any = model
    dialect = session.get_bind().dialect
    if dialect.name == "sqlite":
        first = 1 + (session.execute(select(func.max(table.id))).scalar_one() or 0)
        numbered = [{"id": n, **row} for n, row in enumerate(rows, first)]
        insert_rows(session, model, numbered)
        return [row["id"] for row in numbered]
    if dialect.insert_returning:
        made = insert(model).returning(table.id, sort_by_parameter_order=True)
        return list(session.scalars(made, [dict(row) for row in rows]))
    return [int(session.execute(insert(model).values(**row)).inserted_primary_key[0]) for row in rows]  # type: ignore[attr-defined]


def update_named(
    session: Session, model: type[DeclarativeBase], changes: Mapping[str, Values], *among: ColumnElement[bool]
) -> None:
    """The same for rows that are keyed by `name` among some, and count no versions."""
    session.flush()
    connection = session.connection()
    for names, batch in _batches(session, model, changes):
        form = made_update_form(connection.dialect, model, ("name", *names), False, among)
        form.send(connection, [(row, *(one[name] for name in names)) for row, one in batch])


def _batches(
    session: Session, model: type[DeclarativeBase], changes: Mapping[K, Values]
) -> Iterator[tuple[tuple[str, ...], list[tuple[K, Values]]]]:
    """Rows of the same columns that fit into one statement, with the columns' names."""
    groups: dict[tuple[str, ...], dict[K, Values]] = {}
    for row, written in changes.items():
        groups.setdefault(tuple(sorted(written)), {})[row] = written
    for names, rows in groups.items():
        for batch in portions(session, rows.items(), lambda row: f"{model.__tablename__} row {row}"):
            yield names, batch
