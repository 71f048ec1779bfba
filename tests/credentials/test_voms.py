"""VOMS attributes in proxies: roles, ends, and bytes that are none."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from act_core.credentials.der import Node, nodes, only, part
from act_core.credentials.proxy import load_proxy, load_source, read_proxy
from act_core.credentials.voms import attributes, read, short
from act_core.errors import CredentialError
from act_core.simulators.pki import TestPki, sign_proxy, split_pem, write_private
from act_core.simulators.voms_ac import EXTENSION, attribute_certificate, extension

HOUR = timedelta(hours=1)


def _now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def made(pki: TestPki) -> bytes:
    """An attribute certificate."""
    holder = x509.load_pem_x509_certificate(pki.user("alice").certificate.read_bytes())
    return attribute_certificate(pki.voms, holder, ["/atlas/Role=pilot", "/atlas"], HOUR)


@pytest.mark.parametrize("depth", [1, 3], ids=["in the proxy itself", "in one that it was made from"])
def test_the_roles_of_a_proxy(pki: TestPki, tmp_path: Path, depth: int) -> None:
    asked = ["/atlas/Role=production", "/atlas", "/atlas/de"]
    file = pki.proxy("alice", 5 * HOUR, depth, tmp_path / "p.pem", roles=asked)
    found = load_proxy(file, _now())
    assert found.roles == tuple(asked)
    assert found.subject == "/DC=org/DC=act-test/CN=alice"


@pytest.mark.parametrize(
    ("proxy", "attributes", "left"),
    [
        pytest.param(9 * HOUR, 3 * HOUR, 3 * HOUR, id="the attributes end first"),
        pytest.param(3 * HOUR, 9 * HOUR, 3 * HOUR, id="the proxy ends first"),
    ],
)
def test_the_first_end_counts(
    pki: TestPki, tmp_path: Path, proxy: timedelta, attributes: timedelta, left: timedelta
) -> None:
    file = pki.proxy("alice", proxy, path=tmp_path / "p.pem", roles=["/atlas"], roles_for=attributes)
    assert abs(load_proxy(file, _now()).expires - _now() - left) < timedelta(minutes=1)


def test_attributes_that_have_ended_end_the_proxy_but_not_what_is_made_from_it(pki: TestPki, tmp_path: Path) -> None:
    file = pki.proxy("alice", 9 * HOUR, path=tmp_path / "p.pem", roles=["/atlas"], roles_for=-HOUR)
    with pytest.raises(CredentialError, match=r"^the VOMS attributes of the proxy .*p\.pem expired at"):
        load_proxy(file, _now())
    assert read_proxy(file).expires < _now()
    assert load_source(file, _now()).expires > _now() + 8 * HOUR


@pytest.mark.parametrize(
    ("fqan", "said"),
    [
        ("/atlas/Role=NULL/Capability=NULL", "/atlas"),
        ("/atlas/Role=pilot/Capability=NULL", "/atlas/Role=pilot"),
        ("/atlas/de/Role=pilot", "/atlas/de/Role=pilot"),
    ],
)
def test_what_says_nothing_is_left_out(fqan: str, said: str) -> None:
    assert short(fqan) == said


def test_control_characters_are_no_role() -> None:
    with pytest.raises(ValueError, match="control"):
        short("/atlas/Role=\x1b[31m")


@pytest.mark.parametrize("content", [b"", b"\x30", b"\x30\x80\0\0", b"\x30\x05\x04", b"rubbish", b"\x1f\x81\0"])
def test_a_proxy_with_broken_attributes_is_refused(pki: TestPki, tmp_path: Path, content: bytes) -> None:
    user, file = pki.user("alice"), tmp_path / "odd.pem"
    key = x509.load_pem_x509_certificate(user.certificate.read_bytes()).public_key()
    pem = user.certificate.read_bytes() + user.key.read_bytes()
    said = x509.UnrecognizedExtension(EXTENSION, content)
    chain = split_pem(sign_proxy(pem, key, HOUR, said))  # type: ignore[arg-type]
    write_private(file, chain[0] + user.key.read_bytes() + b"".join(chain[1:]))
    with pytest.raises(CredentialError, match=r"odd\.pem: its VOMS attributes cannot be read"):
        load_proxy(file, _now())


@settings(max_examples=60)
@given(st.data())
def test_bytes_that_were_changed_raise_nothing_but_value_errors(made: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, 400))
    changed = bytearray(made[: data.draw(st.integers(200, len(made)))])
    changed[min(place, len(changed) - 1)] = data.draw(st.integers(0, 255))
    try:
        found = read(only(bytes(changed)))
    except ValueError:
        return
    assert all(one.isprintable() for one in found.roles)


@settings(max_examples=100)
@given(st.binary(max_size=80))
def test_any_bytes(noise: bytes) -> None:
    try:
        found = list(nodes(noise))
    except ValueError:
        return
    assert sum(len(one.content) + 2 for one in found) <= len(noise)


def test_pieces_of_der(made: bytes) -> None:
    assert read(only(made)).roles == ("/atlas/Role=pilot", "/atlas")
    assert next(nodes(extension(made).value)).tag == 0x30
    with pytest.raises(ValueError, match="no element 0x2 at place 0"):
        part([Node(0x30, b"")], 0, 0x02)
    with pytest.raises(ValueError, match="a time is wanted"):
        Node(0x30, b"").time()


def test_a_certificate_without_any(pki: TestPki) -> None:
    assert attributes([x509.load_pem_x509_certificate(pki.user("alice").certificate.read_bytes())]) == ()
