"""Rows of a tower that has run for weeks: plausible, and the same for the same seed."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from act_core.jobspec import JobSpec
from act_core.states import CeState

Row = tuple[Any, ...]
SERVER = "pandaserver.cern.ch:25443"
DESCRIPTIONS = 1000
LIVE = {  # per mille of the hot table
    "tosubmit": 150, "submitting": 2, "submitted": 250, "holding": 8, "running": 450, "finishing": 10,
    "finished": 10, "failed": 10, "cancelling": 2, "done": 75, "donefailed": 28, "cancelled": 4, "lost": 1,
}  # fmt: skip
RESTING = {"done": 880, "donefailed": 95, "cancelled": 15, "lost": 7, "abandoned": 2, "void": 1}
WAITS = ("tosubmit",)
OVER = ("finished", "failed", "done", "donefailed", "cancelled", "lost", "abandoned", "void")
BADLY = ("failed", "donefailed", "lost", "abandoned")
PANDA = {
    "tosubmit": "starting", "submitting": "starting", "submitted": "starting", "holding": "starting",
    "running": "running", "finishing": "transferring", "finished": "transferring", "failed": "transferring",
    "cancelling": "tokill", "done": "tovalidate", "donefailed": "toreport", "cancelled": "closed", "lost": "toreport",
}  # fmt: skip
ERRORS = (
    ("node-lost", "LRMS error: (-1) Node fail: node n{} went down"),
    ("memory", "LRMS error: (271) job killed: vmem {} kb exceeds limit"),
    ("walltime", "LRMS error: (271) walltime {} exceeds limit"),
    ("stage-in", "Failed in data staging: file {} not found on any replica"),
    (None, "Job failed with exit code {}"),
)


def stamp(at: datetime) -> str:
    """As both databases have it."""
    return f"{at:%Y-%m-%d %H:%M:%S.%f}"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much there is."""

    live: int = 100_000
    archived: int = 900_000
    ces: int = 100
    queues: int = 200
    days: int = 60
    seed: int = 1
    lines: int = 20_000  # of the ledger, in two weeks

    @property
    def names(self) -> list[str]:
        return [f"ce{n:03}.site{n // 2:02}.example" for n in range(self.ces)]

    @property
    def shares(self) -> list[str]:
        return [f"SITE{n // 3:02}_QUEUE{n:03}" for n in range(self.queues)]

    def candidates(self, share: int) -> list[int]:
        """Places of a share's CEs: one to three."""
        return [(share * 7 + k) % self.ces for k in range(1 + share % 3)]


@dataclass(slots=True)
class Inventor:
    """Attempts, in the order of their ids."""

    plan: Plan
    now: datetime
    tower: str
    dice: random.Random = field(init=False)
    weights: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.plan.seed)  # noqa: S311 - no secrets
        self.weights = [1 / (1 + n) ** 0.5 for n in range(self.plan.queues)]  # few are large

    def attempts(self, first: int, n: int, states: dict[str, int], begin: datetime, end: datetime) -> Iterator[Row]:
        """Rows of `COLUMNS`, begun evenly between two moments."""
        shares, names = self.plan.shares, self.plan.names
        step, dice = (end - begin) / max(1, n), self.dice
        chosen = dice.choices(list(states), list(states.values()), k=n)
        places = dice.choices(range(self.plan.queues), self.weights, k=n)
        for k in range(n):
            yield self._attempt(first + k, chosen[k], places[k], begin + step * k, end, shares, names)

    def _attempt(
        self,
        id: int,
        state: str,
        place: int,
        begun: datetime,
        end: datetime,
        shares: Sequence[str],
        names: Sequence[str],
    ) -> Row:
        dice, plan = self.dice, self.plan
        ce = None if state in WAITS else names[dice.choice(plan.candidates(place))]
        wall = dice.randrange(600, 80_000)
        ran = state in OVER or state in ("running", "finishing")
        cores = 8 if place % 3 else 1
        ended = min(begun + timedelta(seconds=wall), end) if state in OVER and state != "lost" else None
        since = ended or begun + (self.now - begun) * dice.random()
        rule, error = None, None
        if state in BADLY:
            rule, words = ERRORS[min(int(dice.expovariate(0.7)), len(ERRORS) - 1)]
            error = words.format(dice.randrange(10_000))
        rests = state in OVER and ended is not None
        return (
            id, "atlas", f"{6_000_000_000 + id}.1", 1, 3, f"act-{self.tower}-{id:026d}", place + 1, ce, state,
            stamp(since), 2, f"{id:016x}" if ce else None, stamp(since) if rests else None, False,
            50, shares[place], cores, rule, id % DESCRIPTIONS + 1, error, f"n{id % 5000}.local" if ran else None,
            f"{id}.batch" if ce else None, wall if ended else None, wall * cores * 9 // 10 if ended else None,
            2_000_000, cores, stamp(begun) if ran else None, stamp(ended) if ended else None, stamp(begun),
            stamp(since), stamp(since) if rests else None, 1 if ce else None, 0, 0,
        )  # fmt: skip


COLUMNS = (
    "id", "app", "app_job_id", "attempt", "attempts_left", "submission_key", "placement_id", "ce", "state",
    "state_since", "version", "remote_id", "ce_clean_at", "news", "priority", "share", "cores_asked", "rule",
    "description_id", "error", "node", "batch_id", "wall_s", "cpu_s", "memory_kb", "cores", "started_at", "ended_at",
    "created", "modified", "released_at", "credential_id", "tries", "reruns",
)  # fmt: skip
assert {state.value for state in CeState} >= set(LIVE) | set(RESTING)


def descriptions(now: datetime) -> Iterator[Row]:
    spec = JobSpec(executable="runpilot2-wrapper.sh", arguments=tuple(f"--argument{n}=value{n}" for n in range(20)))
    text = spec.model_dump_json(exclude_defaults=True)
    return ((n, text, stamp(now)) for n in range(1, DESCRIPTIONS + 1))


def panda_job(panda_id: int) -> str:
    """About as long as what the tower uses of one."""
    files = ",".join(f"AOD.{panda_id}._{n:06}.pool.root.1" for n in range(10))
    return json.dumps({"PandaID": panda_id, "attemptNr": 1, "prodSourceLabel": "managed", "coreCount": 8,
                       "taskID": panda_id // 1000, "inFiles": files, "outFiles": f"HITS.{panda_id}.root",
                       "jobPars": "--maxEvents=1000 " * 20})  # fmt: skip
