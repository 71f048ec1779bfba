"""Delegated credentials at the CE: the key is made here, the client signs a proxy for it."""

import secrets
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from act_core.credentials.tls import client_context
from act_core.simulators.pki import write_private
from act_core.simulators.x509_names import end_entity_dn, is_proxy

_VERSION_0, _VERSION_2 = b"\x02\x01\x00", b"\x02\x01\x02"


class Expired(Exception):
    """What a job was given to send its files with has ended."""


class NotAccepted(Exception):
    """What was sent is no chain for the key that was offered, or no key was offered under this id."""


@dataclass(slots=True)
class Delegation:
    """`chain` is empty until the client has answered; a renewal has a key of its own until then. Or it is a `token`."""

    id: str
    owner: str
    offered: rsa.RSAPrivateKey | None = None
    key: rsa.RSAPrivateKey | None = None
    chain: bytes = b""
    token: str = ""

    @property
    def kind(self) -> str:
        return "jwt" if self.token else "x509"

    def ends(self) -> datetime:
        """When the first certificate of the chain does."""
        return min(one.not_valid_after_utc for one in x509.load_pem_x509_certificates(self.chain))


class Delegations:
    """All delegations of a CE, each visible to its owner only. `ahead`: the CE's clock, where their ends matter."""

    def __init__(self, ca_dir: Path) -> None:
        self.ca_dir = ca_dir
        self._kept: dict[tuple[str, str], Delegation] = {}
        self._contexts: dict[tuple[str, str], ssl.SSLContext] = {}
        self.ahead = timedelta(0)

    def of(self, owner: str) -> Iterator[Delegation]:
        return (one for one in self._kept.values() if one.owner == owner)

    def find(self, owner: str, delegation_id: str) -> Delegation | None:
        return self._kept.get((owner, delegation_id))

    def request(self, owner: str, delegation_id: str | None, key: rsa.RSAPrivateKey) -> Delegation:
        """Begin or renew; an unknown id is created."""
        delegation_id = delegation_id or secrets.token_hex(6)
        one = self._kept.setdefault((owner, delegation_id), Delegation(delegation_id, owner))
        one.offered = key
        return one

    def keep_token(self, owner: str, token: str) -> Delegation:
        """Another one each time: A-REX has no call that renews it."""
        one = Delegation(secrets.token_hex(6), owner, token=token)
        self._kept[owner, one.id] = one
        return one

    def accept(self, owner: str, delegation_id: str, pem: bytes) -> None:
        """The signed proxy and its chain. Raises NotAccepted."""
        one = self.find(owner, delegation_id)
        key = (one.offered or one.key) if one is not None else None
        if one is None or key is None:
            raise NotAccepted("no such delegation")
        _check_chain(owner, pem, key)
        one.key, one.offered, one.chain = key, None, pem
        self._contexts.pop((owner, delegation_id), None)

    def delete(self, owner: str, delegation_id: str) -> bool:
        self._contexts.pop((owner, delegation_id), None)
        return self._kept.pop((owner, delegation_id), None) is not None

    def context(self, owner: str, delegation_ids: tuple[str, ...]) -> ssl.SSLContext:
        """For transfers on behalf of `owner`: with the first usable delegation, or without a client certificate.

        Raises Expired.
        """
        one = self._usable(owner, delegation_ids)
        if one is not None and one.ends() <= datetime.now(UTC) + self.ahead:
            raise Expired("the delegated proxy has expired")
        name = (owner, one.id) if one else ("", "")
        if name not in self._contexts:
            self._contexts[name] = self._made(one)
        return self._contexts[name]

    def proxy(self, owner: str, delegation_ids: tuple[str, ...]) -> bytes:
        """Certificate, key and chain of the first usable delegation, as a job gets them; empty: there is none."""
        one = self._usable(owner, delegation_ids)
        return _pem(one.chain, one.key) if one is not None and one.key is not None else b""

    def _usable(self, owner: str, delegation_ids: tuple[str, ...]) -> Delegation | None:
        found = (self.find(owner, name) for name in delegation_ids)
        return next((one for one in found if one is not None and one.chain and one.key), None)

    def _made(self, one: Delegation | None) -> ssl.SSLContext:
        if one is None or one.key is None:
            return client_context(self.ca_dir)
        with tempfile.TemporaryDirectory(prefix="act-arc-") as folder:
            proxy = Path(folder) / "proxy"
            write_private(proxy, _pem(one.chain, one.key))
            return client_context(self.ca_dir, proxy)


def _pem(chain: bytes, key: rsa.RSAPrivateKey) -> bytes:
    certificates = [c.public_bytes(serialization.Encoding.PEM) for c in x509.load_pem_x509_certificates(chain)]
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return b"".join([certificates[0], private, *certificates[1:]])


def new_key() -> rsa.RSAPrivateKey:
    """Takes a tenth of a second of CPU."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def certificate_request(key: rsa.RSAPrivateKey, version: int) -> bytes:
    """PEM, with an empty subject. Version 2 is what 6.17 writes; its signature does not fit then, and nobody looks."""
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    if version == 0:
        return request.public_bytes(serialization.Encoding.PEM)
    der = request.public_bytes(serialization.Encoding.DER).replace(_VERSION_0, _VERSION_2, 1)
    body = ssl.DER_cert_to_PEM_cert(der)
    return body.replace("CERTIFICATE-----", "CERTIFICATE REQUEST-----").encode()


def _check_chain(owner: str, pem: bytes, key: rsa.RSAPrivateKey) -> None:
    """RFC 3820: a proxy for our key, signed by the next certificate, whose end is the owner. Raises NotAccepted."""
    try:
        chain = x509.load_pem_x509_certificates(pem)
        if len(chain) < 2 or not is_proxy(chain[0]) or chain[0].public_key() != key.public_key():
            raise NotAccepted("no proxy for the offered key")
        for below, above in pairwise(chain):
            below.verify_directly_issued_by(above)
        named = chain[0].subject.rdns[:-1] == chain[1].subject.rdns
    except (ValueError, TypeError, InvalidSignature) as err:
        raise NotAccepted("no valid chain") from err
    if not named or end_entity_dn(chain) != owner:
        raise NotAccepted("a proxy of somebody else")
