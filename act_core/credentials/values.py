"""What is known of a credential."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Credential:
    """A proxy file (certificate, key, chain in PEM) and until when it is good."""

    proxy: Path
    subject: str
    expires: datetime
    roles: tuple[str, ...] = ()
