"""What storage says over root://, as ours: statuses, checksums, addresses. Pure; codes of XProtocol, XrdClStatus."""

import re
from collections.abc import Mapping

from act_core.storage.base import Fate, Found, Outcome, Place

NOT_FOUND, IS_DIRECTORY = 3011, 3016
_AUTH_FAILED = 204  # of the library, before any request
_MEANING: Mapping[int, Outcome] = {
    3000: Outcome.UNVERIFIABLE,  # an argument that this server does not understand
    3002: Outcome.UNVERIFIABLE,  # a path that is too long
    3006: Outcome.UNVERIFIABLE,  # a request that this server does not know
    3010: Outcome.FORBIDDEN,
    NOT_FOUND: Outcome.ABSENT,
    3013: Outcome.UNVERIFIABLE,
    3015: Outcome.MISMATCH,  # not a file
    IS_DIRECTORY: Outcome.MISMATCH,
    3018: Outcome.MISMATCH,  # a directory that is not empty
    3030: Outcome.FORBIDDEN,
}
# A redirector without the servers that hold the file says so with the number for "not found".
_NO_SERVER = re.compile(r"\[3011\]\s+(?:no|eligible) servers?\b", re.IGNORECASE)
_NO_CHECKSUM = re.compile(r"checksum|not (?:supported|configured|available)", re.IGNORECASE)
_PASSING = re.compile(r"program failed|too many|busy|no such file", re.IGNORECASE)


def meaning(code: int, errno: int, text: str) -> Outcome:
    """What an error says of a file. `code` is the library's, `errno` the server's or 0.

    Only one number is believed for "absent"; what nobody knows is asked again.
    """
    if not errno:
        return Outcome.FORBIDDEN if code == _AUTH_FAILED else Outcome.UNREACHABLE
    if errno == NOT_FOUND and _NO_SERVER.search(text):
        return Outcome.UNREACHABLE
    return _MEANING.get(errno, Outcome.UNREACHABLE)


def without_checksum(code: int, errno: int, text: str) -> Outcome:
    """What an error says that answers the question for the checksum of a file which is there."""
    found = meaning(code, errno, text)
    if found in (Outcome.FORBIDDEN, Outcome.UNVERIFIABLE) or not errno:
        return found
    tells_none = _NO_CHECKSUM.search(text) and not _PASSING.search(text)
    return Outcome.UNVERIFIABLE if tells_none else Outcome.UNREACHABLE


def removal(code: int, errno: int, text: str) -> Fate:
    """What an error says of a file that was to be deleted."""
    fates = {Outcome.ABSENT: Fate.ABSENT, Outcome.UNREACHABLE: Fate.UNREACHABLE}
    return Fate.REFUSED if errno == 3025 else fates.get(meaning(code, errno, text), Fate.REFUSED)


def with_checksum(size: int | None, said: str) -> Found:
    """The answer to a question for a checksum: `adler32 675e9ad4`, sometimes with a NUL behind it."""
    kind, _, digits = said.replace("\0", " ").strip().partition(" ")
    sums = {kind.lower(): digits.strip()}
    return Found(size, sums.get("adler32"), sums.get("md5"))


def server_of(place: Place) -> str:
    """What a connection is made to: the address without its path."""
    scheme = {"xroot": "root"}.get(place.scheme, place.scheme)
    return f"{scheme}://{place.host}"


def path_of(place: Place) -> str:
    """Absolute: `root://host//a` as it is meant, and `root://host/a` as people mean it."""
    return f"/{place.path.lstrip('/')}"


def plain(text: str) -> str:
    """A message of the library for people: without its frame, on one line."""
    return re.sub(r"^\[(?:ERROR|FATAL)\]\s*(?:Server responded with an error:\s*)?", "", " ".join(text.split()))[:300]
