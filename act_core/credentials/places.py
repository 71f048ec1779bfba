"""Where the credentials lie that a CE is shown."""

import re
from pathlib import Path

from act_core.errors import ConfigError
from act_core.settings.model import Settings, Site

_UNSAFE = re.compile(r"[^A-Za-z0-9.-]+")


def store(settings: Settings) -> Path:
    """The directory (0700) of the proxies and tokens that the tower makes."""
    return settings.arc.voms.proxystoredir or settings.state_dir / "proxies"


def made_proxy(settings: Settings, role: str | None) -> Path:
    """The file of the proxy that the tower makes for a role; None: the first role, or the VO alone."""
    voms = settings.arc.voms
    role = role or (voms.roles[0] if voms.roles else None)
    return _place(settings, "-".join(part for part in (voms.vo, role) if part), "pem")


def made_token(settings: Settings, name: str) -> Path:
    """The file of the token that the tower asks an issuer for."""
    return _place(settings, name, "token")


def _place(settings: Settings, name: str, kind: str) -> Path:
    return store(settings) / f"{_UNSAFE.sub('_', name).strip('._')[:100]}.{kind}"


def proxy_of(settings: Settings, name: str, site: Site) -> Path | None:
    """The proxy that this CE is shown. Raises ConfigError for a role that is not made."""
    if site.credential == "token":
        return None
    if site.proxy or not settings.arc.voms.vo:
        return site.proxy or settings.arc.voms.proxypath
    if site.role and site.role not in settings.arc.voms.roles:
        where = settings.where(f"sites.{name}.role")
        raise ConfigError(f"{where}: sites.{name}.role: {site.role!r} is none of voms.roles")
    return made_proxy(settings, site.role)


def token_of(settings: Settings, name: str, site: Site) -> Path | None:
    """The file of the bearer token that this CE is shown. Raises ConfigError for one that is not configured."""
    if site.credential == "proxy":
        return None
    where = settings.where(f"sites.{name}.token")
    if site.token is None:
        raise ConfigError(f"{where}: sites.{name}.token: name one of `tokens`, as `credential` is {site.credential}")
    if site.token not in settings.arc.tokens:
        known = ", ".join(sorted(settings.arc.tokens)) or "none"
        raise ConfigError(f"{where}: sites.{name}.token: no token {site.token!r} in `tokens`; there are: {known}")
    return settings.arc.tokens[site.token].file or made_token(settings, site.token)
