"""Tables of applications: beside the engine's, made by themselves, and read by nobody else."""

from sqlalchemy import MetaData, inspect
from sqlalchemy.orm import Session

from act_core.db.models import BYTES, NAMES
from act_core.errors import ConfigError


def own_tables() -> MetaData:
    """Where an application's tables are declared: names of keys and indexes as the engine's have them."""
    return MetaData(naming_convention=NAMES)


def make_tables(session: Session, app: str, metadata: MetaData) -> None:
    """Make those that are not there. Raises ConfigError for a name without the application's, or a missing column.

    A column that a newer version of the application needs is added by its own `bootstrap`, before this.
    """
    for table in metadata.tables.values():
        if not table.name.startswith(f"{app}_"):
            raise ConfigError(f"application {app}: its table {table.name!r} is to be named {app}_…")
        table.dialect_kwargs.update(BYTES)
    connection = session.connection()
    metadata.create_all(connection)
    found = inspect(connection)
    for table in metadata.tables.values():
        there = {column["name"] for column in found.get_columns(table.name)}
        if missing := [column.name for column in table.columns if column.name not in there]:
            raise ConfigError(
                f"application {app}: the table {table.name} is an older one, without {', '.join(missing)}: "
                "its bootstrap adds them"
            )
