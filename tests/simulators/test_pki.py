"""The test CA: names, hashes, proxies, and handshakes as on a grid."""

import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from act_core.simulators.pki import TestPki, client_context, peer_dn, server_context, sign_proxy, split_pem
from act_core.simulators.serve import Simulator
from act_core.simulators.x509_names import end_entity_dn, is_proxy, name_from, slash_form, subject_hash

ALICE = "/DC=org/DC=act-test/CN=alice"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPki:
    return TestPki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def door(pki: TestPki) -> Simulator:
    async def who(request: web.Request) -> web.Response:
        return web.json_response({"dn": peer_dn(request)})

    app = web.Application()
    app.router.add_get("/", who)
    return Simulator(app, tls=server_context(pki.host, pki.ca_dir))


async def seen_as(door: Simulator, context: ssl.SSLContext, host: str = "127.0.0.1") -> object:
    async with door, aiohttp.ClientSession(door.url.replace("127.0.0.1", host)) as session:
        answer = await session.get("/", ssl=context)
        return (await answer.json())["dn"]


@pytest.mark.parametrize("depth", [0, 1, 2])
async def test_a_proxy_speaks_for_its_user(pki: TestPki, door: Simulator, depth: int) -> None:
    proxy = pki.proxy("alice", depth=depth)
    assert await seen_as(door, client_context(pki.ca_dir, proxy)) == ALICE
    chain = [x509.load_pem_x509_certificate(pem) for pem in split_pem(proxy.read_bytes())]
    assert [is_proxy(one) for one in chain] == [True] * depth + [False]
    assert end_entity_dn(chain) == end_entity_dn(chain[:1]) == ALICE


async def test_a_client_may_come_without_certificate(pki: TestPki, door: Simulator) -> None:
    assert await seen_as(door, client_context(pki.ca_dir), "localhost") is None


async def test_expired_and_foreign_certificates_are_cut_off(pki: TestPki, door: Simulator, tmp_path: Path) -> None:
    stranger = TestPki(tmp_path / "other")
    foreign = client_context(pki.ca_dir, stranger.proxy("alice"))
    expired = client_context(pki.ca_dir, pki.proxy("alice", timedelta(hours=-1), path=tmp_path / "expired.pem"))
    for context in (foreign, expired):
        with pytest.raises((aiohttp.ClientError, ConnectionError)):
            await seen_as(door, context)


async def test_the_server_is_verified(pki: TestPki, door: Simulator, tmp_path: Path) -> None:
    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        await seen_as(door, client_context(TestPki(tmp_path / "other").ca_dir))


def test_keys_are_private_and_a_second_start_makes_nothing_new(pki: TestPki) -> None:
    proxy = pki.proxy("carol")
    secrets = [pki.host.key, pki.user("carol").key, proxy, pki.root / "ca.key"]
    assert {path.stat().st_mode & 0o777 for path in secrets} == {0o600}
    before = pki.user("carol").certificate.read_bytes()
    again = TestPki(pki.root)
    assert again.user("carol").certificate.read_bytes() == before
    assert again.ca_file.read_bytes() == pki.ca_file.read_bytes()


def test_a_signed_proxy_names_key_chain_and_end(pki: TestPki) -> None:
    signer = pki.proxy("dave", lifetime=timedelta(hours=2))
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    chain = [
        x509.load_pem_x509_certificate(pem) for pem in split_pem(sign_proxy(signer.read_bytes(), key.public_key()))
    ]
    assert chain[0].public_key() == key.public_key()
    assert chain[0].issuer == chain[1].subject
    assert slash_form(chain[0].subject).startswith(slash_form(chain[1].subject) + "/CN=")
    assert chain[1].not_valid_after_utc - datetime.now(UTC) < timedelta(hours=2)
    load_pem_private_key(signer.read_bytes()[signer.read_bytes().index(b"-----BEGIN PRIVATE") :], None)


def test_names_in_slash_form() -> None:
    assert slash_form(name_from("/C=CH/O=Some Org/CN=x")) == "/C=CH/O=Some Org/CN=x"
    for bad in ("/XX=1", "alice", ""):
        with pytest.raises(ValueError, match="not an attribute"):
            name_from(bad)


@pytest.mark.parametrize(
    "name",
    [
        name_from("/DC=org/DC=act-test/CN=Test CA"),
        name_from("/C=CH/O=  Two  Spaces /OU=Ünits" + "/OU=a long name of a unit" * 9),
        x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Plain", _type=_ASN1Type.PrintableString)]),
        x509.Name(
            [
                x509.RelativeDistinguishedName(
                    [x509.NameAttribute(NameOID.COMMON_NAME, "B"), x509.NameAttribute(NameOID.USER_ID, "a")]
                )
            ]
        ),
    ],
    ids=["ours", "odd", "printable", "two in one part"],
)
def test_the_hash_is_the_one_of_openssl(name: x509.Name, tmp_path: Path, pki: TestPki) -> None:
    key = load_pem_private_key((pki.root / "ca.key").read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    path = tmp_path / "c.pem"
    path.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    told = subprocess.run(
        ["openssl", "x509", "-hash", "-noout", "-in", path], capture_output=True, check=True, timeout=30
    )
    assert subject_hash(name) == told.stdout.decode().strip()
