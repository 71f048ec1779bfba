"""PanDA, simulated: the new API (`/api/v1`) as strict as panda-server 1.0.4, and the legacy one as strict as 0.8.1."""

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache

import aiohttp
from aiohttp import web
from cryptography import x509

from act_core.simulators.panda_books import Books
from act_core.simulators.panda_control import Control, Register
from act_core.simulators.panda_http import Clock, Door
from act_core.simulators.panda_jobs import InputName
from act_core.simulators.panda_methods import Desk, Generation
from act_core.simulators.panda_records import Patience
from act_core.simulators.panda_roles import Roles, Token
from act_core.simulators.panda_workers import Workers
from act_core.simulators.serve import Simulator
from act_core.simulators.x509_names import slash_form

REGISTER_DEADLINE = aiohttp.ClientTimeout(total=60)  # seconds


@dataclass(frozen=True)
class PandaOptions:
    """How the server behaves.

    `fqans` by owner's name; None: every verified certificate has the production role. `storage_control`: the control
    URL of a storage simulator that shall know the input files of new jobs. `statistics_period`: how old the numbers of
    the statistics calls may be (the real server's: a minute). `most`: an acquisition gives at most so many jobs.
    `api`: the generations that are served.
    """

    patience: Patience = field(default_factory=Patience)
    fqans: Mapping[str, tuple[str, ...]] | None = None
    tokens: tuple[Token, ...] = ()
    banned: frozenset[str] = frozenset()
    storage_control: str | None = None
    statistics_period: timedelta = timedelta(0)
    most: int | None = None
    api: Generation = "v1"
    first_number: int = 6_000_000_001
    seed: int = 0
    tls: ssl.SSLContext | None = None  # None: plain http, where only tokens tell who calls
    port: int = 0
    control_port: int = 0


@dataclass(frozen=True)
class Panda:
    """The parts of a running server: its books and desk, its clock, the application, the control routes."""

    books: Books
    desk: Desk
    clock: Clock
    app: web.Application
    control: list[web.RouteDef]


async def serve_panda(options: PandaOptions) -> Simulator:
    """A server that is not started yet; an asynchronous context manager."""
    panda = build_panda(options)
    return Simulator(panda.app, panda.control, tls=options.tls, port=options.port, control_port=options.control_port)


def build_panda(options: PandaOptions) -> Panda:
    """For those who want to look into the books while it runs."""
    books, clock = Books(options.patience, options.first_number, options.seed), Clock()
    desk = Desk(books, Workers(books), options.statistics_period, options.most, options.api)
    door = Door(desk, Roles(options.fqans, options.tokens, options.banned), clock, subject_of)
    register = registrar(options.storage_control) if options.storage_control else None
    return Panda(books, desk, clock, door.app(), Control(desk, clock, register).routes())


def registrar(storage_control: str) -> Register:
    """Tells the storage behind this control URL about input files. Raises aiohttp.ClientError when it will not hear."""

    async def register(files: Sequence[InputName]) -> None:
        body = [file.model_dump() for file in files]
        async with (
            aiohttp.ClientSession(timeout=REGISTER_DEADLINE, raise_for_status=True) as session,
            session.post(f"{storage_control.rstrip('/')}/inputs", json=body),
        ):
            pass

    return register


def subject_of(request: web.BaseRequest) -> str | None:
    """The subject of the verified client certificate in slash form, proxy parts included; None: there is none."""
    tls = request.get_extra_info("ssl_object")
    der = tls.getpeercert(binary_form=True) if tls is not None else None
    return _subject(der) if der else None


@lru_cache(maxsize=1024)
def _subject(der: bytes) -> str:
    return slash_form(x509.load_der_x509_certificate(der).subject)
