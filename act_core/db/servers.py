"""Where MySQL differs from MariaDB in what the tower asks of them, and which versions are old enough to be refused.

One form of each statement is written for all databases (docs/backup.md lists what is known to differ). What follows is
what SQLAlchemy does not do by itself.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import Values

from act_core.errors import ConfigError

OLDEST = {"MariaDB": (10, 6), "MySQL": (8, 0, 19)}  # RETURNING, nested CTEs; MySQL: VALUES ROW(…)
# The same for both, whatever the server's own default is; MySQL's would refuse what MariaDB's takes.
SQL_MODE = "STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"

ROW = "ROW"  # what MySQL wants before each row of VALUES


def check_server(connection: Connection) -> None:
    """Raises ConfigError for a server that is too old."""
    if trouble := too_old(connection.dialect):
        raise ConfigError(trouble)


def too_old(dialect: Dialect) -> str | None:
    """Why this server will not do."""
    if dialect.name == "sqlite":
        return None
    kind = "MariaDB" if getattr(dialect, "is_mariadb", False) else "MySQL"
    found = tuple(part for part in dialect.server_version_info or () if isinstance(part, int))
    if found >= OLDEST[kind]:
        return None
    versions = " and ".join(f"{name} {_dotted(oldest)}" for name, oldest in OLDEST.items())
    return f"the database server is {kind} {_dotted(found)}: {versions} are the oldest that the tower works with"


def _dotted(version: Sequence[int]) -> str:
    return ".".join(map(str, version))


@compiles(Values, "mysql")
def _rows(element: Values, compiler: Any, **kw: Any) -> str:
    """MySQL wants `VALUES ROW(1, 2)` where SQLite and MariaDB want `VALUES (1, 2)`."""
    text: str = compiler.visit_values(element, **kw)
    return text if compiler.dialect.is_mariadb else "".join(_with_row(text))


def _with_row(text: str) -> Iterator[str]:
    depth = 0
    for char in text:
        if char == "(" and depth == 0:
            yield ROW
        depth += {"(": 1, ")": -1}.get(char, 0)
        yield char
