"""A certificate authority for tests and demos: a CA directory as grids have it, host and user certificates, proxies."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from act_core.credentials.private import write_private
from act_core.credentials.tls import client_context
from act_core.simulators.voms_ac import Issuer, attribute_certificate, extension
from act_core.simulators.x509_names import PROXY_CERT_INFO, end_entity_dn_of, name_from, slash_form, subject_hash

__all__ = [
    "Identity",
    "TestPki",
    "client_context",
    "peer_dn",
    "server_context",
    "sign_proxy",
    "split_pem",
    "write_private",
]

ORGANISATION = "/DC=org/DC=act-test"
INHERIT_ALL = bytes.fromhex("300c300a06082b06010505071501")  # ProxyCertInfo: policy 1.3.6.1.5.5.7.21.1
CA_LIFE = timedelta(days=3650)
LIFE = timedelta(days=365)
PROXY_LIFE = timedelta(hours=12)
CLOCK_SKEW = timedelta(minutes=5)
_KEY_BITS = 2048
_PEM = serialization.Encoding.PEM


@dataclass(frozen=True)
class Identity:
    """A certificate and its key (0600), and the name in slash form."""

    dn: str
    certificate: Path
    key: Path


class TestPki:
    """Everything lies below `root`, and what is there already is used again: several processes can share it.

    `ca_dir` is a directory with OpenSSL's hash links (capath), `ca_file` the CA's certificate. The same names always
    give the same files.
    """

    __test__ = False  # the name is not meant for pytest

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ca_dir = root / "certificates"
        self.ca_dir.mkdir(parents=True, exist_ok=True)
        self.ca_file = self.ca_dir / "act-test.pem"
        self._ca_key = root / "ca.key"
        if not self._ca_key.exists():
            self._make_ca()

    @cached_property
    def host(self) -> Identity:
        """For `localhost`, 127.0.0.1 and ::1."""
        extensions: list[tuple[x509.ExtensionType, bool]] = [
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), False),
            (_local_names(), False),
        ]
        return self._issued("host", f"{ORGANISATION}/CN=localhost", LIFE, extensions)

    @property
    def voms(self) -> Issuer:
        """The host as a VOMS server."""
        certificate = x509.load_pem_x509_certificate(self.host.certificate.read_bytes())
        return Issuer(certificate, _load_key(self.host.key.read_bytes()))

    def user(self, name: str, lifetime: timedelta = LIFE) -> Identity:
        """The certificate of `/DC=org/DC=act-test/CN=<name>`; made at the first call."""
        extensions: list[tuple[x509.ExtensionType, bool]] = [
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)
        ]
        return self._issued(f"user-{name}", f"{ORGANISATION}/CN={name}", lifetime, extensions)

    def proxy(
        self,
        name: str,
        lifetime: timedelta = PROXY_LIFE,
        depth: int = 1,
        path: Path | None = None,
        roles: Sequence[str] = (),
        roles_for: timedelta | None = None,
    ) -> Path:
        """A new RFC 3820 proxy of user `name` (certificate, key, chain; 0600), `depth` proxies deep.

        A negative lifetime gives an expired one. `roles`: VOMS attributes in the first of them, good for `roles_for`.
        """
        user = self.user(name)
        pem = user.certificate.read_bytes() + user.key.read_bytes()
        said = self._attributes(user, roles, roles_for or lifetime)
        for _ in range(depth):
            key = _new_key()
            chain = sign_proxy(pem, key.public_key(), lifetime, said)
            said = None
            certificates = split_pem(chain)
            pem = b"".join([certificates[0], _key_pem(key), *certificates[1:]])
        path = path or self.root / f"proxy-{name}.pem"
        write_private(path, pem)
        return path

    def revoke(self, *certificates: Path, lifetime: timedelta = LIFE) -> Path:
        """The CA's list of revoked certificates, in the CA directory as `<hash>.r0`; it replaces the one before."""
        authority, now = x509.load_pem_x509_certificate(self.ca_file.read_bytes()), datetime.now(UTC)
        started = now - CLOCK_SKEW if lifetime > timedelta(0) else now - CA_LIFE
        builder = x509.CertificateRevocationListBuilder(authority.subject, started, now + lifetime)
        for file in certificates:
            serial = x509.load_pem_x509_certificate(file.read_bytes()).serial_number
            revoked = x509.RevokedCertificateBuilder(serial, started).build()
            builder = builder.add_revoked_certificate(revoked)
        signed = builder.sign(_load_key(self._ca_key.read_bytes()), hashes.SHA256())
        place = self.ca_dir / f"{subject_hash(authority.subject)}.r0"
        write_private(place, signed.public_bytes(_PEM))
        return place

    def _attributes(self, user: Identity, roles: Sequence[str], lifetime: timedelta) -> x509.ExtensionType | None:
        if not roles:
            return None
        holder = x509.load_pem_x509_certificate(user.certificate.read_bytes())
        return extension(attribute_certificate(self.voms, holder, roles, lifetime))

    def _issued(
        self, stem: str, dn: str, lifetime: timedelta, extensions: list[tuple[x509.ExtensionType, bool]]
    ) -> Identity:
        made = Identity(dn, self.root / f"{stem}.pem", self.root / f"{stem}.key")
        if made.certificate.exists():
            return made
        key = _new_key()
        signer = x509.load_pem_x509_certificate(self.ca_file.read_bytes())
        builder = _draft(name_from(dn), signer.subject, key.public_key(), lifetime)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(digital_signature=True, key_encipherment=True), critical=True)
        for added, critical in extensions:
            builder = builder.add_extension(added, critical)
        write_private(made.key, _key_pem(key))
        signed = builder.sign(_load_key(self._ca_key.read_bytes()), hashes.SHA256())
        made.certificate.write_bytes(signed.public_bytes(_PEM))
        return made

    def _make_ca(self) -> None:
        key = _new_key()
        name = name_from(f"{ORGANISATION}/CN=Test CA")
        builder = _draft(name, name, key.public_key(), CA_LIFE)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
        certificate = builder.sign(key, hashes.SHA256())
        self.ca_file.write_bytes(certificate.public_bytes(_PEM))
        link = self.ca_dir / f"{subject_hash(certificate.subject)}.0"
        link.unlink(missing_ok=True)
        link.symlink_to(self.ca_file.name)
        self._policy(link.with_suffix(".signing_policy"), slash_form(name))
        write_private(self._ca_key, _key_pem(key))

    @staticmethod
    def _policy(path: Path, dn: str) -> None:
        """Grid servers want to be told which names a CA may sign."""
        lines = (
            f"access_id_CA X509 '{dn}'",
            "pos_rights globus CA:sign",
            f"cond_subjects globus '\"{ORGANISATION}/*\"'",
        )
        path.write_text("".join(f"{line}\n" for line in lines))


