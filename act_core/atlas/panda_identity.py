"""Who the tower is for PanDA and for storage: the production role, never the one that CEs are shown by default."""

from pathlib import Path

from act_core.credentials.places import made_proxy
from act_core.errors import ConfigError
from act_core.settings.app_model import PRODUCTION
from act_core.settings.model import Settings


def panda_proxy(settings: Settings) -> Path | None:
    """The proxy for PanDA and for storage; None: none is configured. Raises ConfigError for a role that is not made."""
    panda, voms = settings.app.panda, settings.arc.voms
    if panda.proxy is not None or voms.vo is None:
        return panda.proxy or voms.proxypath
    if panda.role is not None and panda.role not in voms.roles:
        known = ", ".join(voms.roles) or "none"
        raise ConfigError(f"{settings.where('panda.role')}: panda.role: {panda.role!r} is none of voms.roles ({known})")
    return made_proxy(settings, panda.role or (PRODUCTION if PRODUCTION in voms.roles else None))
