"""Endpoints of CEs: when two texts mean the same place."""

from collections.abc import Mapping
from urllib.parse import urlsplit

# Default ports of back ends whose endpoint is an address.
ADDRESSED: Mapping[str, int] = {"arc-rest": 443, "htcondor": 9619}


def place_of(endpoint: str, kind: str) -> str:
    """The endpoint in the one form that all its spellings have: case, default port and path, slash at the end."""
    if not endpoint or kind not in ADDRESSED:
        return endpoint
    try:
        url = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
        host, port = (url.hostname or "").rstrip("."), url.port or ADDRESSED[kind]
    except ValueError:
        return endpoint
    return f"{host}:{port}{url.path.rstrip('/') or '/arex' if kind == 'arc-rest' else ''}"
