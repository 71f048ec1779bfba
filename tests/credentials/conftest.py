"""A test CA, a proxy of one of its users, and a key."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from act_core.simulators.pki import TestPki


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPki:
    return TestPki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def proxy(pki: TestPki) -> Path:
    return pki.proxy("alice")


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)
