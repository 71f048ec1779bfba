"""The signing of a delegation: the CE's request, and the proxy that it gets."""

import base64
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from act_core.credentials.proxy import INHERIT_ALL, PROXY_CERT_INFO, SKEW, public_key, sign_delegation
from act_core.errors import ProtocolError
from act_core.simulators.arc_delegations import certificate_request
from act_core.simulators.pki import TestPki, write_private
from act_core.simulators.x509_names import end_entity_dn

ALICE = "/DC=org/DC=act-test/CN=alice"
DER, PEM = serialization.Encoding.DER, serialization.Encoding.PEM
RSA_OID = bytes.fromhex("06092a864886f70d010101")
UNKNOWN_OID = bytes.fromhex("06092a864886f70d01017f")
SECOND = timedelta(seconds=1)


@pytest.fixture(scope="module")
def request_0(key: rsa.RSAPrivateKey) -> bytes:
    return certificate_request(key, 0)


def _now() -> datetime:
    return datetime.now(UTC)


def _signed(csr: bytes, proxy: Path, now: datetime, lifetime: timedelta = timedelta(days=4)) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(sign_delegation(csr, proxy, now, lifetime))


def _pem(der: bytes) -> bytes:
    body = base64.encodebytes(der)
    return b"-----BEGIN CERTIFICATE REQUEST-----\n" + body + b"-----END CERTIFICATE REQUEST-----\n"


@pytest.mark.parametrize("version", [0, 2], ids=["7", "6.17 writes an illegal version"])
def test_the_key_of_a_request(key: rsa.RSAPrivateKey, version: int) -> None:
    assert public_key(certificate_request(key, version)) == key.public_key()


def test_line_ends_do_not_matter(key: rsa.RSAPrivateKey, request_0: bytes) -> None:
    assert public_key(b"\r\n" + request_0.replace(b"\n", b"\r\n") + b"\r\n\r\n") == key.public_key()


def _der(csr: bytes) -> bytes:
    return x509.load_pem_x509_csr(csr).public_bytes(DER)


def _of(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    algorithm = hashes.SHA256() if isinstance(key, ec.EllipticCurvePrivateKey) else None
    return x509.CertificateSigningRequestBuilder(x509.Name([])).sign(key, algorithm).public_bytes(PEM)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda csr: b"", "cannot be read", id="empty"),
        pytest.param(lambda csr: b"<html>no</html>", "cannot be read", id="a page"),
        pytest.param(lambda csr: b"\xff\xfe", "cannot be read", id="no letters"),
        pytest.param(lambda csr: csr[:300], "cannot be read", id="cut"),
        pytest.param(lambda csr: csr * 2, "cannot be read", id="two"),
        pytest.param(lambda csr: _pem(_der(csr)[:-20]), "cannot be read", id="short"),
        pytest.param(lambda csr: _pem(_der(csr).replace(b"\2\1\0", b"\2\1\5", 1)), "version", id="another version"),
        pytest.param(lambda csr: _pem(_der(csr).replace(RSA_OID, UNKNOWN_OID)), "cannot be read", id="an unknown key"),
        pytest.param(lambda csr: _of(ec.generate_private_key(ec.SECP256R1())), "no RSA key", id="a curve"),
        pytest.param(lambda csr: _of(ed25519.Ed25519PrivateKey.generate()), "no RSA key", id="another curve"),
    ],
)
def test_what_is_no_request(request_0: bytes, proxy: Path, change: object, words: str) -> None:
    assert callable(change)
    with pytest.raises(ProtocolError, match=f"^the CE's delegation request .*{words}"):
        sign_delegation(change(request_0), proxy, _now())


def test_a_proxy_for_the_ce(pki: TestPki, proxy: Path, key: rsa.RSAPrivateKey, request_0: bytes) -> None:
    """RFC 3820: the signer's name and a number, signed by the signer, its chain behind it, rights inherited."""
    made, *chain = _signed(request_0, proxy, _now())
    assert chain == x509.load_pem_x509_certificates(proxy.read_bytes())
    authority = x509.load_pem_x509_certificate(pki.ca_file.read_bytes())
    for below, above in pairwise([made, *chain, authority]):
        below.verify_directly_issued_by(above)
    assert made.public_key() == key.public_key()
    *names, last = made.subject.rdns
    assert names == chain[0].subject.rdns
    assert [part.oid for part in last] == [NameOID.COMMON_NAME]
    assert last.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == str(made.serial_number % 10**10)
    assert end_entity_dn([made, *chain]) == ALICE
    info = made.extensions.get_extension_for_oid(PROXY_CERT_INFO)
    assert info.critical
    assert info.value == x509.UnrecognizedExtension(PROXY_CERT_INFO, INHERIT_ALL)
    usage = made.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_cert_sign


def test_no_private_key_leaves(proxy: Path, request_0: bytes) -> None:
    assert b"PRIVATE" not in sign_delegation(request_0, proxy, _now())


def test_no_two_are_alike(proxy: Path, request_0: bytes) -> None:
    first, second = (_signed(request_0, proxy, _now())[0] for _ in range(2))
    assert first.serial_number != second.serial_number
    assert first.subject != second.subject


def test_it_does_not_outlive_its_signer(proxy: Path, request_0: bytes) -> None:
    signer = x509.load_pem_x509_certificates(proxy.read_bytes())[0]
    now = signer.not_valid_before_utc + timedelta(hours=1)
    for lifetime, end in (
        (timedelta(hours=2), now + timedelta(hours=2)),
        (timedelta(days=4), signer.not_valid_after_utc),
    ):
        made = _signed(request_0, proxy, now, lifetime)[0]
        assert made.not_valid_after_utc == end
        assert made.not_valid_before_utc == now - SKEW  # the CE's clock may be slow
    early = _signed(request_0, proxy, signer.not_valid_before_utc + SECOND)[0]
    assert early.not_valid_before_utc == signer.not_valid_before_utc  # nor does it begin before it


def test_a_name_with_parts_of_two_attributes(
    pki: TestPki, key: rsa.RSAPrivateKey, request_0: bytes, tmp_path: Path
) -> None:
    """Its parts must stay as they are: else the CE finds that the proxy's name does not begin with the signer's."""
    both = [x509.NameAttribute(NameOID.COMMON_NAME, "alice"), x509.NameAttribute(NameOID.USER_ID, "a")]
    name = x509.Name([x509.RelativeDistinguishedName(both)])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    own = builder.not_valid_before(_now()).not_valid_after(_now() + timedelta(hours=1)).sign(key, hashes.SHA256())
    private = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_private(tmp_path / "both.pem", own.public_bytes(PEM) + private)
    made = _signed(request_0, tmp_path / "both.pem", _now())[0]
    assert made.issuer == name
    assert made.subject.rdns[:-1] == name.rdns