def sign_proxy(
    signer: bytes,
    public_key: rsa.RSAPublicKey,
    lifetime: timedelta = PROXY_LIFE,
    said: x509.ExtensionType | None = None,
) -> bytes:
    """A proxy for `public_key`, followed by the signer's chain; PEM. `signer`: certificate, key and chain, PEM.

    RFC 3820: the signer's subject plus `CN=<number>`, rights inherited. `said`: VOMS attributes.
    """
    chain = split_pem(signer)
    certificate = x509.load_pem_x509_certificate(chain[0])
    serial = x509.random_serial_number()
    subject = x509.Name([*certificate.subject, x509.NameAttribute(NameOID.COMMON_NAME, str(serial % 10**10))])
    builder = _draft(subject, certificate.subject, public_key, lifetime, serial)
    builder = builder.add_extension(x509.UnrecognizedExtension(PROXY_CERT_INFO, INHERIT_ALL), critical=True)
    builder = builder.add_extension(_key_usage(digital_signature=True), critical=True)
    if said is not None:
        builder = builder.add_extension(said, critical=False)
    proxy = builder.sign(_load_key(signer), hashes.SHA256())
    return b"".join([proxy.public_bytes(_PEM), *chain])


def split_pem(pem: bytes) -> list[bytes]:
    """The certificates of a PEM file, in their order, without keys."""
    certificates = x509.load_pem_x509_certificates(pem)
    return [certificate.public_bytes(_PEM) for certificate in certificates]


def server_context(host: Identity, ca_dir: Path) -> ssl.SSLContext:
    """For a grid service: TLS 1.2 and 1.3, client certificates optional, proxies allowed, unknown CAs cut off."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(host.certificate, host.key)
    context.load_verify_locations(capath=str(ca_dir))
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags |= ssl.VerifyFlags.VERIFY_ALLOW_PROXY_CERTS
    return context


def peer_dn(request: web.BaseRequest) -> str | None:
    """The name (slash form, without proxy parts) of the client's verified certificate; None: it sent none."""
    tls = request.get_extra_info("ssl_object")
    der = tls.getpeercert(binary_form=True) if tls is not None else None
    return end_entity_dn_of(der) if der else None


def _draft(
    subject: x509.Name, issuer: x509.Name, public_key: rsa.RSAPublicKey, lifetime: timedelta, serial: int | None = None
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    start, end = (now - CLOCK_SKEW, now + lifetime) if lifetime > timedelta(0) else (now - CA_LIFE, now + lifetime)
    builder = x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=public_key)
    builder = builder.serial_number(serial or x509.random_serial_number())
    return builder.not_valid_before(start).not_valid_after(end)


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)


def _load_key(pem: bytes) -> rsa.RSAPrivateKey:
    """The first private key in a PEM file that may hold certificates too. Raises ValueError when there is none."""
    start, end = pem.find(b"-----BEGIN RSA PRIVATE"), pem.find(b"-----BEGIN PRIVATE")
    first = min(place for place in (start, end, len(pem)) if place >= 0)
    key = serialization.load_pem_private_key(pem[first:], password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("not an RSA key")  # noqa: TRY004 (the content is wrong, not a type of ours)
    return key


def _key_pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _local_names() -> x509.SubjectAlternativeName:
    addresses = (x509.IPAddress(ip_address(address)) for address in ("127.0.0.1", "::1"))
    return x509.SubjectAlternativeName([x509.DNSName("localhost"), *addresses])


def _key_usage(**purposes: bool) -> x509.KeyUsage:
    names = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: purposes.get(name, False) for name in names})
