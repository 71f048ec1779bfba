"""What most commands begin with: settings, the state tables, the clock."""

import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from act_core.cli.out import warn
from act_core.db.bootstrap import open_tables
from act_core.db.ces import HAND, all_ces
from act_core.db.session import Database, make_directory
from act_core.errors import BadInput, ConfigError
from act_core.settings import BadSettings, Loaded, Settings, load_settings, state_directory, taken

_files: dict[str, Path | None] = {"arc": None, "app": None}


def use_files(arc: Path | None, app: Path | None) -> None:
    """Remember the files given on the command line."""
    _files.update(arc=arc, app=app)


def files() -> list[str]:
    """The same files, as words of a command line."""
    return [word for kind, path in _files.items() if path for word in (f"--{kind}-file", str(path.absolute()))]


def read_files() -> Loaded:
    """What the files and the environment say. Raises ConfigError; makes no directory, and warns of nothing."""
    return load_settings(_files["arc"], _files["app"])


def settings(*, quiet: bool = False) -> Settings:
    """The settings; warnings go to stderr. The state directory is there, or ConfigError.

    Where a tower is up and its files have become bad, the last good ones hold for it, and so for who looks at it.
    `quiet`: for what cron runs and mails, which would tell the same of the files each time.
    """
    try:
        loaded = read_files()
    except BadSettings as err:
        if any(_files.values()) or taken.said(state_directory(os.environ)) is None:
            raise
        loaded = Loaded(taken.last_good(os.environ, err), tuple(f"refused: {one}" for one in err.problems), ())
    for warning in () if quiet else loaded.warnings:
        warn(warning)
    make_directory(loaded.settings.state_dir, "$ACT_STATE_DIR")
    return loaded.settings


def text_of(file: Path) -> str:
    """What stands in a file that the command names. Raises BadInput."""
    try:
        return file.read_text(encoding="utf-8")
    except OSError as err:
        raise BadInput(f"{file}: {err.strerror}") from err
    except UnicodeDecodeError as err:
        raise BadInput(f"{file}: not UTF-8, at byte {err.start}") from err


def state_dir() -> Path:
    """The state directory alone, whatever the files say. It is there, or ConfigError."""
    found = state_directory(os.environ)
    make_directory(found, "$ACT_STATE_DIR")
    return found


@contextmanager
def database(held: Settings | None = None) -> Iterator[Database]:
    """The state tables. Raises ConfigError if there are none, or not those of this program."""
    db = open_tables(held or settings())
    try:
        yield db
    finally:
        db.close()


def check_known(asked: Iterable[str], known: Collection[str]) -> None:
    """Raises BadInput, with the known names, for CEs that nobody knows."""
    if unknown := sorted(set(asked) - set(known)):
        raise BadInput(f"no CE {', '.join(map(repr, unknown))}; there are {', '.join(sorted(known)) or 'none'}")


def candidates(held: Settings, db: Database, asked: Collection[str]) -> frozenset[str]:
    """The CEs that may get a job: the ones asked for, or all that are configured or were added by hand."""
    known = {*held.arc.sites, *(row.name for row in db.read(all_ces) if row.origin == HAND)}
    unknown = sorted(set(asked) - known)
    if unknown:
        raise ConfigError(
            f"no CE {', '.join(unknown)} in the configuration; there are {', '.join(sorted(known)) or 'none'}"
        )
    if not known:
        raise ConfigError("no CE is configured: name one under sites in aCTConfigARC.yaml, or `act ces add` one")
    return frozenset(asked or known)


def now() -> datetime:
    return datetime.now(UTC)
