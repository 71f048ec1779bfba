"""JSON web tokens whose signature is of nobody."""

from datetime import datetime
from typing import Any

from act_core.simulators.token_issuer import unsigned


def jwt(**claims: Any) -> bytes:
    """`exp` may be a time."""
    told = {name: int(value.timestamp()) if isinstance(value, datetime) else value for name, value in claims.items()}
    return unsigned(told).encode()
