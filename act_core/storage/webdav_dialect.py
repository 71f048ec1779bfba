"""What answers over https mean (RFC 9110, WebDAV, digests of RFC 3230). Pure."""

import re
from collections.abc import Iterable, Mapping
from urllib.parse import urljoin

from act_core.storage.base import Fate, Found, Outcome, Removal, Verdict, Wanted
from act_core.storage.compare import compare

REDIRECTS = (301, 302, 303, 307, 308)
_REFUSALS: Mapping[int, Outcome] = {
    401: Outcome.FORBIDDEN,
    403: Outcome.FORBIDDEN,
    404: Outcome.ABSENT,
    409: Outcome.MISMATCH,  # XRootD's word for a directory
    410: Outcome.ABSENT,
    408: Outcome.UNREACHABLE,
    423: Outcome.UNREACHABLE,  # somebody writes to it
    425: Outcome.UNREACHABLE,
    429: Outcome.UNREACHABLE,
    501: Outcome.UNVERIFIABLE,  # knows no HEAD
}
_AFTER_DELETE: Mapping[int, Fate] = {
    200: Fate.DELETED,
    202: Fate.DELETED,
    204: Fate.DELETED,
    404: Fate.ABSENT,
    410: Fate.ABSENT,
    408: Fate.UNREACHABLE,
    423: Fate.UNREACHABLE,
    425: Fate.UNREACHABLE,
    429: Fate.UNREACHABLE,
    501: Fate.REFUSED,
}
_LENGTH = re.compile(r"[0-9]{1,18}")
_COLLECTION = re.compile(rb"<(?:[\w.-]+:)?collection\b|<(?:[\w.-]+:)?iscollection>\s*[^0\s]", re.IGNORECASE)
# XRootD leaves the type of a file out, and tells in a property of its own that it is no directory
_KIND = re.compile(rb"<(?:[\w.-]+:)?(?:resourcetype\b|iscollection>\s*0\s*<)", re.IGNORECASE)


def judge(file: Wanted, status: int, headers: Mapping[str, str]) -> Verdict:
    """What an answer to HEAD means for a file. `headers` in any case of letters."""
    if status != 200:
        otherwise = Outcome.UNREACHABLE if status >= 500 else Outcome.UNVERIFIABLE
        return Verdict(_REFUSALS.get(status, otherwise), f"storage answers {status}")
    return compare(file, described(headers))


def described(headers: Mapping[str, str]) -> Found:
    found = {name.lower(): value.strip() for name, value in headers.items()}
    length = found.get("content-length", "")
    sums = dict(_digests(found.get("digest", "").split(",")))
    return Found(int(length) if _LENGTH.fullmatch(length) else None, sums.get("adler32"), sums.get("md5"))


def _digests(values: Iterable[str]) -> Iterable[tuple[str, str]]:
    """`adler32=675e9ad4`, `md5=<base64>`: base64 has signs of equality, too."""
    for value in values:
        kind, _, digits = value.strip().partition("=")
        yield kind.strip().lower(), digits.strip()


def target(url: str, location: str) -> str:
    """Where a redirect leads, as an address; what is none stands as it was said."""
    try:
        return urljoin(url, location)
    except ValueError:
        return location


def removed(status: int) -> Removal:
    """What an answer to DELETE means."""
    otherwise = Fate.UNREACHABLE if status >= 500 else Fate.REFUSED
    fate = _AFTER_DELETE.get(status, otherwise)
    return Removal(fate, "" if fate is Fate.DELETED else f"storage answers {status}")


def not_a_file(status: int, body: bytes) -> Removal | None:
    """What an answer to PROPFIND of depth 0 says against deleting; None: nothing, it is a file.

    DELETE of a collection takes everything in it (RFC 4918, 9.6.1): what is not known as a file is left alone.
    """
    if status != 207:
        return removed(status) if status >= 400 else Removal(Fate.REFUSED, f"storage answers PROPFIND with {status}")
    if _COLLECTION.search(body):
        return Removal(Fate.REFUSED, "it is a directory")
    if not _KIND.search(body):
        return Removal(Fate.REFUSED, "storage does not say whether it is a file or a directory")
    return None
