"""As whom the tower speaks to PanDA: a proxy in the TLS handshake, or a bearer token. Both are re-read when renewed."""

import ssl
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from act_core.credentials.certificates import read_pem
from act_core.credentials.private import Mark, mark_of
from act_core.credentials.tls import client_context, require_private
from act_core.credentials.tokens import read_token
from act_core.errors import CredentialError

TOKEN_AGE = 600.0  # seconds after which a token is read again though its file looks the same


class Access(Protocol):
    """Gives what a request needs. Raises CredentialError, ConfigError."""

    def present(self) -> tuple[ssl.SSLContext, Mapping[str, str]]:
        """The TLS context and the headers to send."""
        ...


class ProxyAccess:
    """A VOMS proxy as client certificate.

    An expired one is not presented: in TLS 1.3 the server's refusal may look like a broken connection.
    """

    def __init__(self, ca: Path, proxy: Path) -> None:
        self._ca, self._proxy = ca, proxy
        self._mark: Mark | None = None
        self._context: ssl.SSLContext | None = None
        self._expires = datetime.max.replace(tzinfo=UTC)

    def present(self) -> tuple[ssl.SSLContext, Mapping[str, str]]:
        mark = mark_of(require_private(self._proxy))
        if self._context is None or mark != self._mark:
            self._context, self._expires = client_context(self._ca, self._proxy), _expiry(self._proxy)
            self._mark = mark
        if self._expires <= datetime.now(UTC):
            raise CredentialError(f"the proxy {self._proxy} expired at {self._expires:%Y-%m-%d %H:%M:%S} UTC")
        return self._context, {}


class TokenAccess:
    """A bearer token; `origin` (`atlas.production`) tells PanDA which issuer and role it is to look for."""

    def __init__(self, ca: Path, file: Path, origin: str) -> None:
        self._file, self._origin = file, origin
        self._context = client_context(ca)
        self._mark: Mark | None = None
        self._read_at = 0.0
        self._headers: Mapping[str, str] = {}

    def present(self) -> tuple[ssl.SSLContext, Mapping[str, str]]:
        mark = mark_of(require_private(self._file))
        if mark != self._mark or time.monotonic() - self._read_at > TOKEN_AGE:
            self._headers = {"Authorization": f"Bearer {read_token(self._file)}", "Origin": self._origin}
            self._mark, self._read_at = mark, time.monotonic()
        return self._context, self._headers


def _expiry(proxy: Path) -> datetime:
    """When the first certificate of the chain ends."""
    try:
        chain = read_pem(proxy.read_bytes())
    except (OSError, ValueError) as err:
        raise CredentialError(f"the proxy {proxy} cannot be read: {err}") from err
    return min(certificate.not_valid_after_utc for certificate in chain)
