"""Keys that are good each by itself and at odds with one another: one of them silently wins."""

from collections.abc import Iterator
from datetime import timedelta

from act_core.settings.app_model import PRODUCTION
from act_core.settings.explain import span
from act_core.settings.model import Settings


def at_odds(settings: Settings) -> list[str]:
    """A sentence each, with the place of a key that could be changed."""
    found = [
        f"{settings.where(key)}: {said}"
        for key, said in (*_queue_limit(settings), *_proxies(settings), *_disk(settings), *_ports(settings))
    ]
    for seen in settings.everybody():
        found += (f"{seen.where(key)}: {said}" for key, said in _panda_role(seen))
    return found


def _queue_limit(settings: Settings) -> Iterator[tuple[str, str]]:
    jobs = settings.arc.jobs
    if timedelta(0) < jobs.maxtimequeuing < jobs.queuetime:
        yield (
            "jobs.queuetime" if "jobs.queuetime" in settings.lines else "jobs.maxtimequeuing",
            f"jobs.maxtimequeuing ({span(jobs.maxtimequeuing)}) kills jobs that jobs.queuetime "
            f"({span(jobs.queuetime)}) lets queue: no job queues for so long, and those with a copy of the proxy "
            "are held back for it all the same; lower jobs.queuetime",
        )


def _disk(settings: Settings) -> Iterator[tuple[str, str]]:
    disk = settings.arc.disk
    if (disk.fetchjobs < 1) == (disk.downloads < 1) and disk.fetchjobs < disk.downloads:
        yield (
            "disk.fetchjobs" if "disk.fetchjobs" in settings.lines else "disk.downloads",
            "disk.fetchjobs is less than disk.downloads: downloads stop first, and with them new jobs",
        )


def _proxies(settings: Settings) -> Iterator[tuple[str, str]]:
    jobs, voms = settings.arc.jobs, settings.arc.voms
    if voms.vo is None:
        return  # how long somebody else's proxies last is not configured
    if jobs.queuetime + voms.margin >= voms.proxylifetime:
        yield (
            "voms.proxylifetime" if "voms.proxylifetime" in settings.lines else "jobs.queuetime",
            f"jobs.queuetime ({span(jobs.queuetime)}) and voms.margin ({span(voms.margin)}) together are not "
            f"shorter than voms.proxylifetime ({span(voms.proxylifetime)}): no job with a copy of the proxy is "
            "ever sent; lower jobs.queuetime, or let proxies live longer",
        )
    if voms.minlifetime >= voms.proxylifetime:
        yield (
            "voms.minlifetime" if "voms.minlifetime" in settings.lines else "voms.proxylifetime",
            f"voms.minlifetime ({span(voms.minlifetime)}) is not shorter than voms.proxylifetime "
            f"({span(voms.proxylifetime)}): each look makes every proxy anew; lower voms.minlifetime",
        )


def _ports(settings: Settings) -> Iterator[tuple[str, str]]:
    port = settings.arc.monitor.prometheusport
    if port is not None and port == settings.arc.prefect.port:
        yield (
            "monitor.prometheusport",
            f"{port} is Prefect's port, too (prefect.port): no metrics can be served; name another",
        )


def _panda_role(settings: Settings) -> Iterator[tuple[str, str]]:
    panda, voms = settings.app.panda, settings.arc.voms
    if "atlas" not in settings.app.modules.app or panda.tokenfile or panda.proxy or voms.vo is None:
        return
    if panda.api != "legacy" and ((panda.role or PRODUCTION) != PRODUCTION or PRODUCTION not in voms.roles):
        yield (
            "panda.role" if panda.role else "voms.roles",
            f"PanDA's new API takes reports only from the role {PRODUCTION}: name it in voms.roles, or set "
            "panda.proxy or panda.tokenfile",
        )
