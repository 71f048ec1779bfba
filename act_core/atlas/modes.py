"""How a queue runs its jobs: who moves the data and who speaks for the job follows from the queue and its CEs."""

from enum import StrEnum

from act_core.atlas.cric import SERVED_KINDS, Queue
from act_core.atlas.cric_endpoints import CeEndpoint


class Mode(StrEnum):
    NATIVE = "native"  # the CE moves the data, the pilot stays without network, the tower speaks for the job
    ARC = "true pilot, ARC"  # the pilot moves the data and speaks for the job itself
    HTCONDOR = "true pilot, HTCondor-CE"  # the same, where no CE of the queue is an ARC CE


def mode_of(queue: Queue) -> Mode:
    """True pilots as written for ARC can be sent to an HTCondor-CE too: a queue with both counts as ARC."""
    if not queue.truepilot:
        return Mode.NATIVE
    kinds = {endpoint.kind for endpoint in queue.endpoints}
    return Mode.HTCONDOR if kinds and not kinds & SERVED_KINDS else Mode.ARC


def candidates(queue: Queue) -> tuple[CeEndpoint, ...]:
    """The CEs that can run the queue's jobs: all of them, but for native jobs those that move data."""
    if queue.truepilot:
        return queue.endpoints
    return tuple(endpoint for endpoint in queue.endpoints if endpoint.kind in SERVED_KINDS)
