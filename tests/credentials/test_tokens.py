"""Tokens: what a JWT says of itself, and what is none."""

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from act_core.credentials.tokens import bearer, load_token
from act_core.credentials.values import NEVER
from act_core.errors import CredentialError
from act_core.simulators.pki import write_private
from tests.credentials.jwts import jwt

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def _file(tmp_path: Path, content: bytes) -> Path:
    write_private(tmp_path / "a.token", content)
    return tmp_path / "a.token"


def test_what_a_token_says(tmp_path: Path) -> None:
    text = jwt(iss="https://iam/", sub="robot", exp=NOW + HOUR, scope="compute.read compute.modify", aud=["ce", 5])
    found = load_token(_file(tmp_path, b"\n" + text + b" \n"), NOW)
    assert (found.subject, found.expires) == ("https://iam/robot", NOW + HOUR)
    assert (found.scopes, found.audience) == (("compute.read", "compute.modify"), ("ce",))
    assert found.text == text.decode()
    assert found.text not in repr(found)


@pytest.mark.parametrize(
    ("claims", "expires"),
    [
        pytest.param({}, NEVER, id="no end"),
        pytest.param({"exp": 1e14}, None, id="far beyond all calendars"),
        pytest.param({"exp": "tomorrow"}, None, id="words"),
        pytest.param({"exp": True}, None, id="a truth"),
        pytest.param({"exp": float("nan")}, None, id="no number"),
        pytest.param({"exp": 253_402_300_000}, NEVER, id="the last day"),
    ],
)
def test_ends(claims: dict[str, object], expires: datetime | None) -> None:
    text = jwt(iss="i", sub="s", **claims).decode()
    if expires is None:
        with pytest.raises(CredentialError, match="does not say when it ends"):
            bearer(Path("t"), text)
    else:
        assert bearer(Path("t"), text).expires == expires


def test_an_expired_token_says_so(tmp_path: Path) -> None:
    file = _file(tmp_path, jwt(iss="i", sub="s", exp=NOW))
    with pytest.raises(CredentialError, match=r"a\.token expired at 2026-03-01 12:00:00 UTC: renew it"):
        load_token(file, NOW)
    assert load_token(file, NOW - timedelta(seconds=1)).subject == "i/s"


def test_others_must_not_read_it(tmp_path: Path) -> None:
    file = _file(tmp_path, jwt(iss="i", sub="s"))
    file.chmod(0o640)
    with pytest.raises(CredentialError, match="chmod 600"):
        load_token(file, NOW)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"two words", id="words"),
        pytest.param(b"\xff\xfe", id="no ASCII"),
        pytest.param(b"opaque", id="no JWT"),
        pytest.param(b"a.b", id="two parts"),
        pytest.param(b"a.!!.c", id="no base64"),
        pytest.param(b"a." + base64.urlsafe_b64encode(b"[1]") + b".c", id="no object"),
        pytest.param(b"a." + base64.urlsafe_b64encode(b"[" * 20_000) + b".c", id="deep"),
        pytest.param(jwt(scope="x"), id="of nobody"),
    ],
)
def test_what_is_no_token(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(CredentialError, match=r"a\.token") as told:
        load_token(_file(tmp_path, content), NOW)
    assert len(str(told.value)) < 200 + len(str(tmp_path))  # the token itself is never told


@settings(max_examples=100)
@given(st.text(max_size=60))
def test_any_text(text: str) -> None:
    for candidate in (text, f"a.{base64.urlsafe_b64encode(text.encode('utf-8', 'replace')).decode()}.c"):
        try:
            found = bearer(Path("t"), candidate)
        except CredentialError:
            continue
        assert found.subject.isprintable()
