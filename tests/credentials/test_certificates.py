"""Certificates of strangers that no library reads to the end: everywhere one verdict, and no traceback."""

import re
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from act_core.atlas.panda_access import ProxyAccess
from act_core.ce.host_certificate import authorities
from act_core.credentials.certificates import read_der, read_pem
from act_core.credentials.proxy import read_proxy, sign_delegation
from act_core.credentials.tls import client_context
from act_core.errors import CredentialError
from act_core.simulators.arc_delegations import certificate_request
from act_core.simulators.pki import TestPki, write_private

DER, PEM = serialization.Encoding.DER, serialization.Encoding.PEM
USAGE, CONSTRAINTS = bytes.fromhex("0603551d0f"), bytes.fromhex("0603551d13")
ORGANISATION = re.compile(rb"\x06\x0a\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19.\x03org", re.DOTALL)  # DC=org

Spoil = Callable[[bytes], bytes]


def _odd_version(der: bytes) -> bytes:
    return der.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020107"), 1)


def _extension_twice(der: bytes) -> bytes:
    return der.replace(USAGE, CONSTRAINTS)


def _odd_letters(der: bytes) -> bytes:
    return ORGANISATION.sub(lambda found: found.group()[:-1] + b"\xff", der)


def _odd_month(der: bytes) -> bytes:
    return re.sub(rb"\x17\x0d\d{4}", lambda found: found.group()[:-2] + b"99", der)


SPOILED = [
    pytest.param(_odd_version, "InvalidVersion: 7", id="a version that is none"),
    pytest.param(_extension_twice, "DuplicateExtension: ", id="an extension twice"),
    pytest.param(_odd_letters, "ValueError: ", id="letters that are none"),
    pytest.param(_odd_month, "ValueError: ", id="the 99th month"),
    pytest.param(lambda der: der[: len(der) // 2], "ValueError: ", id="half of one"),
]


@pytest.fixture
def user(pki: TestPki) -> bytes:
    """The certificate of alice, DER."""
    return x509.load_pem_x509_certificate(pki.user("alice").certificate.read_bytes()).public_bytes(DER)


@pytest.mark.parametrize(("spoil", "says"), SPOILED)
def test_one_verdict_at_every_door(pki: TestPki, user: bytes, tmp_path: Path, spoil: Spoil, says: str) -> None:
    spoiled = spoil(user)
    assert spoiled != user
    pem = ssl.DER_cert_to_PEM_cert(spoiled).encode()
    with pytest.raises(ValueError, match=says):
        read_der(spoiled)
    with pytest.raises(ValueError, match=says):
        read_pem(pki.ca_file.read_bytes() + pem)
    file = tmp_path / "proxy.pem"
    write_private(file, pem + pki.user("alice").key.read_bytes())
    with pytest.raises(CredentialError, match=f"{file} is no proxy .*: {says}"):
        read_proxy(file)
    with pytest.raises(CredentialError, match=f"the proxy {file} cannot be "):
        ProxyAccess(pki.ca_dir, file).present()
    assert list(authorities(file)) == [] or says.startswith("Dup")


def test_panda_is_shown_no_proxy_of_which_only_openssl_knows_what_it_is(
    pki: TestPki, user: bytes, tmp_path: Path
) -> None:
    """OpenSSL takes a certificate of version 8; when it ends is then told by nobody."""
    file = tmp_path / "proxy.pem"
    write_private(file, ssl.DER_cert_to_PEM_cert(_odd_version(user)).encode() + pki.user("alice").key.read_bytes())
    client_context(pki.ca_dir, file)
    with pytest.raises(CredentialError, match=f"the proxy {file} cannot be read: InvalidVersion: 7"):
        ProxyAccess(pki.ca_dir, file).present()


def test_of_a_bundle_one_spoiled_authority_hides_no_other(pki: TestPki, user: bytes, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(ssl.DER_cert_to_PEM_cert(_odd_letters(user)).encode() + pki.ca_file.read_bytes())
    assert [one.subject.rfc4514_string() for one in authorities(bundle)] == ["CN=Test CA,DC=act-test,DC=org"]


def test_a_proxy_of_the_future_signs_nothing(pki: TestPki, key: rsa.RSAPrivateKey, tmp_path: Path) -> None:
    """It begins after the delegation would end."""
    now, own = datetime.now(UTC), rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.load_pem_x509_certificate(pki.user("alice").certificate.read_bytes()).subject
    builder = x509.CertificateBuilder(name, name, own.public_key(), 7)
    builder = builder.not_valid_before(now + timedelta(days=9)).not_valid_after(now + timedelta(days=20))
    written = own.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = tmp_path / "proxy.pem"
    write_private(file, builder.sign(own, hashes.SHA256()).public_bytes(PEM) + written)
    with pytest.raises(CredentialError, match=f"nothing can be signed with the proxy {file}: "):
        sign_delegation(certificate_request(key, 0), file, now)
