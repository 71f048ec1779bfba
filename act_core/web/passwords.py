"""Passwords of people and tokens of programs: what is kept of them opens nothing."""

import base64
import hashlib
import hmac
import secrets
import threading
from pathlib import Path

from act_core.credentials.private import write_private
from act_core.credentials.tls import require_private
from act_core.db.session import make_directory
from act_core.errors import ConfigError
from act_core.settings import Settings
from act_core.settings.web import HASH

COST, BLOCK, PARALLEL = 15, 8, 1  # 32 MB and about a tenth of a second
TWICE = 2  # as many passwords are tried at once: guessing cannot take the machine's memory
SHORTEST, LONGEST = 10, 256
FIRST_USER = "admin"
_turns = threading.BoundedSemaphore(TWICE)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _derived(password: str, salt: bytes, cost: int, block: int, parallel: int) -> bytes:
    with _turns:
        return hashlib.scrypt(password.encode(), salt=salt, n=1 << cost, r=block, p=parallel, maxmem=1 << 28, dklen=32)


def hashed(password: str) -> str:
    """What `web.users.NAME.password` holds."""
    salt = secrets.token_bytes(16)
    derived = _derived(password, salt, COST, BLOCK, PARALLEL)
    return f"scrypt${COST}${BLOCK}${PARALLEL}${_text(salt)}${_text(derived)}"


def fits(password: str, kept: str) -> bool:
    """Whether it is the password of this hash."""
    if not HASH.fullmatch(kept) or len(password) > LONGEST:
        return False
    _, cost, block, parallel, salt, derived = kept.split("$")
    found = _derived(password, _raw(salt), int(cost), int(block), int(parallel))
    return hmac.compare_digest(found, _raw(derived))


def too_weak(password: str) -> str | None:
    """Why it is refused as a new one."""
    if len(password) < SHORTEST:
        return f"a password has at least {SHORTEST} characters"
    return f"a password has at most {LONGEST} characters" if len(password) > LONGEST else None


def digest_of(token: str) -> str:
    """What `web.tokens.NAME.sha256` holds: tokens are long and random, so that a plain digest is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def new_token() -> str:
    return secrets.token_urlsafe(32)


def first_password(settings: Settings) -> str:
    """The password of the first user, where none is configured; made at the first call (0600)."""
    return _kept(settings.page_password, secrets.token_urlsafe(15))


def signing_key(settings: Settings) -> bytes:
    """What sessions are signed with; made at the first call (0600). To end all sessions, remove the file."""
    return _kept(settings.page_password.with_name("key"), secrets.token_urlsafe(32)).encode()


def _kept(file: Path, fresh: str) -> str:
    make_directory(file.parent, "$ACT_STATE_DIR")
    try:
        if not file.exists():
            write_private(file, f"{fresh}\n".encode())
        require_private(file)
        found = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(f"{file}: cannot be read or made: {err}") from err
    if not found:
        raise ConfigError(f"{file} is empty: remove it, and a new one is made")
    return found
