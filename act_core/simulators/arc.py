"""A computing element of ARC, simulated: A-REX over REST, in the manner of 6.17 or 7."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from act_core.simulators.arc_control import ArcControl
from act_core.simulators.arc_delegations import Delegations
from act_core.simulators.arc_http import Door
from act_core.simulators.arc_life import Life
from act_core.simulators.arc_pace import Pace
from act_core.simulators.arc_payload import Payload
from act_core.simulators.arc_pilot import native_payload, running_payload
from act_core.simulators.arc_process import real_payload
from act_core.simulators.arc_provider import Provider
from act_core.simulators.arc_records import Books
from act_core.simulators.arc_service import Service
from act_core.simulators.arc_transfers import StagingOptions, Transfers
from act_core.simulators.arc_wire import Flavour
from act_core.simulators.pki import TestPki, peer_dn, server_context
from act_core.simulators.serve import Simulator
from act_core.simulators.witness import Witness


@dataclass(frozen=True)
class ArcOptions:
    """`pki`: the root directory of a `TestPki`. `name` stands in the documents, in node names and in the witness file.

    `mapped`: the names (slash form) that are let in; empty: everybody with a certificate. `max_jobs` 0: any number.
    """

    pki: Path
    name: str = "arc1"
    flavour: Flavour = Flavour.V7
    queues: tuple[str, ...] = ("fork",)
    pace: Pace = field(default_factory=Pace)
    staging: StagingOptions = field(default_factory=StagingOptions)
    payload: Payload = native_payload
    witness: Path | None = None
    mapped: frozenset[str] = frozenset()
    issuers: frozenset[str] = frozenset()  # whose tokens are believed
    max_jobs: int = 0
    port: int = 0
    control_port: int = 0


def build_service(options: ArcOptions, transfers: Transfers, delegations: Delegations) -> Service:
    """A CE without jobs and without a door."""
    books = Books()
    provider = Provider(books, options.pace.info_period)
    witness = Witness(options.witness) if options.witness else None
    life = Life(options.name, books, options.pace, provider, transfers, options.payload, witness)
    return Service(options.flavour, options.name, options.queues, options.max_jobs, books, life, provider, delegations)


@dataclass(frozen=True)
class Arc:
    """The parts of a CE: its service with the books, the application, the control routes, its door's TLS."""

    service: Service
    app: web.Application
    control: list[web.RouteDef]
    tls: ssl.SSLContext


async def serve_arc(options: ArcOptions) -> Simulator:
    """A CE that is not listening yet: `async with` starts it. Its REST root is `url` + `/arex/rest`."""
    arc = await build_arc(options)
    return Simulator(arc.app, arc.control, tls=arc.tls, port=options.port, control_port=options.control_port)


async def build_arc(options: ArcOptions) -> Arc:
    """For those who want to look into the books while it runs."""
    pki = await asyncio.to_thread(TestPki, options.pki)
    tls = await asyncio.to_thread(lambda: server_context(pki.host, pki.ca_dir))
    delegations = Delegations(pki.ca_dir)
    transfers = Transfers(options.staging, delegations)
    service = build_service(options, transfers, delegations)

    async def living(_: web.Application) -> AsyncIterator[None]:
        await transfers.open()
        tasks = [
            asyncio.create_task(service.life.timers.run(service.life.step)),
            asyncio.create_task(service.provider.run()),
        ]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await service.life.work.stop_all()
        await transfers.close()

    app = Door(service, peer_dn, options.mapped, options.issuers).app()
    app.cleanup_ctx.append(living)
    control = ArcControl(service, options.payload in (running_payload, real_payload)).routes()
    return Arc(service, app, control, tls)
