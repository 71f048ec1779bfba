"""The port that Prometheus asks."""

import socket
import socketserver
import threading
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from typing import Self

from prometheus_client import CollectorRegistry, MetricsHandler

from act_core.errors import ConfigError
from act_core.monitor.metrics import StateMetrics, registry_of
from act_core.settings.model import Settings

PATH = "/metrics"
SILENT_S = 10.0  # who connects and says nothing is hung up on


class _Handler(MetricsHandler):
    timeout = SILENT_S

    def do_GET(self) -> None:  # noqa: N802 - the library's own name
        """The metrics, and nothing under any other name."""
        if self.path.partition("?")[0] == PATH:
            super().do_GET()
        else:
            self.send_error(HTTPStatus.NOT_FOUND, explain=f"there is only {PATH}")


class _Server(ThreadingHTTPServer):
    def server_bind(self) -> None:
        """Without a look-up of our own name, for which a name server may take its time."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]


class _Server6(_Server):
    address_family = socket.AF_INET6


class MetricsPage:
    """Serves until it is closed, in threads of its own."""

    def __init__(self, host: str, port: int, state: StateMetrics) -> None:
        """Raises ConfigError for a port or address that cannot be had."""
        self._state = state

        class Handler(_Handler):
            registry: CollectorRegistry = registry_of(state)

        try:
            self._server = (_Server6 if ":" in host else _Server)((host, port), Handler)
        except OSError as err:
            raise ConfigError(
                f"no metrics are served at {host}:{port}: {err.strerror or err}; "
                "monitor.prometheusport and monitor.host of aCTConfigARC.yaml name another"
            ) from err
        self._thread = threading.Thread(target=self._server.serve_forever, name="act-metrics-page", daemon=True)
        self._thread.start()

    @classmethod
    def opened(cls, settings: Settings, worker: int = 1) -> Self | None:
        """As the configuration wants it, each worker of a machine on the next port; None: it wants none.

        Raises ConfigError.
        """
        monitor = settings.arc.monitor
        if monitor.prometheusport is None:
            return None
        state = StateMetrics(settings)
        try:
            return cls(monitor.host, monitor.prometheusport + worker - 1, state)
        except ConfigError:
            state.close()
            raise

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._state.close()
