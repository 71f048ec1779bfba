"""What a VOMS server says of somebody: the attribute certificate in a proxy (RFC 5755), read and not verified."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from act_core.credentials.der import OCTETS, SEQUENCE, SET, Node, only, part

EXTENSION = x509.ObjectIdentifier("1.3.6.1.4.1.8005.100.100.5")
FQANS = bytes.fromhex("2b06010401be45646404")  # 1.3.6.1.4.1.8005.100.100.4
_OID = 0x06
_EMPTY = ("/Capability=NULL", "/Role=NULL")


@dataclass(frozen=True, slots=True)
class Attributes:
    """One attribute certificate: groups and roles (FQANs), the first is the one that counts for mapping."""

    roles: tuple[str, ...]
    begins: datetime
    ends: datetime


def attributes(chain: Sequence[x509.Certificate]) -> tuple[Attributes, ...]:
    """Those of the proxy nearest to the leaf that has any. Raises ValueError for what cannot be read."""
    for certificate in chain:
        for extension in certificate.extensions:
            if extension.oid == EXTENSION and isinstance(extension.value, x509.UnrecognizedExtension):
                return tuple(_attributes(extension.value.value))
    return ()


def _attributes(value: bytes) -> Iterator[Attributes]:
    for several in only(value).inside():
        for one in several.inside():
            yield read(one)


def read(certificate: Node) -> Attributes:
    """One attribute certificate."""
    info = part(certificate.inside(), 0, SEQUENCE).inside()
    begins, ends = (node.time() for node in part(info, 5, SEQUENCE).inside())
    roles = tuple(role for kind in part(info, 6, SEQUENCE).inside() for role in _roles(kind))
    return Attributes(roles, begins, ends)


def _roles(attribute: Node) -> Iterator[str]:
    kind, values = attribute.inside()
    if kind.tag != _OID or kind.content != FQANS or values.tag != SET:
        return
    for syntax in values.inside():
        for several in syntax.inside():
            if several.tag == SEQUENCE:
                yield from (short(one.content.decode("utf-8")) for one in several.inside() if one.tag == OCTETS)


def short(fqan: str) -> str:
    """Without the parts that say nothing: `/atlas/Role=NULL/Capability=NULL` is `/atlas`."""
    if not fqan.isprintable():
        raise ValueError("a role of control characters")
    for nothing in _EMPTY:
        fqan = fqan.removesuffix(nothing)
    return fqan
