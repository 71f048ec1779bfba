"""Files of secrets: nobody else can read them at any moment, and a reader sees the old content or the new."""

import os
import stat
import tempfile
from pathlib import Path

from act_core.errors import ConfigError, CredentialError

Mark = tuple[int, int, int]  # another one when a file has been replaced or written


def mark_of(found: os.stat_result) -> Mark:
    return found.st_ino, found.st_mtime_ns, found.st_size


def file_mark(path: Path) -> Mark:
    """Raises CredentialError for a file that is not there, or not ours to look at."""
    try:
        return mark_of(os.stat(path))  # noqa: PTH116 - on the hot path
    except OSError as err:
        raise CredentialError(f"{path} cannot be read: {err.strerror}") from err


def write_private(path: Path, content: bytes) -> None:
    """Replaces the file (0600) in one step; the threads of a process do not meet in their drafts. Raises OSError."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    draft = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(handle)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def private_directory(path: Path) -> Path:
    """The directory, made (0700) if it is not there. Raises ConfigError for one that others own, write to or read."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = path.stat()
    except OSError as err:
        raise ConfigError(f"{path}: no credentials can be kept there: {err.strerror}") from err
    if found.st_uid != os.geteuid():
        raise ConfigError(f"{path} belongs to another account, and credentials are kept there: run as that, or move it")
    if stat.S_IMODE(found.st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"{path} is open to others, and credentials are kept there: chmod 700 {path}")
    return path
