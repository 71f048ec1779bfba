"""`act web`: hashes and tokens for the configuration, and where it does not listen."""

import io
import re
import stat
from pathlib import Path

import pytest

from act_core.settings.web import HASH
from act_core.web.passwords import digest_of, fits
from tests.cli.conftest import Act


def test_a_password_is_asked_for_and_its_hash_is_printed(bare: Act, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("a-good-password\n"))
    said = bare("web", "password")
    assert HASH.fullmatch(said.out.strip())
    assert fits("a-good-password", said.out.strip())
    assert "a-good-password" not in said.out + said.err


def test_a_short_password_is_refused(bare: Act, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    said = bare("web", "password")
    assert (said.code, "at least 10 characters" in said.err) == (2, True)


def test_a_token_comes_with_its_digest(bare: Act) -> None:
    said = bare("web", "token", "--json").json
    assert said["sha256"] == digest_of(said["token"])
    assert len(said["token"]) > 40


def test_the_page_is_not_opened_to_others_without_users(bare: Act) -> None:
    said = bare("web", "--host", "0.0.0.0")
    assert said.code == 2
    assert re.search(r"0\.0\.0\.0 can be reached from other machines, and there are no web\.users", said.err)


def test_what_the_page_keeps_is_for_us_alone(bare: Act, place: Path) -> None:
    (place / "aCTConfigARC.yaml").write_text("web: {users: {vera: {password: plain}}}\n")
    said = bare("web")
    assert (said.code, "act web password" in said.err, "plain" in said.err) == (2, True, False)
    assert not any(stat.S_IMODE(one.stat().st_mode) & 0o077 for one in (place / "state").rglob("web/*"))
