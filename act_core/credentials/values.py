"""What is known of a credential."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

NEVER = datetime(9999, 1, 1, tzinfo=UTC)  # the end of a token that tells none


@dataclass(frozen=True, slots=True)
class Credential:
    """A proxy file (certificate, key, chain in PEM) and until when all of it is good, VOMS attributes included."""

    proxy: Path
    subject: str
    expires: datetime
    roles: tuple[str, ...] = ()  # VOMS FQANs, the first is the one that CEs map


@dataclass(frozen=True, slots=True)
class Bearer:
    """A bearer token, and what it says of itself; whether that is true is for those who are shown it."""

    file: Path
    text: str = field(repr=False)
    subject: str  # `issuer/sub`
    expires: datetime
    scopes: tuple[str, ...] = ()
    audience: tuple[str, ...] = ()


Shown = Credential | Bearer
