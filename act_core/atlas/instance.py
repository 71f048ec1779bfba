"""One PanDA server and what belongs to it: the client, the queues as they are served."""

from typing import TYPE_CHECKING

from act_core.atlas import queues
from act_core.atlas.cric import Queue
from act_core.runtime import Runtime
from act_core.settings.model import Settings

if TYPE_CHECKING:  # what only looks at tables needs no client
    from act_core.atlas.panda_server import Aside, PandaServer


def panda(rt: Runtime) -> "PandaServer":
    """The client, with its warm connections."""
    from act_core.atlas.panda_server import PandaServer, open_panda

    return rt.kept(PandaServer, open_panda, of=_spoken_with)


def panda_aside(rt: Runtime) -> "Aside":
    """The client for what may wait."""
    from act_core.atlas.panda_server import Aside, open_aside

    return rt.kept(Aside, open_aside, of=_spoken_with)


def _spoken_with(settings: Settings) -> object:
    """The settings that a client is made from."""
    return settings.app.panda, settings.arc.voms, settings.state_dir


def server_key(settings: Settings) -> str:
    """What the rows of this server are keyed by."""
    return settings.app.panda.server.removeprefix("https://").rstrip("/")


def server_of(rt: Runtime) -> str:
    return server_key(rt.settings)


async def queue_of(rt: Runtime, name: str) -> Queue | None:
    """A PanDA queue as CRIC and the configuration describe it."""
    found = await rt.read(queues.parsed, server_of(rt), name)
    return None if found is None else Queue.model_validate(found)
