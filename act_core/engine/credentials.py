"""Look at the proxies in use, and give CEs a fresh delegation where jobs hold one that gets old."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from act_core.credentials.proxy import load_proxy
from act_core.db import credentials, queries
from act_core.errors import CredentialError
from act_core.logs import log
from act_core.runtime import Counts, Runtime
from act_core.settings.model import Settings

logger = log(__name__)
SOON = timedelta(days=1)
KIND = "x509-proxy"
PROXIES = "proxies"


def proxy_files(settings: Settings) -> tuple[Path, ...]:
    """The proxies that the configuration names, each once."""
    voms = settings.arc.voms.proxypath
    named = (voms, settings.app.panda.proxy, *(site.proxy for site in settings.arc.sites.values()))
    return tuple(dict.fromkeys(path for path in named if path is not None))


async def configured(rt: Runtime) -> Sequence[str]:
    return [PROXIES] if proxy_files(rt.settings) else []


async def look(rt: Runtime, _key: str) -> Counts:
    """Write down whose each proxy is and until when it is good; say which ones end soon.

    Raises CredentialError, after all were read, for those that cannot be used.
    """
    now, counts, unusable = rt.now(), Counts(), []
    for path in proxy_files(rt.settings):
        try:
            found = await asyncio.to_thread(load_proxy, path, now)
        except CredentialError as err:
            unusable.append(str(err))
            continue
        await rt.write(credentials.remember, KIND, str(path), found.subject, found.expires, now)
        counts += Counts({"good proxies": 1}) + _ending(path, found.expires, now)
    if unusable:
        raise CredentialError("; ".join(unusable))
    return counts


def _ending(path: Path, expires: datetime, now: datetime) -> Counts:
    if expires - now > SOON:
        return Counts()
    logger.warning("the proxy %s ends at %s UTC: renew it", path, f"{expires:%Y-%m-%d %H:%M}")
    return Counts({"ending within a day": 1})


async def with_jobs(rt: Runtime) -> Sequence[str]:
    return await rt.read(queries.ces_with_jobs, rt.now())


async def delegate(rt: Runtime, ce: str) -> Counts:
    """Keep the delegation fresh that jobs on this CE hold."""
    end, site = await rt.ce(ce), await rt.site(ce)
    proxy = site.proxy or rt.settings.arc.voms.proxypath
    if not end.traits.needs_credential or proxy is None:
        return Counts()
    await end.renew(await asyncio.to_thread(load_proxy, proxy, rt.now()))
    return Counts({"delegations fresh": 1})
