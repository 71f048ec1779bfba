"""X.509 proxies: what a proxy file says, and the signing of a delegation (RFC 3820)."""

import base64
import re
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import NameOID

from act_core.credentials.certificates import UNREADABLE, read_pem
from act_core.credentials.tls import require_private
from act_core.credentials.values import Credential
from act_core.credentials.voms import attributes
from act_core.errors import CredentialError, ProtocolError

PROXY_CERT_INFO = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.14")
INHERIT_ALL = bytes.fromhex("300c300a06082b06010505071501")
SKEW = timedelta(minutes=5)
DELEGATED = timedelta(days=4)  # what a CE is given never lives longer
# A-REX forgets a delegation that no job holds 24 h after it was last signed, and takes jobs with a forgotten one.
SIGNED_AGAIN = timedelta(hours=12)
_PROXY_EXTENSIONS = (PROXY_CERT_INFO, x509.ObjectIdentifier("1.3.6.1.4.1.3536.1.222"))  # the latter: of the draft
_LEGACY = ("proxy", "limited proxy")  # the last CN of proxies older than extensions
_KEY = re.compile(rb"-----BEGIN ((?:RSA )?PRIVATE KEY)-----[^-]*-----END \1-----")  # encrypted ones have a `-` within
_PEM = serialization.Encoding.PEM
_NAMES = {
    NameOID.COUNTRY_NAME: "C",
    NameOID.STATE_OR_PROVINCE_NAME: "ST",
    NameOID.LOCALITY_NAME: "L",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
    NameOID.COMMON_NAME: "CN",
    NameOID.DOMAIN_COMPONENT: "DC",
    NameOID.EMAIL_ADDRESS: "emailAddress",
    NameOID.USER_ID: "UID",
    NameOID.SERIAL_NUMBER: "serialNumber",
}


def load_proxy(path: Path, now: datetime) -> Credential:
    """What a proxy file holds: whose it is, and until when all of its chain is good.

    Raises CredentialError: not there, readable by others, not a proxy, or expired (also its VOMS attributes alone).
    """
    found = read_proxy(path)
    if found.expires <= now:
        lives = _end(_read(path)[0]) > now
        what = "the VOMS attributes of the proxy" if lives else "the proxy"
        raise _expired(path, found.expires, what)
    return found


def load_source(path: Path, now: datetime) -> Credential:
    """The same of what proxies are made from: VOMS attributes in it do not matter, and may have expired."""
    require_private(path)
    chain, _key = _read(path)
    ends = _end(chain)
    if ends <= now:
        raise _expired(path, ends)
    return Credential(path, slash_form(_holder(chain).subject), ends)


def read_proxy(path: Path) -> Credential:
    """The same of a proxy that may have expired. Its end is the first one in its chain and its VOMS attributes."""
    require_private(path)
    chain, _key = _read(path)
    try:
        said = attributes(chain)
    except ValueError as err:
        raise CredentialError(f"{path}: its VOMS attributes cannot be read: {err}") from err
    ends = min((_end(chain), *(one.ends for one in said)))
    return Credential(path, slash_form(_holder(chain).subject), ends, tuple(role for one in said for role in one.roles))


def _read(path: Path) -> tuple[list[x509.Certificate], rsa.RSAPrivateKey]:
    try:
        pem = path.read_bytes()
        chain = read_pem(pem)
        written = _KEY.search(pem)
        if written is None:
            raise CredentialError(f"{path} is no proxy: it holds no private key that can be read without a password")
        key = _key(written.group())
        certified = chain[0].public_key()
    except (OSError, *UNREADABLE) as err:
        raise CredentialError(f"{path} is no proxy (certificate, key and chain in PEM): {err}") from err
    if not isinstance(key, rsa.RSAPrivateKey):
        raise CredentialError(f"{path}: only RSA keys are taken by ARC CEs")
    if certified != key.public_key():
        raise CredentialError(f"{path}: the key is not the first certificate's")
    return chain, key


@lru_cache(maxsize=64)
def _key(pem: bytes) -> PrivateKeyTypes:
    """OpenSSL tests its primes for tens of milliseconds; each session of each CE reads one of the same few keys."""
    return serialization.load_pem_private_key(pem, password=None)


def _holder(chain: list[x509.Certificate]) -> x509.Certificate:
    return next((one for one in chain if not _is_proxy(one)), chain[-1])


def _end(chain: list[x509.Certificate]) -> datetime:
    return min(one.not_valid_after_utc for one in chain)


def _expired(path: Path, at: datetime, what: str = "the proxy") -> CredentialError:
    return CredentialError(f"{what} {path} expired at {at:%Y-%m-%d %H:%M:%S} UTC: renew it")


def _is_proxy(certificate: x509.Certificate) -> bool:
    last = list(certificate.subject)[-1:]
    named = any(part.oid == NameOID.COMMON_NAME and part.value in _LEGACY for part in last)
    return named or any(extension.oid in _PROXY_EXTENSIONS for extension in certificate.extensions)


def slash_form(name: x509.Name) -> str:
    """`/DC=org/CN=alice`, as grids write names."""
    return "".join(f"/{_NAMES.get(one.oid, one.oid.dotted_string)}={one.value!s}" for one in name)


def public_key(csr: bytes) -> rsa.RSAPublicKey:
    """The key of a certificate request. ARC 6.17 writes version 3, which is none: only the key is used."""
    try:
        body = csr.decode("ascii")
        request = x509.load_der_x509_csr(_legal_version(_der(body)))
        key = request.public_key()
    except UNREADABLE as err:
        raise ProtocolError(f"the CE's delegation request cannot be read: {err}") from err
    if not isinstance(key, rsa.RSAPublicKey):
        raise ProtocolError("the CE's delegation request has no RSA key")
    return key


def _der(pem: str) -> bytes:
    lines = [line.strip() for line in pem.strip().splitlines() if "-----" not in line]
    return base64.b64decode("".join(lines), validate=True)


def _legal_version(der: bytes) -> bytes:
    place = der.find(b"\x02\x01\x02", 0, 16)
    return der if place < 0 else der[:place] + b"\x02\x01\x00" + der[place + 3 :]


def sign_delegation(csr: bytes, proxy: Path, now: datetime, lifetime: timedelta = DELEGATED) -> bytes:
    """The CE's new proxy with its chain, PEM: what is PUT to a delegation. It never outlives its signer.

    Raises CredentialError for the proxy, ProtocolError for the request.
    """
    chain, key = _read(proxy)
    signer = chain[0]
    serial = x509.random_serial_number()
    added = x509.NameAttribute(NameOID.COMMON_NAME, str(serial % 10**10))
    subject = x509.Name([*signer.subject.rdns, x509.RelativeDistinguishedName([added])])
    last = _end(chain)
    if last <= now:
        raise _expired(proxy, last)
    end = min(now + lifetime, last)
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    try:
        made = (
            x509.CertificateBuilder(signer.subject, subject, public_key(csr), serial)
            .not_valid_before(max(now - SKEW, signer.not_valid_before_utc))
            .not_valid_after(end)
            .add_extension(x509.UnrecognizedExtension(PROXY_CERT_INFO, INHERIT_ALL), critical=True)
            .add_extension(usage, critical=True)
            .sign(key, hashes.SHA256())
        )
    except UNREADABLE as err:  # it begins after the delegation would end, its key is too short to sign, …
        raise CredentialError(f"nothing can be signed with the proxy {proxy}: {err}") from err
    return b"".join(one.public_bytes(_PEM) for one in (made, *chain))
