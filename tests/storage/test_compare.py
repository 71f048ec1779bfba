"""Sizes and checksums as servers and pilots write them, and what statuses mean."""

import pytest

from act_core.storage.base import Fate, Outcome, Place, Wanted, place_of
from act_core.storage.webdav_dialect import judge, not_a_file, removed

MD5 = "5d41402abc4b2a76b9719d911017c592"


@pytest.mark.parametrize(
    ("headers", "wanted", "outcome"),
    [
        ({"Digest": "adler32=1a2b"}, {"adler32": "00001a2b"}, Outcome.MATCH),
        ({"digest": "ADLER32=00001A2B"}, {"adler32": "1a2b"}, Outcome.MATCH),
        ({"Digest": "md5=abc=, adler32=1a2b"}, {"adler32": "1A2B"}, Outcome.MATCH),
        ({"Digest": "adler32=1a2c"}, {"adler32": "1a2b"}, Outcome.MISMATCH),
        ({"Digest": "adler32=zzz"}, {"adler32": "1a2b"}, Outcome.UNVERIFIABLE),
        ({"Digest": "md5=abc"}, {"adler32": "1a2b"}, Outcome.UNVERIFIABLE),
        ({"Digest": "adler32=1a2b"}, {"adler32": "xyz"}, Outcome.UNVERIFIABLE),
        ({"Digest": "md5=XUFAKrxLKna5cZ2REBfFkg=="}, {"md5": MD5}, Outcome.MATCH),
        ({"Digest": f"MD5={MD5.upper()}"}, {"md5": MD5}, Outcome.MATCH),
        ({"Digest": "md5=XUFAKrxLKna5cZ2REBfFkg=="}, {"md5": MD5[::-1]}, Outcome.MISMATCH),
        ({"Digest": "md5=!!"}, {"md5": MD5}, Outcome.UNVERIFIABLE),
        ({"Digest": "adler32=1a2b,md5=XUFAKrxLKna5cZ2REBfFkg=="}, {"adler32": "1a2b", "md5": MD5}, Outcome.MATCH),
        ({"Digest": "adler32=1a2c,md5=XUFAKrxLKna5cZ2REBfFkg=="}, {"adler32": "1a2b", "md5": MD5}, Outcome.MISMATCH),
        ({"Digest": "adler32=1a2b", "Content-Length": "9"}, {"adler32": "1a2b"}, Outcome.MATCH),
        ({"Digest": "adler32=1a2b", "Content-Length": "8"}, {"adler32": "1a2b"}, Outcome.MISMATCH),
        ({"Digest": "adler32=1a2b", "Content-Length": "-1"}, {"adler32": "1a2b"}, Outcome.MATCH),
        ({"Digest": "adler32=1a2b", "Content-Length": "9" * 5000}, {"adler32": "1a2b"}, Outcome.MATCH),
        ({}, {"adler32": None}, Outcome.UNVERIFIABLE),
    ],
    ids=lambda value: str(value)[:60],
)
def test_headers_as_servers_write_them(
    headers: dict[str, str], wanted: dict[str, str | None], outcome: Outcome
) -> None:
    file = Wanted("https://h/x", 9, wanted.get("adler32"), wanted.get("md5"))
    assert judge(file, 200, headers).outcome is outcome


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (403, Outcome.FORBIDDEN),
        (404, Outcome.ABSENT),
        (410, Outcome.ABSENT),
        (409, Outcome.MISMATCH),
        (400, Outcome.UNVERIFIABLE),
        (501, Outcome.UNVERIFIABLE),
        (503, Outcome.UNREACHABLE),
        (507, Outcome.UNREACHABLE),
    ],
)
def test_only_a_clear_no_is_absent(status: int, outcome: Outcome) -> None:
    assert judge(Wanted("https://h/x", 9, "1"), status, {"Content-Length": "9"}).outcome is outcome


@pytest.mark.parametrize(
    ("status", "fate"),
    [(204, Fate.DELETED), (404, Fate.ABSENT), (403, Fate.REFUSED), (405, Fate.REFUSED), (503, Fate.UNREACHABLE)],
)
def test_what_an_answer_to_delete_means(status: int, fate: Fate) -> None:
    assert removed(status).fate is fate


@pytest.mark.parametrize(
    ("status", "body", "fate"),
    [
        (207, b"<D:prop><lp1:resourcetype><D:collection/></lp1:resourcetype></D:prop>", Fate.REFUSED),
        (207, b"<prop><resourcetype><collection xmlns='DAV:'/></resourcetype></prop>", Fate.REFUSED),
        (207, b"<D:prop><lp1:iscollection>1</lp1:iscollection></D:prop>", Fate.REFUSED),
        (207, b"<D:prop><lp1:iscollection> TRUE</lp1:iscollection><D:resourcetype/></D:prop>", Fate.REFUSED),
        (207, b"<D:prop><D:getcontentlength>5</D:getcontentlength></D:prop>", Fate.REFUSED),
        (207, b"<D:prop><lp1:iscollection>0</lp1:iscollection></D:prop>", None),
        (207, b"<D:prop><D:resourcetype/></D:prop>", None),
        (200, b"<html>", Fate.REFUSED),
        (404, b"", Fate.ABSENT),
        (502, b"", Fate.UNREACHABLE),
    ],
)
def test_only_what_is_known_as_a_file_may_be_deleted(status: int, body: bytes, fate: Fate | None) -> None:
    removal = not_a_file(status, body)
    assert (removal and removal.fate) is fate


@pytest.mark.parametrize(
    "url",
    [
        "", "x", "https://", "https://h:99999/x", "https://h/a b", "http://h/x", "srm://h/x", "https://me:pw@h/x",
        "https://h/a\nb", "https://[::1/x", "https://h/" + "x" * 5000, "file://elsewhere/x", "https://h/x#y", "https:///x",
    ],
)  # fmt: skip
def test_what_is_no_address(url: str) -> None:
    assert place_of(url) is None


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("https://SE.example.org/a/b", "se.example.org:443", "/a/b"),
        ("davs://se.example.org:2880/a%20b?x=1", "se.example.org:2880", "/a%20b?x=1"),
        ("root://se.example.org//store/x", "se.example.org:1094", "//store/x"),
        ("https://[::1]:8443/x", "[::1]:8443", "/x"),
        ("file:///data/x", "this machine", "/data/x"),
        ("file://localhost/data/x", "this machine", "/data/x"),
    ],
)
def test_addresses_are_taken_apart(url: str, host: str, path: str) -> None:
    place = place_of(url)
    assert isinstance(place, Place)
    assert (place.host, place.path) == (host, path)
