"""What the status of a PanDA queue lets happen, and how few served queues are told to people."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

SHOWN = 3  # reasons in a sentence
MANAGER = "pilot_manager is"  # how the reason begins where a queue is somebody else's
HANDED = "takes its jobs, and hands them over"  # how it ends where a Harvester does


@dataclass(frozen=True, slots=True)
class Permits:
    """`take`: PanDA is asked for jobs. `start`: what was taken and does not run yet is sent on; False: called back.

    What runs goes on, whatever the status.
    """

    take: bool
    start: bool
    says: str


STATUSES: Mapping[str, Permits] = MappingProxyType(
    {
        "online": Permits(True, True, "jobs are taken and sent"),
        "test": Permits(True, True, "only test jobs are handed out by PanDA; they are sent"),
        "brokeroff": Permits(True, True, "PanDA assigns nothing new; what is assigned is taken and sent"),
        "paused": Permits(False, True, "nothing is taken; what was taken is sent"),
        "standby": Permits(False, True, "nothing is taken; what was taken is sent"),
        "offline": Permits(False, False, "nothing is taken; what does not run yet is called back and fails in PanDA"),
    }
)
TAKES_JOBS = tuple(status for status, permits in STATUSES.items() if permits.take)
CALLED_BACK = tuple(status for status, permits in STATUSES.items() if not permits.start)


@dataclass(frozen=True, slots=True)
class Served:
    """How many of the queues that CRIC and the configuration name are served; why the others are not, by reason."""

    total: int
    served: int
    reasons: Mapping[str, int]


def sentence(found: Served, pilotmanager: str) -> str | None:
    """What an operator has to know when nothing can be taken, and what to do; None: some queue is served."""
    if found.served:
        return None
    if not found.total:
        return (
            "no PanDA queue is served: none is known. CRIC has not been read yet (`act sweep refresh-queues`), or "
            "cric.server names no feed"
        )
    handed = sum(n for reason, n in found.reasons.items() if reason.endswith(HANDED))
    if handed:
        return (
            f"no jobs are taken from PanDA: of {found.total} PanDA queues none is served, and a Harvester hands over "
            f"the jobs of {handed} (`act queues list`)"
        )
    if all(reason.startswith(MANAGER) for reason in found.reasons):
        why = f"none of {found.total} has pilot_manager {pilotmanager}"
    else:
        most = sorted(found.reasons.items(), key=lambda item: -item[1])[:SHOWN]
        why = f"of {found.total}, " + ", ".join(f"{n}: {reason}" for reason, n in most)
    return (
        f"no PanDA queue is served: {why}. Nothing is taken until CRIC names this tower (pilot_manager is "
        f"cric.pilotmanager, harvester is cric.harvester) or panda.sites lists a queue; `act queues list --all` tells "
        "why for each"
    )
