"""Who asks, and what they may: users and tokens of the configuration, read again when it changes."""

import hashlib
import hmac
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from act_core.credentials.tls import require_private
from act_core.errors import ActError, ConfigError
from act_core.logs import log
from act_core.settings import Settings, load_settings
from act_core.settings.web import ApiToken, Web
from act_core.web import passwords

logger = log(__name__)
LOOK_S = 2.0  # between looks at the files of the configuration
ANONYMOUS = "anonymous"
_NOBODYS = f"scrypt$15$8$1${'A' * 22}${'A' * 43}"  # tried for unknown names: they take as long as known ones


class Role(IntEnum):
    """Each may what those below it may."""

    NONE = 0
    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3

    @property
    def word(self) -> str:
        return self.name.lower()


ROLES: Mapping[str, Role] = {role.word: role for role in Role}


@dataclass(frozen=True, slots=True)
class Who:
    """Whoever asks. `digest`: of role and password; another one when either was changed."""

    name: str
    role: Role
    digest: str = ""
    by: str = "session"  # session, token, nobody

    def may(self, role: Role) -> bool:
        return self.role >= role


NOBODY = Who("", Role.NONE, by="nobody")


@dataclass(frozen=True, slots=True)
class _Known:
    role: Role
    password: str


class People:
    """The users and tokens that hold now."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._files, self._web = settings, settings.files, settings.arc.web
        self._lock, self._looked = threading.Lock(), time.monotonic()
        self._key = passwords.signing_key(settings)
        self._users = self._read(self._web)
        self._marks = self._marked()

    @property
    def key(self) -> bytes:
        return self._key

    def check(self, name: str, password: str) -> Who | None:
        """Who signs in with this password; takes as long for a name that is unknown."""
        known = self._now().get(name)
        right = passwords.fits(password, known.password if known else _NOBODYS)
        return self._who(name, known) if known and right else None

    def again(self, name: str, digest: str) -> Who | None:
        """The owner of a session; None: the role or the password is no longer what it was, or the user is gone."""
        known = self._now().get(name)
        who = self._who(name, known) if known else None
        return who if who and hmac.compare_digest(who.digest, digest) else None

    def by_token(self, token: str) -> Who | None:
        """Whose token it is."""
        self._now()
        found = passwords.digest_of(token)
        who = None
        for name, one in self._web.tokens.items():  # all of them: time tells nothing
            if hmac.compare_digest(found, _digest(name, one)):
                who = Who(name, ROLES[one.role], by="token")
        return who

    def anonymous(self) -> Who:
        self._now()
        allowed = self._web.anonymous == "viewer"
        return Who(ANONYMOUS, Role.VIEWER, by="nobody") if allowed else NOBODY

    def _who(self, name: str, known: _Known) -> Who:
        said = f"{name}\0{known.role.word}\0{known.password}".encode()
        return Who(name, known.role, hmac.new(self._key, said, hashlib.sha256).hexdigest()[:32])

    def _read(self, web: Web) -> Mapping[str, _Known]:
        if web.users:
            return {name: _Known(ROLES[one.role], one.password.get_secret_value()) for name, one in web.users.items()}
        first = passwords.first_password(self._settings)
        return {passwords.FIRST_USER: _Known(Role.ADMIN, passwords.hashed(first))}

    def _now(self) -> Mapping[str, _Known]:
        """Read again what was changed; what cannot be read changes nothing, and is told in the log."""
        with self._lock:
            if time.monotonic() - self._looked >= LOOK_S:
                self._looked = time.monotonic()
                marks = self._marked()
                if marks != self._marks:
                    self._marks = marks
                    self._renew()
            return self._users

    def _renew(self) -> None:
        try:
            if self._files:
                self._web = load_settings(self._files.get("arc"), self._files.get("app")).settings.arc.web
            self._users = self._read(self._web)
        except ActError as err:
            logger.warning("the configuration was changed and is not good; people are as before: %s", err)

    def _marked(self) -> tuple[tuple[str, int, int], ...]:
        """Another one when a file of the configuration, or the first user's password, was written."""
        found = []
        for path in (*self._files.values(), self._settings.page_password):
            try:
                stat = path.stat()
                found.append((str(path), stat.st_mtime_ns, stat.st_size))
            except OSError:
                found.append((str(path), 0, 0))
        return tuple(found)


def _digest(name: str, token: ApiToken) -> str:
    """Nobody's digest for a file that cannot be read: its token opens nothing."""
    if token.sha256:
        return token.sha256
    try:
        assert token.tokenfile is not None
        return passwords.digest_of(_private(token.tokenfile))
    except ActError as err:
        logger.warning("the token of %s opens nothing: %s", name, err)
        return "0" * 64


def _private(path: Path) -> str:
    """Raises ConfigError."""
    require_private(path)
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(f"{path}: cannot be read: {err}") from err
    if len(text) < passwords.SHORTEST:
        raise ConfigError(f"{path}: a token has at least {passwords.SHORTEST} characters")
    return text
