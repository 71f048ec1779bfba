"""Statements about many rows that are compiled once for their columns.

SQLAlchemy compiles a statement with a list of VALUES anew for each batch, which costs several times what all else of
the batch costs. Here it compiles one for a single row; the text around the row stays, and any number stands in it.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any, cast

from sqlalchemy import ColumnElement, Connection, Dialect, Table, bindparam, column, insert, select, update, values
from sqlalchemy.orm import DeclarativeBase

from act_core.db.servers import ROW

_NAMED = re.compile(r"%\((\w+)\)s")
_OURS = "act_"  # begins the names of what is bound
_NONE: Mapping[str, Any] = {}
Bind = Callable[[Any], Any] | None


@dataclass(frozen=True, slots=True)
class Alike:
    """A place beside the rows for the value of a column in which they are all alike."""

    name: str
    bind: Bind

    def of(self, values: Mapping[str, Any]) -> Any:
        return values[self.name] if self.bind is None else self.bind(values[self.name])


@dataclass(frozen=True, slots=True)
class Form:
    """A statement, taken apart around its row of values."""

    head: str
    row: str
    tail: str
    before: tuple[Any, ...]  # what is bound before the rows, and after them; or an `Alike`
    after: tuple[Any, ...]
    names: tuple[str, ...]  # the columns of a row
    binds: tuple[Bind, ...]  # how the value of each is bound
    defaults: Mapping[str, Any]

    def row_of(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """Values by column, in the order of `names`."""
        full = {**self.defaults, **values} if self.defaults else values
        return tuple([full[name] for name in self.names])

    def send(self, connection: Connection, rows: Sequence[tuple[Any, ...]], alike: Mapping[str, Any] = _NONE) -> None:
        """Execute it for these rows, each in the order of `names`; `alike`: what they share."""
        statement = f"{self.head}{', '.join([self.row] * len(rows))}{self.tail}"
        columns = [_bound(bind, values) for bind, values in zip(self.binds, zip(*rows, strict=True), strict=True)]
        bound = chain.from_iterable(zip(*columns, strict=True))
        before, after = ([_filled(one, alike) for one in some] for some in (self.before, self.after))
        connection.exec_driver_sql(statement, (*before, *bound, *after))


def _filled(one: Any, alike: Mapping[str, Any]) -> Any:
    return one.of(alike) if isinstance(one, Alike) else one


def _bound(bind: Bind, values: Sequence[Any]) -> Sequence[Any]:
    """Values of one column as they are sent; often they are all the same object, such as the time."""
    if bind is None:
        return values
    first = values[0]
    if all([value is first for value in values]):
        return [bind(first)] * len(values)
    return [bind(value) for value in values]


def made_update_form(
    dialect: Dialect,
    model: type[DeclarativeBase],
    names: tuple[str, ...],
    versioned: bool,
    among: tuple[ColumnElement[bool], ...] = (),
    alike: tuple[str, ...] = (),
) -> Form:
    """UPDATE from a list of VALUES: the form that SQLite and MariaDB take alike. `names`: the key's first.

    `alike`: columns that get one value for all rows.
    """
    table = cast(Table, model.__table__)
    columns: list[ColumnElement[Any]] = [column(name, table.c[name].type) for name in names]
    row = tuple(_place(table.c[name]) for name in names)
    source = select(values(*cast(Any, columns), name="v").data([row]).cte("v", nesting=True)).subquery("s")
    written: dict[str, Any] = {name: source.c[name] for name in names[1:]}
    written |= {name: _place(table.c[name]) for name in alike}
    if versioned:
        written["version"] = table.c.version + 1
    same = table.c[names[0]] == source.c[names[0]]
    return _taken_apart(update(table).where(same, *among).values(written).compile(dialect=dialect), dialect, names, {})


update_form = lru_cache(maxsize=256)(made_update_form)


@lru_cache(maxsize=64)
def insert_form(dialect: Dialect, model: type[DeclarativeBase], given: tuple[str, ...]) -> Form:
    """INSERT of rows with these columns; what they leave out has its default, if that is a plain value."""
    table = cast(Table, model.__table__)
    defaults = _defaults(table, given)
    names = tuple(one.key for one in table.c if one.key in given or one.key in defaults)
    made = insert(table).values({name: _place(table.c[name]) for name in names}).inline()
    return _taken_apart(made.compile(dialect=dialect), dialect, names, defaults)


def _defaults(table: Table, given: Collection[str]) -> Mapping[str, Any]:
    left = (one for one in table.c if one.key not in given and one.default is not None)
    return {one.key: cast(Any, one.default).arg for one in left}


def _place(one: Any) -> Any:
    return bindparam(f"{_OURS}{one.key}", type_=one.type)


def _taken_apart(compiled: Any, dialect: Dialect, names: tuple[str, ...], defaults: Mapping[str, Any]) -> Form:
    text, order = str(compiled), compiled.positiontup
    if order is None:
        order = _NAMED.findall(text)
        text = _NAMED.sub("%s", text)
    row = f"({', '.join(['?' if dialect.paramstyle == 'qmark' else '%s'] * len(names))})"
    head, found, tail = text.partition(row)
    first, keys = order.index(f"{_OURS}{names[0]}"), [f"{_OURS}{name}" for name in names]
    last = first + len(keys)
    if not found or order[first:last] != keys:
        raise AssertionError(f"the rows have no place of their own in {text}")
    if head.endswith(ROW):
        head, row = head.removesuffix(ROW), f"{ROW}{row}"

    def bind(name: str) -> Bind:
        return compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect)  # type: ignore[no-any-return]

    def rest(name: str) -> Any:
        place = Alike(name.removeprefix(_OURS), bind(name))
        return place if name.startswith(_OURS) else place.of(compiled.params)

    binds = tuple(bind(key) for key in keys)
    before, after = tuple(map(rest, order[:first])), tuple(map(rest, order[last:]))
    return Form(head, row, tail, before, after, names, binds, defaults)
