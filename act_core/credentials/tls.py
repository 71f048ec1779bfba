"""TLS contexts of clients: the server is always verified, and a private key is read only from a private file."""

import hashlib
import os
import re
import ssl
import stat
from pathlib import Path

from act_core.errors import ConfigError, CredentialError

_OF_TRUST = re.compile(r"^[0-9a-f]{8}\.r?\d+$")  # how OpenSSL finds authorities and their revocations


def client_context(ca: Path, proxy: Path | None = None, *, revocations: bool = False) -> ssl.SSLContext:
    """A context that verifies the server with `ca` alone (a PEM file or a hashed directory) and presents `proxy`.

    `proxy` holds certificate, key and chain in one PEM file. `revocations`: the list of the server's authority must be
    there, be good, and not name the server. Raises ConfigError for the CA, CredentialError for the proxy.
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
    if revocations:
        context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    if proxy is not None:
        require_private(proxy)
        try:
            context.load_cert_chain(str(proxy))
        except (OSError, ssl.SSLError) as err:
            raise CredentialError(f"the proxy {proxy} cannot be used: {err}") from err
    return context


def trust_mark(ca: Path) -> str:
    """Another one when authorities or revocations in a hashed directory, or the file of authorities, have changed."""
    digest = hashlib.sha256()
    try:
        found = sorted(ca.iterdir()) if ca.is_dir() else [ca]
        for one in found:
            if one == ca or _OF_TRUST.match(one.name):
                known = one.stat()
                digest.update(f"{one.name} {known.st_ino} {known.st_mtime_ns} {known.st_size}\n".encode())
    except OSError as err:
        return f"unreadable: {err.strerror}"
    return digest.hexdigest()


def has_revocations(ca: Path) -> bool:
    """Whether a hashed directory holds revocation lists of any authority."""
    try:
        return ca.is_dir() and any(_OF_TRUST.match(one.name) and ".r" in one.name for one in ca.iterdir())
    except OSError:
        return False


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
