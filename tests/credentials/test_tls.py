"""TLS contexts: the server is verified, private keys stay private."""

import ssl
from pathlib import Path

import pytest

from act_core.credentials.tls import client_context, require_private
from act_core.errors import ConfigError, CredentialError
from act_core.simulators.pki import TestPki


def test_the_server_is_always_verified(pki: TestPki) -> None:
    for ca in (pki.ca_dir, pki.ca_file):
        context = client_context(ca, pki.proxy("robot"))
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_only_the_named_authorities_count(pki: TestPki) -> None:
    assert [ca["subject"][-1][0][1] for ca in client_context(pki.ca_file).get_ca_certs()] == ["Test CA"]


def test_what_cannot_be_used_is_named(pki: TestPki, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        client_context(tmp_path / "nowhere")
    rubbish = tmp_path / "rubbish"
    rubbish.touch(mode=0o600)
    rubbish.write_text("rubbish")
    with pytest.raises(ConfigError, match="rubbish"):
        client_context(rubbish)
    with pytest.raises(CredentialError, match="rubbish"):
        client_context(pki.ca_dir, rubbish)
    with pytest.raises(CredentialError, match="No such file"):
        client_context(pki.ca_dir, tmp_path / "nowhere")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602, 0o644])
def test_a_secret_is_for_its_owner_only(tmp_path: Path, mode: int) -> None:
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    require_private(secret)
    secret.chmod(mode)
    with pytest.raises(CredentialError, match="chmod 600"):
        require_private(secret)


def test_a_secret_is_a_file(tmp_path: Path) -> None:
    with pytest.raises(CredentialError, match="is not a file"):
        require_private(tmp_path)
