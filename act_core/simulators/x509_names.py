"""Names in certificates: the slash form that grids write, and OpenSSL's hash of a name."""

import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache

from cryptography import x509
from cryptography.x509.oid import NameOID, ObjectIdentifier

PROXY_CERT_INFO = ObjectIdentifier("1.3.6.1.5.5.7.1.14")  # RFC 3820
_LEGACY_PROXIES = ("proxy", "limited proxy")
_LABELS = {
    NameOID.COMMON_NAME: "CN",
    NameOID.DOMAIN_COMPONENT: "DC",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
    NameOID.COUNTRY_NAME: "C",
    NameOID.STATE_OR_PROVINCE_NAME: "ST",
    NameOID.LOCALITY_NAME: "L",
    NameOID.EMAIL_ADDRESS: "emailAddress",
    NameOID.USER_ID: "UID",
    NameOID.SERIAL_NUMBER: "serialNumber",
}
_OIDS = {label: oid for oid, label in _LABELS.items()}
_SEQUENCE, _SET, _UTF8_STRING = 0x30, 0x31, 0x0C

Parts = list[tuple[ObjectIdentifier, str]]


def slash_form(name: x509.Name) -> str:
    """`/DC=org/DC=example/CN=alice`."""
    return _written(_parts(name))


def name_from(slashed: str) -> x509.Name:
    """The reverse of `slash_form`. Raises ValueError for a label that grids do not use."""
    attributes = []
    for part in slashed.strip("/").split("/"):
        label, equals, value = part.partition("=")
        if not equals or label not in _OIDS:
            raise ValueError(f"{part!r} in {slashed!r} is not an attribute of a name")
        attributes.append(x509.NameAttribute(_OIDS[label], value))
    return x509.Name(attributes)


def is_proxy(certificate: x509.Certificate) -> bool:
    """True for an RFC 3820 proxy."""
    return any(extension.oid == PROXY_CERT_INFO for extension in certificate.extensions)


def end_entity_dn(chain: Sequence[x509.Certificate]) -> str:
    """Whom a chain (leaf first) speaks for, in slash form, without proxy parts.

    With the leaf alone, the parts that proxies added are guessed: the last CN of a proxy, and the numbers before it.
    """
    for certificate in chain:
        if not is_proxy(certificate):
            return slash_form(certificate.subject)
    parts = _parts(chain[-1].subject)[:-1]
    while len(parts) > 1 and parts[-1][0] == NameOID.COMMON_NAME and _from_a_proxy(parts[-1][1]):
        parts.pop()
    return _written(parts)


@lru_cache(maxsize=1024)
def end_entity_dn_of(certificate: bytes) -> str:
    """`end_entity_dn` of one certificate in DER, remembered: servers ask it for each request."""
    return end_entity_dn([x509.load_der_x509_certificate(certificate)])


def subject_hash(name: x509.Name) -> str:
    """The 8 digits under which OpenSSL (1.0 and newer) looks for a CA in a directory (`X509_NAME_hash`).

    SHA-1 of the canonical form: no outer SEQUENCE, values as UTF-8, lower case, single spaces; its first four bytes as
    a little-endian number.
    """
    canonical = b"".join(der(_SET, b"".join(sorted(_canonical(rdn)))) for rdn in name.rdns)
    return f"{int.from_bytes(hashlib.sha1(canonical, usedforsecurity=False).digest()[:4], 'little'):08x}"


def _canonical(rdn: x509.RelativeDistinguishedName) -> Iterator[bytes]:
    for attribute in rdn:
        text = str(attribute.value).encode()
        value = b" ".join(text.split()).lower()  # bytes.lower() changes ASCII only, as OpenSSL does
        yield der(_SEQUENCE, oid(attribute.oid) + der(_UTF8_STRING, value))


def oid(name: ObjectIdentifier) -> bytes:
    """An object identifier in DER."""
    first, second, *rest = (int(number) for number in name.dotted_string.split("."))
    return der(0x06, b"".join(_base128(number) for number in (40 * first + second, *rest)))


def _base128(number: int) -> bytes:
    digits = [number & 0x7F]
    while number := number >> 7:
        digits.append(0x80 | (number & 0x7F))
    return bytes(reversed(digits))


def der(tag: int, content: bytes) -> bytes:
    """An element in DER."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def _from_a_proxy(common_name: str) -> bool:
    return common_name.isdigit() or common_name in _LEGACY_PROXIES


def _parts(name: x509.Name) -> Parts:
    return [(attribute.oid, str(attribute.value)) for attribute in name]


def _written(parts: Parts) -> str:
    return "".join(f"/{_LABELS.get(oid, oid.dotted_string)}={value}" for oid, value in parts)
