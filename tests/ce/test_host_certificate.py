"""What is told of a host certificate that is not accepted. Whole texts: tests/cli/test_ce_test.py."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from act_core.ce.host_certificate import authorities, not_accepted
from act_core.simulators.pki import TestPki


@pytest.fixture
def host(pki: TestPki) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pki.host.certificate.read_bytes())


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Authorities of which none has the name of the host's."""
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("act_core.simulators.pki.ORGANISATION", "/O=Elsewhere")
        return TestPki(tmp_path).ca_dir


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (10, "The site has to renew its host certificate"),
        (20, "Put its CA into"),
        (18, "No CA has signed it"),
        (23, "Its CA has revoked it"),
        (62, "with a name of the certificate: localhost, 127.0.0.1, ::1."),
        (12, "renew the revocation lists"),
        (99, "Ask the site"),
    ],
)
def test_what_mends_it(host: x509.Certificate, other: Path, code: int, words: str) -> None:
    why, do = not_accepted(code, "OpenSSL's words.", host, other, "ce", datetime.now(UTC) + timedelta(days=1000))
    said = f"no CA in {other} has signed it" if code == 20 else "OpenSSL's words"
    assert why.startswith(f"its certificate is not accepted: {said} (/DC=org/DC=act-test/CN=localhost")
    assert words in do


@pytest.mark.parametrize("code", [7, 20])
def test_a_ca_of_the_same_name_with_another_key(pki: TestPki, host: x509.Certificate, code: int) -> None:
    """OpenSSL says 20 where the certificates tell the ids of their keys, and 7 where they do not."""
    why, do = not_accepted(code, "…", host, pki.ca_dir, "ce", datetime.now(UTC))
    assert f"/DC=org/DC=act-test/CN=Test CA in {pki.ca_dir} has another key" in why
    assert do.startswith("Has this CA a new key?")


def test_a_ca_that_has_expired_is_not_the_hosts_fault(pki: TestPki, host: x509.Certificate) -> None:
    _, do = not_accepted(10, "certificate has expired", host, pki.ca_dir, "ce", datetime.now(UTC))
    assert do.startswith("It is the certificate of its CA: renew those in")


def test_a_certificate_that_cannot_be_read(pki: TestPki) -> None:
    for code, words in ((10, "The site has to renew"), (62, "it has none"), (7, "Put its CA")):
        why, do = not_accepted(code, "…", None, pki.ca_dir, "ce", datetime.now(UTC))
        assert "it cannot be read" in why
        assert words in do


def test_authorities_of_a_directory_and_of_a_file(pki: TestPki, tmp_path: Path) -> None:
    names = [str(one.subject.rfc4514_string()) for one in authorities(pki.ca_dir)]
    assert names == ["CN=Test CA,DC=act-test,DC=org"]
    assert [str(one.subject.rfc4514_string()) for one in authorities(pki.ca_file)] == names
    (tmp_path / "0123abcd.0").write_text("no certificate")
    (tmp_path / "readme.pem").write_bytes(pki.ca_file.read_bytes())
    assert list(authorities(tmp_path)) == list(authorities(tmp_path / "gone")) == []
