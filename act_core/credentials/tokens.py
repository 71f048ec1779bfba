"""Bearer tokens: read from private files, and what a JWT says of itself."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from act_core.credentials.tls import require_private
from act_core.credentials.values import NEVER, Bearer
from act_core.errors import CredentialError
from act_core.foreign import read_json

LARGEST = 64 * 1024  # bytes


def read_token(file: Path) -> str:
    """The token in a private file. Raises CredentialError: not there, readable by others, or no token."""
    require_private(file)
    try:
        with file.open(encoding="ascii") as lines:
            text = lines.read(LARGEST).strip()
    except (OSError, UnicodeDecodeError) as err:
        raise CredentialError(f"the token {file} cannot be read: {type(err).__name__}") from err
    if not _possible(text):
        raise CredentialError(f"{file} holds no token")
    return text


def _possible(text: str) -> bool:
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


def load_token(file: Path, now: datetime) -> Bearer:
    """A JWT and what it says of itself; its signature is not looked at, as it is not for us.

    Raises CredentialError: as `read_token`, or it is no JWT, or it has expired.
    """
    found = bearer(file, read_token(file))
    if found.expires <= now:
        raise CredentialError(f"the token {file} expired at {found.expires:%Y-%m-%d %H:%M:%S} UTC: renew it")
    return found


def bearer(file: Path, text: str) -> Bearer:
    """Raises CredentialError for what is no JWT; the token itself is never part of the words."""
    claims = _claims(file, text)
    issuer, subject = _text(claims, "iss").rstrip("/"), _text(claims, "sub")
    if not issuer and not subject:
        raise CredentialError(f"the token {file} names neither issuer nor subject")
    return Bearer(
        file=file,
        text=text,
        subject=f"{issuer}/{subject}",
        expires=_end(file, claims.get("exp")),
        scopes=tuple(_text(claims, "scope").split()),
        audience=_several(claims.get("aud")),
    )


def _claims(file: Path, text: str) -> Mapping[str, Any]:
    try:
        if not _possible(text):
            raise ValueError("no characters of a token")  # noqa: TRY301 - a verdict on foreign text
        _header, body, _signature = text.split(".")
        claims = read_json(base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True))
        if not isinstance(claims, dict):
            raise ValueError("its claims are no object")  # noqa: TRY004, TRY301 - a verdict on foreign text
    except ValueError as err:
        raise CredentialError(f"{file} holds no JSON web token") from err
    return claims


def _text(claims: Mapping[str, Any], name: str) -> str:
    """A claim of text."""
    value = claims.get(name)
    return _printable(value) if isinstance(value, str) else ""


def _printable(text: str) -> str:
    """Control characters of strangers are left out, and halves of characters."""
    return "".join(one for one in text if one.isprintable())


def _several(value: object) -> tuple[str, ...]:
    every = value if isinstance(value, list) else [value]
    return tuple(_printable(one) for one in every if isinstance(one, str))


def _end(file: Path, value: object) -> datetime:
    if value is None:
        return NEVER
    try:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError("a number is wanted")  # noqa: TRY004, TRY301 - a verdict on foreign text
        return min(datetime.fromtimestamp(value, UTC), NEVER)
    except (ValueError, OverflowError, OSError) as err:
        raise CredentialError(f"the token {file} does not say when it ends") from err
