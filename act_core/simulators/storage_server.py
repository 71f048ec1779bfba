"""A grid storage, simulated: WebDAV over https, and a stand-in for Rucio's replica redirect."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from act_core.simulators.serve import Simulator
from act_core.simulators.storage_control import StorageControl
from act_core.simulators.storage_files import Files, Inputs
from act_core.simulators.storage_http import Manners, Shelf


@dataclass(frozen=True)
class StorageOptions:
    """`directory`: where the files lie; None: in memory. Manners: see `storage_http`."""

    directory: Path | None = None
    digest: bool = True
    redirect: bool = False
    forbidden: tuple[str, ...] = ()
    read_only: tuple[str, ...] = ()
    tls: ssl.SSLContext | None = None
    port: int = 0
    control_port: int = 0


async def serve_storage(options: StorageOptions) -> Simulator:
    """A server that is not started yet; an asynchronous context manager."""
    manners = Manners(
        digest=options.digest,
        redirect=options.redirect,
        forbidden=options.forbidden,
        read_only=options.read_only,
    )
    shelf = Shelf(Files(options.directory), Inputs(), manners)
    control = StorageControl(shelf).routes()
    return Simulator(shelf.app(), control, tls=options.tls, port=options.port, control_port=options.control_port)
