"""CRIC, simulated: the pandaqueue feed and the downtimes."""

import ssl
from dataclasses import dataclass

from act_core.simulators.cric_http import Cric
from act_core.simulators.cric_queues import QueueDescription
from act_core.simulators.serve import Simulator


@dataclass(frozen=True)
class CricOptions:
    """The queues of the feed, and where it is served."""

    queues: tuple[QueueDescription, ...] = ()
    tls: ssl.SSLContext | None = None
    port: int = 0
    control_port: int = 0


async def serve_cric(options: CricOptions) -> Simulator:
    """A server that is not started yet; an asynchronous context manager."""
    cric = Cric(options.queues)
    return Simulator(cric.app(), cric.control(), tls=options.tls, port=options.port, control_port=options.control_port)
