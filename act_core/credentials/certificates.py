"""Certificates of strangers: read to the last field, or refused by a ValueError and by nothing else."""

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

# what `cryptography` raises, most of it only when a field is looked at
UNREADABLE = (
    ValueError, TypeError, OverflowError, UnsupportedAlgorithm,
    x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType,
)  # fmt: skip


def read_pem(pem: bytes) -> list[x509.Certificate]:
    """The certificates of a text, one at least. Raises ValueError, also where one of them has a field that is none."""
    try:
        return [_whole(one) for one in x509.load_pem_x509_certificates(pem)]
    except UNREADABLE as err:
        raise ValueError(_words(err)) from err


def read_der(der: bytes) -> x509.Certificate:
    """Raises ValueError."""
    try:
        return _whole(x509.load_der_x509_certificate(der))
    except UNREADABLE as err:
        raise ValueError(_words(err)) from err


def _whole(certificate: x509.Certificate) -> x509.Certificate:
    """With every field read that anybody looks at: what is wrong with one is told here."""
    _ = certificate.subject, certificate.issuer, certificate.extensions
    _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return certificate


def _words(err: Exception) -> str:
    return f"{type(err).__name__}: {err}"[:300]
