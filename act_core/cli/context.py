"""What most commands begin with: settings, the state tables, the clock."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from act_core.cli.out import warn
from act_core.db.session import Database, make_directory
from act_core.settings import Settings, load_settings

_files: dict[str, Path | None] = {"arc": None, "app": None}


def use_files(arc: Path | None, app: Path | None) -> None:
    """Remember the files given on the command line."""
    _files.update(arc=arc, app=app)


def files() -> list[str]:
    """The same files, as words of a command line."""
    return [word for kind, path in _files.items() if path for word in (f"--{kind}-file", str(path.absolute()))]


def settings() -> Settings:
    """The settings; warnings go to stderr. The state directory is there, or ConfigError."""
    loaded = load_settings(_files["arc"], _files["app"])
    for warning in loaded.warnings:
        warn(warning)
    make_directory(loaded.settings.state_dir, "$ACT_STATE_DIR")
    return loaded.settings


@contextmanager
def database(held: Settings | None = None) -> Iterator[Database]:
    db = Database(held or settings())
    try:
        yield db
    finally:
        db.close()


def now() -> datetime:
    return datetime.now(UTC)
