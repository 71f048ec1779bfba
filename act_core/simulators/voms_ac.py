"""Attribute certificates as a VOMS server writes them (RFC 5755)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import ObjectIdentifier

from act_core.simulators.x509_names import der, oid

EXTENSION = ObjectIdentifier("1.3.6.1.4.1.8005.100.100.5")
_FQANS = ObjectIdentifier("1.3.6.1.4.1.8005.100.100.4")
_CERTIFICATES = ObjectIdentifier("1.3.6.1.4.1.8005.100.100.10")
_NO_REVOCATION, _AUTHORITY_KEY = ObjectIdentifier("2.5.29.56"), ObjectIdentifier("2.5.29.35")
_SHA256_RSA = ObjectIdentifier("1.2.840.113549.1.1.11")
_INTEGER, _BITS, _OCTETS, _NULL, _SEQUENCE, _SET, _TIME = 0x02, 0x03, 0x04, 0x05, 0x30, 0x31, 0x18
_FIRST, _DIRECTORY, _URI = 0xA0, 0xA4, 0x86
_SKEW = timedelta(minutes=5)


@dataclass(frozen=True)
class Issuer:
    """The VOMS server's host certificate and its key."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey


def attribute_certificate(
    issuer: Issuer, holder: x509.Certificate, fqans: Sequence[str], lifetime: timedelta, uri: str = "localhost:8443"
) -> bytes:
    """DER. `holder`: the end-entity certificate; `fqans`: the first names the VO, as in `/vo/Role=pilot`."""
    now = datetime.now(UTC).replace(microsecond=0)
    vo = fqans[0].split("/")[1]
    algorithm = _several(oid(_SHA256_RSA), der(_NULL, b""))
    info = _several(
        _number(1),
        _several(der(_FIRST, _names(holder.issuer) + _number(holder.serial_number))),
        der(_FIRST, _names(issuer.certificate.subject)),
        algorithm,
        _number(x509.random_serial_number()),
        _several(_time(now - _SKEW if lifetime > timedelta(0) else now + 2 * lifetime), _time(now + lifetime)),
        _several(_several(oid(_FQANS), der(_SET, _roles(f"{vo}://{uri}", fqans)))),
        _several(*_extensions(issuer)),
    )
    signed = issuer.key.sign(info, padding.PKCS1v15(), hashes.SHA256())
    return _several(info, algorithm, der(_BITS, b"\0" + signed))


def extension(*certificates: bytes) -> x509.UnrecognizedExtension:
    """The extension of a proxy that holds attribute certificates."""
    return x509.UnrecognizedExtension(EXTENSION, _several(_several(*certificates)))


def _roles(authority: str, fqans: Sequence[str]) -> bytes:
    written = (
        der(_OCTETS, f"{fqan}{'' if '/Role=' in fqan else '/Role=NULL'}/Capability=NULL".encode()) for fqan in fqans
    )
    return _several(der(_FIRST, der(_URI, authority.encode())), _several(*written))


def _extensions(issuer: Issuer) -> tuple[bytes, ...]:
    chain = _several(_several(issuer.certificate.public_bytes(serialization.Encoding.DER)))
    digest = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()).key_identifier or b""
    return (
        _several(oid(_CERTIFICATES), der(_OCTETS, chain)),
        _several(oid(_NO_REVOCATION), der(_OCTETS, der(_NULL, b""))),
        _several(oid(_AUTHORITY_KEY), der(_OCTETS, _several(der(0x80, digest)))),
    )


def _several(*parts: bytes) -> bytes:
    return der(_SEQUENCE, b"".join(parts))


def _names(name: x509.Name) -> bytes:
    return _several(der(_DIRECTORY, name.public_bytes()))


def _number(value: int) -> bytes:
    return der(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _time(at: datetime) -> bytes:
    return der(_TIME, f"{at:%Y%m%d%H%M%SZ}".encode())
