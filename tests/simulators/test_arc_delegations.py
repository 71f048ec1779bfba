"""Delegations at the simulated A-REX."""

import json
import ssl
from typing import Any

import pytest
from cryptography import x509

from act_core.simulators.pki import TestPki, sign_proxy
from tests.simulators.arc_client import Ce, takes


async def test_delegations(ce: Ce, pki: TestPki) -> None:
    old = ce.version == "1.0"
    status, _, csr, headers = await ce.call("POST", "/delegations?action=new")
    assert status == 201
    delegation = headers["Location"].rpartition("/")[2]
    assert ("?action=new/" in headers["Location"]) == old
    if old:
        with pytest.raises(x509.InvalidVersion):
            x509.load_pem_x509_csr(csr)
    chain = sign_proxy(pki.proxy("alice").read_bytes(), key_in(csr))
    other = sign_proxy(pki.proxy("bob").read_bytes(), key_in(csr))
    stale = sign_proxy(pki.proxy("alice").read_bytes(), key_in((await ce.call("POST", "/delegations?action=new"))[2]))
    for bad in (b"garbage", other, stale, pki.proxy("alice").read_bytes()):
        assert (await ce.call("PUT", f"/delegations/{delegation}", bad))[:2] == (500, "Failed accepting delegation")
    assert (await ce.call("PUT", f"/delegations/{delegation}", chain))[0] == 200
    assert (await ce.call("POST", f"/delegations/{delegation}?action=get"))[2] == chain
    listed = json.loads((await ce.call("GET", "/delegations"))[2])["delegation"]
    assert ({"id": delegation} if old else {"id": delegation, "type": "x509"}) in listed
    held = f"<n:DelegationID>{delegation}</n:DelegationID>"
    job = await ce.one("holder", held + takes("x"))
    assert (await ce.act("delegations", job))[0]["delegation_id"] == delegation
    refusal = (500, "Failed deleting delegation")
    assert (await ce.call("POST", f"/delegations/{delegation}?action=delete"))[:2] == refusal
    await ce.act("kill", job)
    await ce.act("clean", job)
    assert (await ce.call("POST", f"/delegations/{delegation}?action=delete"))[0] == 202
    assert (await ce.call("POST", "/delegations/mine?action=renew"))[0] == 201


def key_in(csr: bytes) -> Any:
    der = ssl.PEM_cert_to_DER_cert(csr.decode().replace("CERTIFICATE REQUEST", "CERTIFICATE"))
    return x509.load_der_x509_csr(der.replace(b"\x02\x01\x02", b"\x02\x01\x00", 1)).public_key()
