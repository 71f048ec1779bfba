"""Grid storage as the configuration has it: who we are there, and how much a host is asked for."""

import ssl
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from act_core.atlas.panda_access import ProxyAccess
from act_core.atlas.panda_identity import panda_proxy
from act_core.credentials.tls import client_context, trust_mark
from act_core.credentials.tokens import read_token
from act_core.runtime import Runtime
from act_core.settings.model import Settings
from act_core.storage.base import Backend, Limits
from act_core.storage.disk import Disk
from act_core.storage.root import Root
from act_core.storage.storage import Storage

LOOK_S = 60.0  # between looks whether authorities have changed


def storage(rt: Runtime) -> Storage:
    """The storages, with their warm connections and what is known of their troubles."""
    return rt.kept(Storage, open_storage, of=_opened_with)


def _opened_with(settings: Settings) -> object:
    """The settings that they are made from."""
    return settings.app.validation, settings.arc.voms, settings.app.panda.proxy, settings.app.panda.role


def open_storage(settings: Settings) -> Storage:
    from act_core.storage.webdav import Bearer, Webdav

    policy = settings.app.validation
    ca = policy.cacert or settings.arc.voms.cacertdir
    proxy = panda_proxy(settings)
    limits = Limits(
        policy.perhost,
        policy.connect,
        policy.timeout,
        policy.deadline,
        policy.failures,
        policy.rest,
        policy.longestrest,
    )
    bearer = Bearer(partial(read_token, policy.tokenfile), policy.tokenhosts) if policy.tokenfile else None
    web = Webdav(_Identity(ca, proxy).context, policy.connect, bearer)
    root = Root(proxy, ca, policy.connect, policy.timeout)
    backends: Mapping[str, Backend] = {
        "https": web,
        "davs": web,
        "root": root,
        "roots": root,
        "xroot": root,
        "file": Disk(policy.filedirs),
    }
    return Storage(backends, limits)


class _Identity:
    """Another context when the proxy was renewed, or, within a minute, when the authorities have changed."""

    def __init__(self, ca: Path, proxy: Path | None) -> None:
        self._ca, self._proxy = ca, proxy
        self._mark, self._looked = "", float("-inf")
        self._plain: ssl.SSLContext | None = None
        self._access: ProxyAccess | None = None

    def context(self) -> ssl.SSLContext:
        """Raises CredentialError for a proxy that cannot be used or has expired, ConfigError for the authorities."""
        if time.monotonic() - self._looked >= LOOK_S:
            mark, self._looked = trust_mark(self._ca), time.monotonic()
            if mark != self._mark:
                self._mark, self._plain, self._access = mark, None, None
        if self._proxy is None:
            self._plain = self._plain or client_context(self._ca)
            return self._plain
        self._access = self._access or ProxyAccess(self._ca, self._proxy)
        return self._access.present()[0]
