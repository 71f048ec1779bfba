"""TLS contexts of clients: the server is always verified, and a private key is read only from a private file."""

import os
import ssl
import stat
from pathlib import Path

from act_core.errors import ConfigError, CredentialError


def client_context(ca: Path, proxy: Path | None = None) -> ssl.SSLContext:
    """A context that verifies the server with `ca` alone (a PEM file or a hashed directory) and presents `proxy`.

    `proxy` holds certificate, key and chain in one PEM file. Raises ConfigError for the CA, CredentialError for the
    proxy.
    """
    # not the default context: that one trusts the system's authorities too, and newer Pythons make it
    # strict about extensions that older grid CAs do not have
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca.is_dir():
        context.load_verify_locations(capath=str(ca))
    else:
        try:
            context.load_verify_locations(cafile=str(ca))
        except (OSError, ssl.SSLError) as err:
            raise ConfigError(f"no certificates of authorities can be read from {ca}: {err}") from err
    if proxy is not None:
        require_private(proxy)
        try:
            context.load_cert_chain(str(proxy))
        except (OSError, ssl.SSLError) as err:
            raise CredentialError(f"the proxy {proxy} cannot be used: {err}") from err
    return context


def require_private(secret: Path) -> os.stat_result:
    """Raises CredentialError unless the file is there and nobody but its owner can read or write it."""
    try:
        found = secret.stat()
    except OSError as err:
        raise CredentialError(f"{secret} cannot be read: {err.strerror}") from err
    if not stat.S_ISREG(found.st_mode):
        raise CredentialError(f"{secret} is not a file")
    if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise CredentialError(f"{secret} can be read by others: chmod 600 {secret}")
    return found
