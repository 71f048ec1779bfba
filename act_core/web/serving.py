"""Serve the page until SIGTERM."""

import uvicorn

from act_core import garbage
from act_core.errors import ConfigError
from act_core.settings import Settings
from act_core.web import gate
from act_core.web.app import make_app

KEEP_ALIVE_S = 15
BACKLOG = 256


def check(settings: Settings, host: str) -> None:
    """Raises ConfigError where others could reach the page and nobody has said who they are."""
    if not gate.loopback(host) and not settings.arc.web.users:
        raise ConfigError(
            f"{settings.where('web.host')}: web.host: {host} can be reached from other machines, and there are no "
            "web.users: add some (`act web password`), or keep to 127.0.0.1 behind a proxy (docs/page.md)"
        )


def serve(settings: Settings, host: str, port: int) -> None:
    web = settings.arc.web
    app = make_app(settings, host)
    garbage.calm()
    uvicorn.run(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        backlog=BACKLOG,
        proxy_headers=bool(web.proxies),
        forwarded_allow_ips=list(web.proxies) or None,
        timeout_graceful_shutdown=3,
    )
