"""Proxies: whose they are, until when they are good, and what is none."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import PrivateFormat
from cryptography.x509.oid import NameOID, ObjectIdentifier

from act_core.credentials.proxy import INHERIT_ALL, PROXY_CERT_INFO, load_proxy, sign_delegation, slash_form
from act_core.errors import CredentialError
from act_core.simulators.pki import TestPki, write_private

ALICE = "/DC=org/DC=act-test/CN=alice"
DER, PEM = serialization.Encoding.DER, serialization.Encoding.PEM
DRAFT = ObjectIdentifier("1.3.6.1.4.1.3536.1.222")
RSA_OID = bytes.fromhex("06092a864886f70d010101")
OIDS = {
    "CN": "2.5.4.3",
    "serialNumber": "2.5.4.5",
    "C": "2.5.4.6",
    "L": "2.5.4.7",
    "ST": "2.5.4.8",
    "O": "2.5.4.10",
    "OU": "2.5.4.11",
    "UID": "0.9.2342.19200300.100.1.1",
    "DC": "0.9.2342.19200300.100.1.25",
    "emailAddress": "1.2.840.113549.1.9.1",
}
ENCRYPTED = serialization.BestAvailableEncryption(b"secret")
Change = Callable[[bytes], bytes]
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def _now() -> datetime:
    return datetime.now(UTC)


def _certificates(pem: bytes) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(pem)


def _private(key: Key, form: PrivateFormat = PrivateFormat.PKCS8, password: bool = False) -> bytes:
    return key.private_bytes(PEM, form, ENCRYPTED if password else serialization.NoEncryption())


def _own(key: rsa.RSAPrivateKey, last: str, extension: ObjectIdentifier | None, signer: x509.Certificate) -> bytes:
    """A certificate for `key` below the signer's name. Its signature is of nobody: no reader of files looks at it."""
    name = x509.Name([*signer.subject, x509.NameAttribute(NameOID.COMMON_NAME, last)])
    builder = x509.CertificateBuilder(signer.subject, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(_now()).not_valid_after(_now() + timedelta(hours=1))
    if extension:
        builder = builder.add_extension(x509.UnrecognizedExtension(extension, INHERIT_ALL), critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(PEM)


def test_what_a_proxy_says(pki: TestPki, proxy: Path) -> None:
    found = load_proxy(proxy, _now())
    assert (found.proxy, found.subject) == (proxy, ALICE)
    assert found.expires == _certificates(proxy.read_bytes())[0].not_valid_after_utc
    assert found.expires.tzinfo is not None


@pytest.mark.parametrize("depth", [2, 4])
def test_a_proxy_of_a_proxy_is_still_alices(pki: TestPki, tmp_path: Path, depth: int) -> None:
    deep = pki.proxy("alice", depth=depth, path=tmp_path / "deep.pem")
    assert load_proxy(deep, _now()).subject == ALICE


def test_the_certificate_itself_will_do(pki: TestPki, tmp_path: Path) -> None:
    user, file = pki.user("alice"), tmp_path / "both.pem"
    write_private(file, user.certificate.read_bytes() + user.key.read_bytes())
    assert load_proxy(file, _now()).subject == ALICE


@pytest.mark.parametrize(
    ("last", "extension", "subject"),
    [
        pytest.param("12345", PROXY_CERT_INFO, ALICE, id="RFC 3820"),
        pytest.param("12345", DRAFT, ALICE, id="the draft before it"),
        pytest.param("proxy", None, ALICE, id="older than extensions"),
        pytest.param("limited proxy", None, ALICE, id="older, limited"),
        pytest.param("12345", None, f"{ALICE}/CN=12345", id="a certificate with a number for a name"),
        pytest.param("proxy server", None, f"{ALICE}/CN=proxy server", id="a name that only begins like one"),
    ],
)
def test_whose_a_proxy_is(
    pki: TestPki, key: rsa.RSAPrivateKey, tmp_path: Path, last: str, extension: ObjectIdentifier | None, subject: str
) -> None:
    user = pki.user("alice").certificate.read_bytes()
    file = tmp_path / "proxy.pem"
    write_private(file, _own(key, last, extension, _certificates(user)[0]) + _private(key) + user)
    assert load_proxy(file, _now()).subject == subject


def test_the_first_end_of_the_chain_counts(pki: TestPki, tmp_path: Path) -> None:
    short = pki.user("bob", timedelta(hours=1))
    file = pki.proxy("bob", timedelta(hours=5), path=tmp_path / "long.pem")
    assert load_proxy(file, _now()).expires == _certificates(short.certificate.read_bytes())[0].not_valid_after_utc


@pytest.mark.parametrize(
    ("attributes", "written"),
    [
        pytest.param([("DC", "org"), ("CN", "alice b")], "/DC=org/CN=alice b", id="as it comes"),
        pytest.param(
            [("C", "XX"), ("ST", "s"), ("L", "l"), ("O", "Grid"), ("OU", "u")], "/C=XX/ST=s/L=l/O=Grid/OU=u", id="old"
        ),
        pytest.param([("emailAddress", "a@b"), ("UID", "u")], "/emailAddress=a@b/UID=u", id="mail and user"),
        pytest.param([("serialNumber", "7")], "/serialNumber=7", id="a number"),
        pytest.param([("CN", "host/ä.example")], "/CN=host/ä.example", id="a slash and a letter"),
        pytest.param([("2.5.4.42", "Alice")], "/2.5.4.42=Alice", id="an attribute that grids do not write"),
        pytest.param([], "", id="nobody"),
    ],
)
def test_names_as_grids_write_them(attributes: list[tuple[str, str]], written: str) -> None:
    parts = [x509.NameAttribute(ObjectIdentifier(OIDS.get(label, label)), value) for label, value in attributes]
    assert slash_form(x509.Name(parts)) == written


def test_a_key_is_tested_once_and_a_new_one_anew(pki: TestPki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenSSL takes tens of milliseconds for it, and each session with each CE reads the proxy."""
    read, tested = serialization.load_pem_private_key, list[bytes]()

    def load(pem: bytes, password: bytes | None) -> object:
        tested.append(pem)
        return read(pem, password)

    one, other = (pki.proxy("alice", path=tmp_path / name) for name in ("one", "other"))
    monkeypatch.setattr(serialization, "load_pem_private_key", load)
    for proxy in (one, one, other, one):
        load_proxy(proxy, datetime.now(UTC))
    assert len(tested) == len(set(tested)) == 2


def test_an_expired_proxy_says_when_and_what_to_do(pki: TestPki, tmp_path: Path) -> None:
    file = pki.proxy("alice", timedelta(hours=-1), path=tmp_path / "old.pem")
    with pytest.raises(CredentialError, match=r"old\.pem expired at 20..-..-.. ..:..:.. UTC: renew it"):
        load_proxy(file, _now())
    with pytest.raises(CredentialError, match="expired"):
        sign_delegation(b"not read", file, _now())


def test_the_time_is_the_callers(proxy: Path) -> None:
    expires = load_proxy(proxy, _now()).expires
    assert load_proxy(proxy, expires - timedelta(seconds=1)).expires == expires
    with pytest.raises(CredentialError, match="expired"):
        load_proxy(proxy, expires)


def test_a_proxy_is_for_its_owner_only(proxy: Path, tmp_path: Path) -> None:
    file = tmp_path / "open.pem"
    file.write_bytes(proxy.read_bytes())
    file.chmod(0o644)
    with pytest.raises(CredentialError, match=r"open\.pem can be read by others: chmod 600"):
        load_proxy(file, _now())


def _split(pem: bytes) -> tuple[bytes, bytes, bytes]:
    """Leaf, key, chain."""
    begin, end = pem.index(b"-----BEGIN PRIVATE"), pem.index(b"-----END PRIVATE KEY-----") + 26
    return pem[:begin], pem[begin:end], pem[end:]


def _der(certificate: bytes, old: str, new: str) -> bytes:
    """A certificate with other bytes in it, as PEM."""
    der = _certificates(certificate)[0].public_bytes(DER)
    assert bytes.fromhex(old) in der
    changed = base64.encodebytes(der.replace(bytes.fromhex(old), bytes.fromhex(new), 1)).decode()
    return f"-----BEGIN CERTIFICATE-----\n{changed}-----END CERTIFICATE-----\n".encode()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda pem: b"", "is no proxy", id="empty"),
        pytest.param(lambda pem: b"rubbish \xff", "is no proxy", id="rubbish"),
        pytest.param(lambda pem: bytes(range(256)), "is no proxy", id="noise"),
        pytest.param(lambda pem: pem[:700], "is no proxy", id="cut in the certificate"),
        pytest.param(lambda pem: pem[: pem.index(b"-----END PRIVATE")], "no private key", id="cut in the key"),
        pytest.param(lambda pem: _split(pem)[0] + _split(pem)[2], "no private key", id="no key"),
        pytest.param(lambda pem: _split(pem)[1], "is no proxy", id="no certificate"),
        pytest.param(lambda pem: _split(pem)[2] + _split(pem)[1], "not the first certificate's", id="the wrong order"),
        pytest.param(lambda pem: pem.replace(b"MII", b"MIX", 1), "is no proxy", id="a broken certificate"),
        pytest.param(
            lambda pem: _der(pem, "a003020102", "a003020108") + _split(pem)[1], "is no proxy", id="an illegal version"
        ),
        pytest.param(
            lambda pem: _der(pem, RSA_OID.hex(), "06092a864886f70d01017f") + _split(pem)[1],
            "is no proxy",
            id="an unknown kind of key",
        ),
        pytest.param(
            lambda pem: pem.replace(b"PRIVATE KEY", b"ENCRYPTED PRIVATE KEY"), "without a password", id="said encrypted"
        ),
    ],
)
def test_what_is_no_proxy(proxy: Path, tmp_path: Path, change: Change, words: str) -> None:
    file = tmp_path / "odd.pem"
    write_private(file, change(proxy.read_bytes()))
    for read in (lambda: load_proxy(file, _now()), lambda: sign_delegation(b"", file, _now())):
        with pytest.raises(CredentialError, match=r"odd\.pem") as caught:
            read()
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        pytest.param(lambda key: _private(key, password=True), "without a password", id="a password"),
        pytest.param(
            lambda key: _private(key, PrivateFormat.TraditionalOpenSSL, True), "is no proxy", id="a password, old form"
        ),
        pytest.param(
            lambda _: _private(ec.generate_private_key(ec.SECP256R1())), "only RSA keys", id="an elliptic curve"
        ),
        pytest.param(_private, "not the first certificate's", id="of somebody else"),
    ],
)
def test_keys_that_will_not_do(
    proxy: Path, key: rsa.RSAPrivateKey, tmp_path: Path, made: Callable[[rsa.RSAPrivateKey], bytes], words: str
) -> None:
    leaf, _, chain = _split(proxy.read_bytes())
    write_private(tmp_path / "odd.pem", leaf + made(key) + chain)
    with pytest.raises(CredentialError, match=words):
        load_proxy(tmp_path / "odd.pem", _now())
