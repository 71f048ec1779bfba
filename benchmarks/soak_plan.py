"""Which fault strikes whom, when and for how long, in a soak: a pure function of a seed and a length.

Faults are those between the tower and its peers, and in its own processes, after all of which each job still has to
finish once: what breaks between a CE and storage fails jobs rightly, and an answer to a call for jobs that is spoiled
reserves jobs at PanDA for nobody (docs/faults.md has these). One fault is over before the next begins; those of CRIC,
which is asked every ten minutes alone, last longer and beside the others.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

CALM_S, CALM_PART = 300.0, 0.25  # at the end nothing strikes: so long, and at most this part of it
FIRST_S, FULL_S = 60.0, 900.0  # a soak shorter than FULL_S has its first fault sooner, and shorter pauses
PAUSE_S, LEAST_S = (15.0, 35.0), 5.0
CRIC_ASKED_S = 600.0
PANDA, ARC, STORAGE, CRIC = "panda", "arc", "storage", "cric"
WORKER, SERVER, PAGE, DATABASE = "worker", "prefect-server", "page", "database"
MENTIONS = (WORKER, DATABASE, PANDA)  # a fault of these can tear PanDA's answer to a call for jobs off
_NOT_JOBS = "^(?!.*acquire_jobs)"
_ASKED = r"/jobs(\?|$)"  # of an ARC CE: lists and actions, no files


@dataclass(frozen=True, slots=True)
class Fault:
    """`how`: a rule of a simulator (docs/simulators.md) or `kill`, `pause`, `stop`. `lasts`: least and most, s."""

    target: str
    name: str
    how: str
    lasts: tuple[float, float] = (10.0, 30.0)
    rule: Mapping[str, str | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Strike:
    """`at`, `lasts`: seconds, from the first order on. `target`: with the number of the CE."""

    at: float
    lasts: float
    target: str
    fault: Fault

    @property
    def name(self) -> str:
        return f"{self.target}: {self.fault.name}"


FAULTS = (
    Fault(PANDA, "503", "error", rule={"status": 503}),
    Fault(PANDA, "429", "error", rule={"status": 429}),
    Fault(PANDA, "hangs", "hang", rule={"seconds": 20}),
    Fault(PANDA, "resets every second connection", "reset_before", rule={"probability": 0.5}),
    Fault(PANDA, "answers 3 s late", "latency", rule={"seconds": 3}),
    Fault(PANDA, "nobody listens", "down"),
    Fault(PANDA, "loses answers", "accept_hangup", rule={"path": _NOT_JOBS, "probability": 0.5}),
    Fault(PANDA, "malformed answers", "malformed_json", rule={"path": _NOT_JOBS, "probability": 0.5}),
    Fault(ARC, "503", "error", rule={"status": 503}),
    Fault(ARC, "500, every second request", "error", rule={"status": 500, "probability": 0.5}),
    Fault(ARC, "hangs", "hang"),
    Fault(ARC, "resets every second connection", "reset_before", rule={"probability": 0.5}),
    Fault(ARC, "answers 3 s late", "latency", rule={"seconds": 3}),
    Fault(ARC, "nobody listens", "down"),
    Fault(ARC, "loses answers", "accept_hangup", rule={"probability": 0.5}),
    Fault(ARC, "half answers", "half_answer", rule={"path": _ASKED, "probability": 0.5}),
    Fault(ARC, "malformed answers", "malformed_json", rule={"path": _ASKED, "probability": 0.5}),
    Fault(ARC, "clock an hour ahead", "clock", rule={"seconds": 3600}),
    Fault(STORAGE, "503 to checks", "error", rule={"method": "HEAD", "status": 503}),
    Fault(STORAGE, "checks hang", "hang", rule={"method": "HEAD"}),
    Fault(STORAGE, "resets checks", "reset_before", rule={"method": "HEAD", "probability": 0.5}),
    Fault(WORKER, "SIGKILL", "kill", (0.0, 0.0)),
    Fault(WORKER, "stopped for longer than its leases", "pause", (50.0, 70.0)),
    Fault(SERVER, "SIGKILL", "kill", (0.0, 0.0)),
    Fault(SERVER, "stopped", "pause", (15.0, 30.0)),
    Fault(PAGE, "SIGKILL", "kill", (0.0, 0.0)),
)
OF_THE_DATABASE = (
    Fault(DATABASE, "shut down", "stop", (5.0, 20.0)),
    Fault(DATABASE, "SIGKILL, begun again", "kill", (1.0, 5.0)),
)
OF_CRIC = (
    Fault(CRIC, "503", "error", (CRIC_ASKED_S, CRIC_ASKED_S + 60), {"status": 503}),
    Fault(CRIC, "malformed answers", "malformed_json", (CRIC_ASKED_S, CRIC_ASKED_S + 60)),
)


def calm(seconds: float) -> float:
    """How long nothing strikes at the end."""
    return min(CALM_S, CALM_PART * seconds)


def plan(seed: int, seconds: float, ces: Sequence[str], *, database: bool) -> list[Strike]:
    """By their beginnings. `database`: it is ours to be struck, too. Each fault comes once before any comes twice."""
    rng = random.Random(seed)  # noqa: S311 - reproducible, no secret
    every = (*FAULTS, *(OF_THE_DATABASE if database else ()))
    found = [*_in_turn(rng, every, seconds, ces), *_beside(rng, seconds)]
    return sorted(found, key=lambda one: one.at)


def _in_turn(rng: random.Random, every: Sequence[Fault], seconds: float, ces: Sequence[str]) -> Iterator[Strike]:
    pace, end = min(1.0, seconds / FULL_S), seconds - calm(seconds)
    at, deck = FIRST_S * pace, list[Fault]()
    while True:
        if not deck:
            deck = rng.sample(every, len(every))
        fault = next((one for one in deck if at + one.lasts[1] <= end), None)
        if fault is None:
            return
        deck.remove(fault)
        lasts = round(rng.uniform(*fault.lasts), 1)
        target = rng.choice(ces) if fault.target == ARC else fault.target
        yield Strike(round(at, 1), lasts, target, fault)
        at += lasts + max(LEAST_S, pace * rng.uniform(*PAUSE_S))


def _beside(rng: random.Random, seconds: float) -> Iterator[Strike]:
    fault = rng.choice(OF_CRIC)
    lasts = round(rng.uniform(*fault.lasts), 1)
    latest = seconds - calm(seconds) - lasts
    if latest > 0:
        yield Strike(round(rng.uniform(0, latest), 1), lasts, fault.target, fault)
