"""Foreign words, made fit to be kept."""

from pathlib import PurePosixPath
from urllib.parse import urlsplit


def clean(text: str) -> str:
    """The text without halves of surrogate pairs, which no database, file or JSON takes."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def host_of(endpoint: str) -> str:
    """The host of an endpoint with or without scheme; of what has none, its last part."""
    found = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}").hostname
    return found or PurePosixPath(endpoint).name
