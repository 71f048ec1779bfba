"""Secrets of jobs at rest: sealed with a key that lies in a file beside the database, never in it."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import SecretStr

from act_core.credentials.private import Mark, file_mark, write_private
from act_core.credentials.tls import require_private
from act_core.errors import ConfigError, CredentialError
from act_core.settings.model import Settings

NEW_KEY = "act credentials rotate-key"
_REPLACE = f"copy it from the machine of this tower that has it, or move it away and make one: `{NEW_KEY}`"
_COPY = f"copy it from the machine of this tower that has it, or make one: `{NEW_KEY}`"


def key_file(settings: Settings) -> Path:
    """A key a line: the first one seals, all of them open."""
    return settings.arc.secrets.keyfile or settings.state_dir / "secrets.key"


class Vault:
    """Seals and opens. The file is read again when it has changed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: tuple[Mark, MultiFernet] | None = None

    def seal(self, text: str) -> bytes:
        """About a third longer than the text's UTF-8. Raises CredentialError: there is no key."""
        return self._keys().encrypt(text.encode())

    def open(self, sealed: bytes) -> SecretStr:
        """Raises CredentialError: there is no key, or not the one that sealed it."""
        try:
            return SecretStr(self._keys().decrypt(sealed).decode())
        except InvalidToken:
            raise CredentialError(
                f"{self.path} does not hold the key that sealed the secrets of this job: add that key's line to it, "
                "from the machine of this tower that took the job (docs/secrets.md)"
            ) from None

    def _keys(self) -> MultiFernet:
        try:
            mark = file_mark(self.path)
        except CredentialError as err:
            raise CredentialError(f"{err}; it holds the key for the secrets of jobs: {_COPY}") from err
        if self._read is None or self._read[0] != mark:
            self._read = mark, MultiFernet([Fernet(line) for line in _lines(self.path)])
        return self._read[1]

    async def close(self) -> None:
        self._read = None


def make_key(settings: Settings, first: bool) -> str | None:
    """See to it that there is a key file. `first`: this machine made the tables, so that no other one can have a key.

    Returns what the operator has to do; None: nothing. Raises ConfigError if no file can be written.
    """
    path = key_file(settings)
    try:
        if path.exists():
            return None
        if not first:
            return f"{path}: there is no key for the secrets of jobs here: {_COPY} (docs/secrets.md)"
        _make(path)
    except OSError as err:
        raise _unwritable(path, err) from err
    return None


def rotate(settings: Settings) -> int:
    """Put a new key before the others; returns how many there are now.

    Raises CredentialError for a file that cannot be read or has something else in it, ConfigError for a place where
    none can be written.
    """
    path = key_file(settings)
    try:
        older = _lines(path) if path.exists() else []
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(path, b"".join(line + b"\n" for line in (Fernet.generate_key(), *older)))
    except OSError as err:
        raise _unwritable(path, err) from err
    return len(older) + 1


def _make(path: Path) -> None:
    """Whole from its first moment; of two that do so at once, the first one wins. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(Fernet.generate_key() + b"\n")
            file.flush()
            os.fsync(handle)
        with suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        Path(draft).unlink(missing_ok=True)


def _lines(path: Path) -> list[bytes]:
    """The keys of a file that only its owner can read. Raises CredentialError, which says nothing of its content."""
    require_private(path)
    try:
        lines = [line.strip() for line in path.read_bytes().splitlines() if line.strip()]
    except OSError as err:
        raise CredentialError(f"{path} cannot be read: {err.strerror}") from err
    try:
        for line in lines:
            Fernet(line)
    except ValueError:
        raise CredentialError(f"{path}: a line of it is no key for the secrets of jobs: {_REPLACE}") from None
    if not lines:
        raise CredentialError(f"{path}: there is no key in it: {_REPLACE}")
    return lines


def _unwritable(path: Path, err: OSError) -> ConfigError:
    return ConfigError(f"{path}: the key for the secrets of jobs cannot be written: {err.strerror}")
