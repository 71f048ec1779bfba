"""What a scene consists of: its CEs and PanDA queues, and how PanDA is spoken to."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from act_core.credentials.private import write_private
from act_core.errors import BadInput
from act_core.foreign import read_yaml

PandaAuth = Literal["proxy", "token"]
ORIGIN = "atlas.production"  # of the token


@dataclass(frozen=True, slots=True)
class ArcCe:
    """A simulated ARC CE of the scene."""

    name: str
    flavour: str  # 6.17 or 7
    slots: int = 20


@dataclass(frozen=True, slots=True)
class QueuePlan:
    """A PanDA queue of the scene and its CEs: names of ARC CEs, `here` for the local one, `condor` for HTCondor.

    `true`: its pilots speak to PanDA and move the data themselves.
    """

    name: str
    ces: tuple[str, ...]
    share: float  # of the jobs
    true: bool = False


ARCS = (ArcCe("arc6", "6.17"), ArcCe("arc7a", "7"), ArcCe("arc7b", "7"))
LOCAL, CONDOR = "here", "condor"
QUEUES = (
    QueuePlan("DEMO_ARC6", ("arc6",), 0.25),
    QueuePlan("DEMO_ARC7", ("arc7a", "arc7b"), 0.45),
    QueuePlan("DEMO_TRUE", ("arc6", "arc7b"), 0.15, true=True),
    QueuePlan("DEMO_LOCAL", (LOCAL,), 0.15),
)
CONDOR_QUEUE = QueuePlan("DEMO_CONDOR", (CONDOR,), 0.05, true=True)


@dataclass(frozen=True)
class CondorSite:
    """A site of kind htcondor as in aCTConfigARC.yaml, and the tokens that it names."""

    site: Mapping[str, Any]
    tokens: Mapping[str, Any]

    @property
    def account(self) -> int | None:
        """Whose its jobs are, if not ours."""
        account = self.site["options"].get("account")
        return account if isinstance(account, int) else None


@dataclass(frozen=True)
class Plan:
    """`condor`: true pilots go through this real HTCondor, too; None: it is left out."""

    arcs: Sequence[ArcCe] = ARCS
    queues: Sequence[QueuePlan] = QUEUES
    info_period: float = 3  # seconds
    panda_auth: PandaAuth = "proxy"
    condor: CondorSite | None = None

    @property
    def all_queues(self) -> tuple[QueuePlan, ...]:
        """The last one takes what the shares of the others leave."""
        return (*(() if self.condor is None else (CONDOR_QUEUE,)), *self.queues)


def read_condor(file: Path) -> CondorSite:
    """The one site of a file like aCTConfigARC.yaml; what is wrong within it, the tower says. Raises BadInput."""
    try:
        held = read_yaml(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise BadInput(f"{file}: {err}") from err
    sites = held.get("sites") if isinstance(held, dict) else None
    site = next(iter(sites.values())) if isinstance(sites, dict) and len(sites) == 1 else None
    if not isinstance(site, dict) or site.get("kind") != "htcondor" or not isinstance(site.get("options"), dict):
        raise BadInput(f"{file}: `sites` with one site of kind htcondor and its options are wanted")
    tokens = held.get("tokens") or {}
    if not isinstance(tokens, dict):
        raise BadInput(f"{file}: tokens: an object is wanted")
    return CondorSite(site, tokens)


def new_token(file: Path) -> Path:
    """A bearer token that nobody can guess, in a private file."""
    write_private(file, secrets.token_urlsafe(32).encode())
    return file
